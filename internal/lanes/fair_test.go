package lanes_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/kafkaesk/kafkaesk/internal/lanes"
)

// TestBlockedLane blocks one lane: those beside it, and other partitions, go on.
func TestBlockedLane(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		lanes.Options[item]
		keys  []string
		other int // items of the other partition that are handled
		same  int // at least, of the partition itself
	}{
		{name: "by partition", other: 100},
		{name: "by partition, at most 2", Options: lanes.Options[item]{Limit: 2}, other: 100},
		{name: "by key", Options: lanes.Options[item]{Mode: lanes.ByKey, Limit: 64}, keys: []string{"a", "b", "c", "d", "e",
			"f"}, other: 100, same: 1},
		{name: "by key, without keys", Options: lanes.Options[item]{Mode: lanes.ByKey, Limit: 4}, other: 100, same: 1},
		{name: "unordered", Options: lanes.Options[item]{Mode: lanes.Unordered, Limit: 2}, other: 100, same: 299},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t, tt.Options)
				g.blocks = func(i item) bool { return i.part == 0 && i.offset == 0 }
				p := lanes.New(g.Options)
				blocked, other := p.Open(t.Context(), ignore), p.Open(t.Context(), ignore)
				blocked.Add(items(0, 0, 300, tt.keys...), 300)
				synctest.Wait()
				for from := range int64(100) { // without keys, or in lanes of their own
					other.Add(items(1, from, 1), from+1)
					synctest.Wait()
				}
				if n := g.count(1); n != tt.other {
					t.Errorf("%d items of the other partition, want %d", n, tt.other)
				}
				if n := g.count(0); n < tt.same {
					t.Errorf("%d items beside the blocked one, want %d", n, tt.same)
				}
				wantMark(t, blocked, 0)
				close(g.open)
				synctest.Wait()
				wantMark(t, blocked, 300)
				wantMark(t, other, 100)
				blocked.Stop()
				other.Stop()
				p.Close()
			})
		})
	}
}

// TestFair gives workers more partitions than there are of them, each with work for all the time. Handlers are quick at
// first, which makes turns long, and slow from then on.
func TestFair(t *testing.T) {
	t.Parallel()
	for _, o := range []lanes.Options[item]{{Mode: lanes.ByPartition, Limit: 1}, {Mode: lanes.Unordered, Limit: 2}} {
		synctest.Test(t, func(t *testing.T) {
			const partitions, quick, warm, total = 3, 300, 500, 1000
			var handled [partitions]atomic.Int64
			o := options(o)
			o.Do = func(_ context.Context, i *item, _ *lanes.Retry) (bool, *lanes.Retry) {
				if i.offset >= quick {
					time.Sleep(time.Second)
				}
				handled[i.part].Add(1)
				return true, nil
			}
			p := lanes.New(o)
			var parts []*lanes.Partition[item]
			for part := range partitions {
				x := p.Open(t.Context(), ignore)
				x.Add(items(part, 0, total), total)
				parts = append(parts, x)
			}
			var base [partitions]int64
			for begun := false; ; time.Sleep(10 * time.Second) {
				low, high, most := int64(total), int64(0), int64(0)
				for i := range handled {
					n := handled[i].Load()
					low, high, most = min(low, n-base[i]), max(high, n-base[i]), max(most, n)
				}
				if most == total {
					break
				}
				switch {
				case !begun && low >= warm:
					begun = true
					for i := range base {
						base[i] = handled[i].Load()
					}
				case begun && high-low > 2*int64(o.Limit): // what runs, and what each worker takes before it
					t.Errorf("mode %d: since turns are short one partition has had %d items, another %d", o.Mode, high, low)
				}
			}
			for _, x := range parts {
				x.Stop()
				<-x.Idle()
			}
			p.Close()
		})
	}
}

// TestLetsGo blocks the first item: what came later and is finished can be collected.
func TestLetsGo(t *testing.T) {
	t.Parallel()
	type big = [1024]byte
	for _, o := range []lanes.Options[*big]{{Mode: lanes.ByKey, Limit: 2}, {Mode: lanes.Unordered, Limit: 2}} {
		synctest.Test(t, func(t *testing.T) {
			slow, release := new(big), make(chan struct{})
			o.Offset = func(**big) int64 { return 0 }
			o.Size = func(**big) int { return len(big{}) }
			o.Key = func(**big) []byte { return nil }
			o.Do = func(_ context.Context, i **big, _ *lanes.Retry) (bool, *lanes.Retry) {
				if *i == slow {
					<-release
				}
				return true, nil
			}
			p := lanes.New(o)
			x := p.Open(t.Context(), ignore)
			x.Add([]*big{slow}, 1)
			var later []weak.Pointer[big]
			for n := range int64(100) {
				i := new(big)
				later = append(later, weak.Make(i))
				x.Add([]*big{i}, n+2)
				synctest.Wait()
			}
			kept := len(later)
			for tries := 0; kept > 0 && tries < 100; tries++ {
				runtime.GC()
				kept = 0
				for _, w := range later {
					if w.Value() != nil {
						kept++
					}
				}
			}
			if kept > 0 {
				t.Errorf("mode %d: %d of %d items are still in memory", o.Mode, kept, len(later))
			}
			close(release)
			synctest.Wait()
			x.Stop()
			p.Close()
		})
	}
}
