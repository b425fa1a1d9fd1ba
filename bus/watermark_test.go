package bus_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

// keyed writes n records into each of a stream's partitions, whose keys take turns.
func (w *world) keyed(stream string, partitions int32, n, keys int) {
	w.t.Helper()
	var records []*kgo.Record
	for p := range partitions {
		for i, v := range contents(0, n) {
			records = append(records, &kgo.Record{Topic: w.prefix + stream, Partition: p, Value: []byte(v),
				Key: fmt.Appendf(nil, "%d-%d", p, i%keys)})
		}
	}
	w.putRecords(records...)
}

// ledger notes which offsets are finished.
type ledger struct {
	mu   sync.Mutex
	done map[int32][]bool
}

func newLedger(partitions int32, n int) *ledger {
	l := &ledger{done: make(map[int32][]bool)}
	for p := range partitions {
		l.done[p] = make([]bool, n)
	}
	return l
}

func (l *ledger) finish(r *bus.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done[int32(r.Partition)][r.Offset] = true
}

// unfinished returns the lowest offset that is not finished.
func (l *ledger) unfinished(partition int32) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.done[partition], false); i >= 0 {
		return int64(i)
	}
	return int64(len(l.done[partition]))
}

// The committed offset never passes an unfinished record, nor goes back, whatever order records finish in and however
// they end.
func TestTheCommittedOffsetNeverPassesAnUnfinishedRecord(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]bus.Lanes{"by partition": bus.ByPartition, "by key": bus.ByKey,
		"unordered": bus.Unordered} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const partitions, records = 3, 400
			w := newWorld(t)
			group := w.group("g")
			w.stream("s", partitions)
			w.keyed("s", partitions, records, 13)
			app := w.app(bus.Config{Settings: quick(bus.Settings{"auto_commit_interval_ms": 10})})
			done := newLedger(partitions, records)
			var held sync.Once
			release := make(chan struct{})
			bus.MustSubscribe(app, "s", func(_ context.Context, r *bus.Record) error {
				time.Sleep(rand.N(3 * time.Millisecond))
				if r.Offset == 100 { // one that holds up what all others have passed
					held.Do(func() { <-release })
				}
				switch n := rand.IntN(100); {
				case n < 5:
					return errBroken
				case n < 6:
					panic("oops")
				case n < 8:
					done.finish(r)
					return bus.Reject(errBroken)
				}
				done.finish(r)
				return nil
			}, bus.Group(group), bus.Concurrency(8, mode), fast(1000))
			stop := running(t, app)
			seen := make(map[int32]int64)
			look := func() (all bool) {
				all = true
				for p, offset := range w.committed(group, "s") {
					if first := done.unfinished(p); offset > first {
						t.Errorf("partition %d is committed to %d, and %d is not finished", p, offset, first)
					}
					if offset < seen[p] {
						t.Errorf("partition %d went back from %d to %d", p, seen[p], offset)
					}
					seen[p] = offset
				}
				for p := range int32(partitions) {
					all = all && seen[p] == records
				}
				return all
			}
			began, released := time.Now(), false
			eventually(t, func() bool {
				if !released && time.Since(began) > 500*time.Millisecond {
					released = true
					close(release)
				}
				return look()
			}, func() string { return fmt.Sprint("committed ", seen) })
			if err := stop(); err != nil {
				t.Error(err)
			}
			look()
		})
	}
}

// guard sees that no two handlers of a lane run at once, and counts how many run at all.
type guard struct {
	mu      sync.Mutex
	lanes   map[string]bool
	running atomic.Int64
	most    atomic.Int64
	clashes atomic.Int64
}

func (g *guard) enter(lane string) (leave func()) {
	for n := g.running.Add(1); ; {
		most := g.most.Load()
		if n <= most || g.most.CompareAndSwap(most, n) {
			break
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lanes == nil {
		g.lanes = make(map[string]bool)
	}
	if g.lanes[lane] {
		g.clashes.Add(1)
	}
	g.lanes[lane] = true
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.lanes, lane)
		g.running.Add(-1)
	}
}

func TestRecordsKeepTheirOrderInTheirLane(t *testing.T) {
	t.Parallel()
	byPartition := func(r *bus.Record) string { return fmt.Sprint(r.Partition) }
	tests := []struct {
		name        string
		opts        []bus.SubscribeOption
		lane        func(*bus.Record) string
		least, most int64
	}{
		{"every partition at once", nil, byPartition, 4, 4},
		{"two partitions at once", []bus.SubscribeOption{bus.Concurrency(2, bus.ByPartition)}, byPartition, 2, 2},
		{"by key", []bus.SubscribeOption{bus.Concurrency(6, bus.ByKey)}, func(r *bus.Record) string { return string(r.Key) },
			2, 6},
		{"unordered", []bus.SubscribeOption{bus.Concurrency(6, bus.Unordered)}, func(r *bus.Record) string {
			return fmt.Sprint(r.Partition, r.Offset)
		}, 6, 6},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			const partitions, records = 4, 100
			w := newWorld(t)
			w.stream("s", partitions)
			w.keyed("s", partitions, records, 7)
			app := w.app()
			var g guard
			var mu sync.Mutex
			last := make(map[string]int64)
			bus.MustSubscribe(app, "s", func(_ context.Context, r *bus.Record) error {
				lane := test.lane(r)
				defer g.enter(lane)()
				time.Sleep(rand.N(2 * time.Millisecond))
				mu.Lock()
				defer mu.Unlock()
				if before, ok := last[lane]; ok && before >= r.Offset {
					t.Errorf("lane %s: %d after %d", lane, r.Offset, before)
				}
				last[lane] = r.Offset
				return nil
			}, append(test.opts, bus.Group(w.group("g")))...)
			if _, err := app.ConsumeFor(within(t, 30*time.Second), partitions*records); err != nil {
				t.Fatal(err)
			}
			if g.clashes.Load() > 0 {
				t.Errorf("%d times two handlers of a lane ran at once", g.clashes.Load())
			}
			if most := g.most.Load(); most < test.least || most > test.most {
				t.Errorf("%d handlers ran at once, want %d to %d", most, test.least, test.most)
			}
		})
	}
}
