package lanes_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/lanes"
)

// An item that waits holds back what stands behind it in its partition, the later items of its key, or nothing, as
// the mode says; it holds back no other partition, no other key that shares its lane, and no worker.
func TestAWaitingItemHoldsBackOnlyItsLane(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		lanes.Options[item]
		held []int64 // offsets of partition 0 that wait with the first
	}{
		{"by partition", lanes.Options[item]{Mode: lanes.ByPartition}, []int64{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		{"by partition, at most 1", lanes.Options[item]{Mode: lanes.ByPartition, Limit: 1},
			[]int64{0, 1, 2, 3, 4, 5, 6, 7, 8}},
		{"by key in one lane", lanes.Options[item]{Mode: lanes.ByKey, Limit: 1}, []int64{0, 3, 6}},
		{"by key", lanes.Options[item]{Mode: lanes.ByKey, Limit: 3}, []int64{0, 3, 6}},
		{"unordered", lanes.Options[item]{Mode: lanes.Unordered, Limit: 1}, []int64{0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var done [2][]int64
				handled := func(part int) []int64 {
					mu.Lock()
					defer mu.Unlock()
					return slices.Clone(done[part])
				}
				o := options(test.Options)
				o.Do = func(_ context.Context, i *item, again *lanes.Retry) (bool, *lanes.Retry) {
					if i.part == 0 && i.offset == 0 && again == nil {
						return false, &lanes.Retry{At: time.Now().Add(time.Hour), State: "kept"}
					}
					if again != nil && again.State != "kept" {
						t.Errorf("the state is %v", again.State)
					}
					mu.Lock()
					defer mu.Unlock()
					done[i.part] = append(done[i.part], i.offset)
					return true, nil
				}
				p := lanes.New(o)
				x, y := p.Open(t.Context(), ignore), p.Open(t.Context(), ignore)
				x.Add(items(0, 0, 6, "a", "b", ""), 6)
				synctest.Wait()
				y.Add(items(1, 0, 9, "a", "b", ""), 9)
				synctest.Wait()
				x.Add(items(0, 6, 3, "a", "b", ""), 9)
				synctest.Wait()
				if n := len(handled(1)); n != 9 {
					t.Errorf("%d of 9 items of the other partition are handled", n)
				}
				before := handled(0)
				if len(before) != 9-len(test.held) {
					t.Errorf("handled meanwhile: %v", before)
				}
				if mark, _ := x.Mark(); mark != 0 {
					t.Errorf("the mark is %d", mark)
				}
				if n, _, running := x.Held(); n != len(test.held) || running != 0 {
					t.Errorf("%d items are held and %d run", n, running)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if after := handled(0)[len(before):]; !slices.Equal(after, test.held) {
					t.Errorf("afterwards: %v, want %v", after, test.held)
				}
				if mark, _ := x.Mark(); mark != 9 {
					t.Errorf("the mark is %d in the end", mark)
				}
				x.Stop()
				y.Stop()
				<-x.Idle()
				p.Close()
			})
		})
	}
}

// A partition that ends, because it is stopped or an item is left unfinished, lets go of what waits at once, and
// tells of each item that has begun.
func TestTheEndOfAPartitionDropsWhatWaits(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		for _, fails := range []bool{false, true} {
			if fails && m.Mode == lanes.ByPartition {
				continue // nothing runs beside an item that waits
			}
			t.Run(m.name+map[bool]string{false: ", stopped", true: ", failed"}[fails], func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					var dropped []int64
					count := func() int {
						mu.Lock()
						defer mu.Unlock()
						return len(dropped)
					}
					o := options(m.Options)
					o.Do = func(_ context.Context, i *item, again *lanes.Retry) (bool, *lanes.Retry) {
						if again != nil {
							t.Errorf("offset %d is handled again", i.offset)
						}
						if i.offset == 2 {
							return false, nil
						}
						return false, &lanes.Retry{At: time.Now().Add(time.Hour), State: i.offset}
					}
					o.Dropped = func(_ context.Context, i *item, again *lanes.Retry) {
						if again.State != i.offset {
							t.Errorf("offset %d is dropped with the state of %v", i.offset, again.State)
						}
						mu.Lock()
						defer mu.Unlock()
						dropped = append(dropped, i.offset)
					}
					p := lanes.New(o)
					x := p.Open(t.Context(), ignore)
					x.Add(items(0, 0, 2, "a", "b"), 2)
					x.Add(items(0, 10, 2, "a", "b"), 12)
					synctest.Wait()
					want := 2 // a, b
					switch m.Mode {
					case lanes.ByPartition:
						want = 1
					case lanes.Unordered:
						want = 4
					}
					if fails {
						x.Add(items(0, 2, 1, "c"), 13)
						synctest.Wait()
					} else {
						x.Stop()
					}
					if n := count(); n != want {
						t.Errorf("%d items are dropped, want %d", n, want)
					}
					x.Stop()
					<-x.Idle()
					p.Close()
					time.Sleep(2 * time.Hour)
					if mark, _ := x.Mark(); mark != 0 || count() != want {
						t.Errorf("the mark is %d, %d items are dropped", mark, count())
					}
				})
			})
		}
	}
}

