package lanes_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/lanes"
)

// TestComeAndGo opens, fills, asks and stops partitions from everywhere at once, in real time: it is for the race
// detector. Once a partition is idle nothing of it runs or begins.
func TestComeAndGo(t *testing.T) {
	t.Parallel()
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			const owners, rounds, runs = 4, 20, 20
			var over [owners * rounds]atomic.Bool // by partition
			o := options(m.Options)
			o.PartitionItems = 100
			o.Do = func(_ context.Context, i *item, again *lanes.Retry) (bool, *lanes.Retry) {
				if over[i.part].Load() {
					t.Errorf("offset %d of partition %d begins after its end", i.offset, i.part)
				}
				if i.offset%7 == 0 {
					runtime.Gosched()
				}
				if over[i.part].Load() {
					t.Errorf("offset %d of partition %d runs after its end", i.offset, i.part)
				}
				if again == nil && i.offset%9 == 0 {
					return false, &lanes.Retry{At: time.Now().Add(time.Duration(i.offset%5) * 50 * time.Microsecond),
						Finish: i.offset%2 == 0}
				}
				return i.offset != 500, nil
			}
			p := lanes.New(o)
			var wg sync.WaitGroup
			for owner := range owners {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(owner), 3))
					for round := range rounds {
						part := owner*rounds + round
						x := p.Open(t.Context(), ignore)
						var adding, asking sync.WaitGroup
						adding.Go(func() {
							for run := range int64(runs) {
								x.Add(items(part, run*50, 50, "a", "b", "", "c"), run*50+50)
							}
						})
						asking.Go(func() { ask(t, x) })
						for range r.IntN(200) {
							runtime.Gosched()
						}
						x.Stop()
						<-x.Idle()
						over[part].Store(true)
						adding.Wait()
						asking.Wait()
						if _, _, running := x.Held(); running != 0 {
							t.Errorf("%d run though it is idle", running)
						}
					}
				})
			}
			wg.Wait()
			p.Close()
			if n := p.Running(); n != 0 {
				t.Errorf("%d run after Close", n)
			}
		})
	}
}

// ask looks at a partition until it is idle. Its watermark never falls.
func ask(t *testing.T, x *lanes.Partition[item]) {
	last := int64(0)
	for !closed(x.Idle()) {
		mark, _ := x.Mark()
		if mark < last {
			t.Errorf("the mark fell from %d to %d", last, mark)
		}
		last = mark
		if oldest, ok := x.Oldest(); ok && oldest.offset < mark {
			t.Errorf("the oldest is at %d, the mark was %d before", oldest.offset, mark)
		}
		x.Held()
		runtime.Gosched()
	}
}
