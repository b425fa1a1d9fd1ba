package lanes_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/kafkaesk/kafkaesk/internal/lanes"
)

// TestFull follows a partition through its bounds.
func TestFull(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		items int   // the bound
		bytes int64 // the bound
		add   []int // sizes of the items
		full  bool
		room  int // items after which there is room again
	}{
		{name: "at the items", items: 10, bytes: 1000, add: []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{name: "beyond the items", items: 10, bytes: 1000, add: []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, full: true, room: 6},
		{name: "at the bytes", items: 10, bytes: 1000, add: []int{500, 500}},
		{name: "beyond the bytes", items: 10, bytes: 1000, add: []int{500, 500, 1}, full: true, room: 1 + 1},
		{name: "half of both", items: 10, bytes: 1000, add: []int{1, 1, 1, 1, 1, 1, 1, 1, 200, 200, 600, 0},
			full: true, room: 11},
		{name: "one that is too large", items: 10, bytes: 1000, add: []int{1001}, full: true, room: 1},
		{name: "bounds of one", items: 1, bytes: 1, add: []int{0, 0}, full: true, room: 2},
	}
	for _, tt := range tests {
		for _, mode := range []lanes.Mode{lanes.ByPartition, lanes.ByKey, lanes.Unordered} {
			t.Run(fmt.Sprintf("%s, mode %d", tt.name, mode), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					g := newGate(t, lanes.Options[item]{Mode: mode, PartitionItems: tt.items, PartitionBytes: tt.bytes})
					p := lanes.New(g.Options)
					var reports []bool
					var x *lanes.Partition[item]
					x = p.Open(t.Context(), func(full bool) {
						x.Held() // no lock is held
						reports = append(reports, full)
					})
					list := items(0, 0, len(tt.add))
					for i, size := range tt.add {
						list[i].size = size
					}
					x.Add(list, int64(len(list)))
					synctest.Wait()
					for n := range list {
						want := 0
						if tt.full {
							want = 1
							if n >= tt.room {
								want = 2
							}
						}
						if len(reports) != want || want > 0 && !reports[0] || want > 1 && reports[1] {
							t.Errorf("reports %v after %d items", reports, n)
						}
						g.open <- struct{}{}
						synctest.Wait()
					}
					if tt.full != (len(reports) == 2) {
						t.Errorf("reports %v in the end", reports)
					}
					x.Stop()
					p.Close()
				})
			})
		}
	}
}

// TestReportsInOrder fills and empties a partition as fast as it goes, with reports that take their time: they come by
// turns, never two at once, and the last one is true.
func TestReportsInOrder(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			o := options(m.Options)
			o.PartitionItems = 2
			o.Do = func(context.Context, *item, *lanes.Retry) (bool, *lanes.Retry) { return true, nil }
			p := lanes.New(o)
			last, busy := false, atomic.Bool{}
			x := p.Open(t.Context(), func(full bool) {
				if busy.Swap(true) {
					t.Error("two reports at once")
				}
				if full == last {
					t.Errorf("%v twice", full)
				}
				last = full
				runtime.Gosched()
				busy.Store(false)
			})
			for from := int64(0); from < 10_000; from += 5 {
				x.Add(items(0, from, 5, "a", "b", ""), from+5)
			}
			for n := 1; n > 0; n, _, _ = x.Held() {
				runtime.Gosched()
			}
			p.Close() // nothing is left, so its workers end
			if last {
				t.Error("full in the end")
			}
			x.Stop()
		})
	}
}