// An item that waits for something that is under way is handled a last time when its partition ends, and counts as
// one that runs: if it is finished then, the watermark has passed it before the partition is idle.
func TestWhatIsUnderWayMayFinishAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		for _, finishes := range []bool{true, false} {
			t.Run(m.name+map[bool]string{true: ", finishes", false: ", does not"}[finishes], func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					release := make(chan struct{})
					var dropped atomic.Int64
					o := options(m.Options)
					o.Do = func(_ context.Context, i *item, again *lanes.Retry) (bool, *lanes.Retry) {
						if again == nil {
							return false, &lanes.Retry{At: time.Now().Add(time.Hour), Finish: true}
						}
						<-release
						return finishes, again
					}
					o.Dropped = func(context.Context, *item, *lanes.Retry) { dropped.Add(1) }
					p := lanes.New(o)
					x := p.Open(t.Context(), ignore)
					x.Add(items(0, 0, 1, "a"), 1)
					synctest.Wait()
					x.Stop()
					synctest.Wait()
					if _, _, running := x.Held(); running != 1 || closed(x.Idle()) || dropped.Load() != 0 {
						t.Errorf("%d run, idle %v, %d dropped", running, closed(x.Idle()), dropped.Load())
					}
					close(release)
					<-x.Idle()
					p.Close()
					want, drops := int64(1), int64(0)
					if !finishes {
						want, drops = 0, 1
					}
					if mark, _ := x.Mark(); mark != want || dropped.Load() != drops {
						t.Errorf("the mark is %d, %d dropped", mark, dropped.Load())
					}
				})
			})
		}
	}
}

// An item whose time has come is dropped once when its partition ends before a worker is free for it. What stands
// behind it does not begin, and the items of another partition go on.
func TestAnItemThatIsDueIsDroppedOnce(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		if m.Mode == lanes.ByPartition && m.Limit == 0 {
			continue // a worker is free at any time
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				var dropped, other atomic.Int64
				o := options(lanes.Options[item]{Mode: m.Mode, Limit: 1})
				o.Do = func(_ context.Context, i *item, again *lanes.Retry) (bool, *lanes.Retry) {
					switch {
					case i.part == 1:
						<-release
						return other.Add(1) > 0, nil
					case again != nil:
						t.Errorf("offset %d is handled again", i.offset)
					case i.offset > 0:
						t.Errorf("offset %d, which stands behind it, is handled", i.offset)
					}
					return false, &lanes.Retry{At: time.Now().Add(time.Minute)}
				}
				o.Dropped = func(context.Context, *item, *lanes.Retry) { dropped.Add(1) }
				p := lanes.New(o)
				x, y := p.Open(t.Context(), ignore), p.Open(t.Context(), ignore)
				x.Add(items(0, 0, 1, "a"), 1)
				synctest.Wait()
				y.Add(items(1, 0, 3, "b"), 3) // has the only worker
				if m.Mode != lanes.Unordered {
					x.Add(items(0, 1, 2, "a"), 3)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				x.Stop()
				if !closed(x.Idle()) || dropped.Load() != 1 {
					t.Errorf("idle %v, %d dropped", closed(x.Idle()), dropped.Load())
				}
				close(release)
				synctest.Wait()
				if other.Load() != 3 || dropped.Load() != 1 {
					t.Errorf("%d items of the other partition are handled, %d dropped", other.Load(), dropped.Load())
				}
				wantMark(t, x, 0)
				y.Stop()
				<-y.Idle()
				p.Close()
			})
		})
	}
}

// With keys the items behind one that waited are handled in their turn; a partition that ends meanwhile drops none of
// those that have not begun, whether the handler of the moment finishes its item, lets it wait, or leaves it.
func TestAPartitionEndsWhileAKeyCatchesUp(t *testing.T) {
	t.Parallel()
	for name, result := range map[string]struct {
		done  bool
		again *lanes.Retry
		drops int64
		mark  int64
	}{
		"finished": {true, nil, 0, 2},
		"waits":    {false, &lanes.Retry{}, 1, 1},
		"left":     {false, nil, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				var dropped, handled atomic.Int64
				o := options(lanes.Options[item]{Mode: lanes.ByKey, Limit: 2})
				o.Do = func(_ context.Context, i *item, again *lanes.Retry) (bool, *lanes.Retry) {
					switch {
					case i.offset == 0 && again == nil:
						return false, &lanes.Retry{At: time.Now().Add(time.Minute)}
					case i.offset == 0:
						return true, nil
					}
					handled.Add(1)
					<-release
					return result.done, result.again
				}
				o.Dropped = func(context.Context, *item, *lanes.Retry) { dropped.Add(1) }
				p := lanes.New(o)
				x := p.Open(t.Context(), ignore)
				x.Add(items(0, 0, 5, "a"), 5)
				time.Sleep(time.Hour)
				synctest.Wait()
				x.Stop()
				synctest.Wait()
				if closed(x.Idle()) || dropped.Load() != 0 {
					t.Errorf("idle %v while a handler runs, %d dropped", closed(x.Idle()), dropped.Load())
				}
				close(release)
				<-x.Idle()
				p.Close()
				if handled.Load() != 1 || dropped.Load() != result.drops {
					t.Errorf("%d of those behind are handled, %d dropped", handled.Load(), dropped.Load())
				}
				wantMark(t, x, result.mark)
			})
		})
	}
}
