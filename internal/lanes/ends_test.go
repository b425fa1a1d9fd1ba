package lanes_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/kafkaesk/kafkaesk/internal/lanes"
)

// gate is a Do whose handlers wait until they are let through. Its tests run in a bubble: synctest.Wait returns when
// every handler that may begin waits at the gate.
type gate struct {
	*watch
	lanes.Options[item]
	blocks func(item) bool
	open   chan struct{} // one handler goes through for each value, all once it is closed
	result func(item) bool
}

func newGate(t *testing.T, o lanes.Options[item]) *gate {
	g := &gate{watch: newWatch(t, o), Options: options(o), open: make(chan struct{})}
	g.blocks = func(item) bool { return true }
	g.result = func(item) bool { return true }
	g.Do = func(ctx context.Context, i *item, _ *lanes.Retry) (bool, *lanes.Retry) {
		g.begin(*i)
		if g.blocks(*i) {
			select {
			case <-g.open:
			case <-ctx.Done():
				g.mu.Lock()
				g.running--
				g.mu.Unlock()
				return false, nil
			}
		}
		g.end(*i)
		return g.result(*i), nil
	}
	return g
}

// began returns how many handlers of a partition have begun.
func (g *gate) began(part int) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.begun {
		if i.part == part {
			n++
		}
	}
	return n
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func wantMark(t *testing.T, x *lanes.Partition[item], want int64) {
	t.Helper()
	if mark, ok := x.Mark(); mark != want || !ok {
		t.Errorf("the mark is %d, %v; want %d", mark, ok, want)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, m.Options)
				p := lanes.New(g.Options)
				x := p.Open(t.Context(), ignore)
				all := items(0, 100, 100, "a", "b", "c", "d", "e", "")
				x.Add(all[:50], 150)
				x.Add(all[50:], 200)
				synctest.Wait()
				running := g.began(0)
				if running == 0 || p.Running() != running {
					t.Fatalf("%d handlers run, the pool says %d", running, p.Running())
				}
				x.Stop()
				x.Stop()
				x.Add(items(0, 200, 1), 201)
				synctest.Wait()
				if closed(x.Idle()) {
					t.Error("idle while handlers run")
				}
				if n, bytes, r := x.Held(); n != 100 || bytes != 1000 || r != running {
					t.Errorf("holds %d items, %d bytes, %d running; want 100, 1000, %d", n, bytes, r, running)
				}
				wantMark(t, x, 100)
				close(g.open)
				<-x.Idle()
				p.Close()
				if n := g.began(0); n != running {
					t.Errorf("%d handlers began, %d before the stop", n, running)
				}
				checkMark(t, g.watch, x, all)
				if mark, _ := x.Mark(); mark <= 100 || mark > 100+int64(running) {
					t.Errorf("the mark is %d after %d of the first handlers have ended", mark, running)
				}
				if n, _, _ := x.Held(); n != 100-running {
					t.Errorf("holds %d items, %d are not finished", n, 100-running)
				}
			})
		})
	}
}

// TestStopBehindBlockedLane stops a partition whose items wait behind those of another: they are dropped at once, and
// the lane goes on.
func TestStopBehindBlockedLane(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, lanes.Options[item]{Mode: m.Mode, Limit: 1})
				p := lanes.New(g.Options)
				first, second, third := p.Open(t.Context(), ignore), p.Open(t.Context(), ignore), p.Open(t.Context(), ignore)
				first.Add(items(0, 0, 1, "a"), 1)
				synctest.Wait()
				second.Add(items(1, 0, 9, "a"), 9)
				third.Add(items(2, 0, 9, "a"), 9)
				second.Stop()
				if !closed(second.Idle()) {
					t.Error("not idle though nothing of it has run")
				}
				close(g.open)
				synctest.Wait()
				if g.count(0) != 1 || g.began(1) != 0 || g.count(2) != 9 {
					t.Errorf("handled %d of 1, %d of 0, %d of 9", g.count(0), g.began(1), g.count(2))
				}
				wantMark(t, second, 0)
				for _, x := range []*lanes.Partition[item]{first, third} {
					x.Stop()
					<-x.Idle()
				}
				p.Close()
			})
		})
	}
}

func TestStopWithoutItems(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			p := lanes.New(options(m.Options))
			x := p.Open(t.Context(), ignore)
			x.Add(nil, 42)
			wantMark(t, x, 42)
			x.Stop()
			if !closed(x.Idle()) {
				t.Error("not idle")
			}
			p.Close()
		})
	}
}

// TestUnfinished has a handler leave its item unfinished.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, m.Options)
				g.result = func(i item) bool { return i.part != 0 || i.offset != 10 }
				g.blocks = func(i item) bool { return i.part == 0 && i.offset > 10 }
				p := lanes.New(g.Options)
				x, other := p.Open(t.Context(), ignore), p.Open(t.Context(), ignore)
				x.Add(items(0, 0, 100), 100)
				synctest.Wait()
				began := g.began(0)
				// Beside each other, handlers of lower offsets may not have begun when offset 10 was left.
				mark, _ := x.Mark()
				if mark > 10 || mark < 10 && m.Mode == lanes.ByPartition {
					t.Errorf("the mark is %d, offset 10 is unfinished", mark)
				}
				if oldest, ok := x.Oldest(); !ok || oldest.offset != mark {
					t.Errorf("the oldest is %+v, %v; the mark is %d", oldest, ok, mark)
				}
				close(g.open) // the others that run end normally
				synctest.Wait()
				x.Add(items(0, 100, 1), 101)
				other.Add(items(1, 0, 100), 100)
				synctest.Wait()
				wantMark(t, x, mark)
				wantMark(t, other, 100)
				if _, ok := other.Oldest(); ok {
					t.Error("an oldest where all are finished")
				}
				if n := g.began(0); n != began || n != g.count(0) {
					t.Errorf("%d handlers have begun and %d ended, %d had begun when one left its item unfinished", n,
						g.count(0), began)
				}
				if closed(x.Idle()) {
					t.Error("idle before it was stopped")
				}
				x.Stop()
				if !closed(x.Idle()) {
					t.Error("not idle")
				}
				other.Stop()
				<-other.Idle()
				p.Close()
			})
		})
	}
}

// TestContextEnds stops a partition and ends its context: handlers get away, and their items are unfinished.
func TestContextEnds(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, m.Options)
				p := lanes.New(g.Options)
				ctx, cancel := context.WithCancel(t.Context())
				x := p.Open(ctx, ignore)
				x.Add(items(0, 5, 20), 25)
				synctest.Wait()
				x.Stop()
				cancel()
				<-x.Idle()
				p.Close()
				wantMark(t, x, 5)
			})
		})
	}
}

// TestCloseWaits has a handler that is still busy when the pool is closed.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, lanes.Options[item]{})
		p := lanes.New(g.Options)
		x := p.Open(t.Context(), ignore)
		x.Add(items(0, 0, 1), 1)
		synctest.Wait()
		x.Stop()
		done := make(chan struct{})
		go func() {
			p.Close()
			close(done)
		}()
		synctest.Wait()
		if closed(done) {
			t.Error("closed while a handler runs")
		}
		close(g.open)
		<-done
	})
}
