package merge

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// run is a merger in a goroutine of its own.
type run struct {
	events chan Event
	ended  chan error

	mu      sync.Mutex
	printed []string
	paused  map[string]bool
	at      map[kafka.TopicPartition]int64
	err     error // of printing
}

func start(o Options) *run {
	r := &run{events: make(chan Event), ended: make(chan error, 1), paused: make(map[string]bool)}
	o.Pause = func(tp kafka.TopicPartition) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.paused[tp.String()] = true
	}
	o.Resume = func(tp kafka.TopicPartition) {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.paused, tp.String())
	}
	o.Print = func(text []byte, items []Item) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		words := strings.Fields(string(text))
		if len(words) != len(items) {
			panic("items and texts differ")
		}
		r.printed = append(r.printed, words...)
		return r.err
	}
	o.Flush = func(at map[kafka.TopicPartition]int64) error { r.at = at; return nil }
	o.Free = func(*Batch) {}
	go func() { r.ended <- New(o).Run(r.events) }()
	return r
}

func part(n int32) kafka.TopicPartition { return kafka.TopicPartition{Topic: "t", Partition: n} }

// batch has records at the given times, from an offset on. Each prints its partition and time.
func batch(partition int32, offset int64, times ...int64) *Batch {
	b := &Batch{Partition: part(partition), Next: offset + int64(len(times))}
	for i, t := range times {
		b.Text = fmt.Appendf(b.Text, "%d@%d ", partition, t)
		b.Items = append(b.Items, Item{Nanos: t, Offset: offset + int64(i), End: len(b.Text)})
	}
	return b
}

func (r *run) put(batches ...*Batch) {
	for _, b := range batches {
		r.events <- Event{Come: b}
	}
	for _, b := range batches {
		r.events <- Event{Ready: b}
	}
}

func (r *run) check(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := strings.Join(r.printed, " "); got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

func (r *run) pausedNow() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.paused))
}

func (r *run) end(t *testing.T) {
	t.Helper()
	close(r.events)
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

func TestWhatWasThereIsSorted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(Options{Window: time.Hour})
		r.events <- Event{Expect: map[kafka.TopicPartition]int64{part(0): 4, part(1): 2, part(2): 1}}
		r.put(batch(0, 0, 10, 30))
		r.check(t, "") // the others may have older ones
		r.put(batch(1, 0, 5, 20))
		r.check(t, "")
		r.put(batch(2, 0, 40))
		// 3 and 4 of partition 0 are still to come.
		r.check(t, "1@5 0@10 1@20 0@30")
		r.put(batch(0, 2, 25, 50)) // its order stays: 25 counts as 30
		r.check(t, "1@5 0@10 1@20 0@30 0@25 2@40 0@50")
		r.end(t)
		if r.at[part(0)] != 4 || r.at[part(1)] != 2 {
			t.Errorf("positions %v", r.at)
		}
	})
}

func TestBatchesWithoutRecordsToPrint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(Options{Window: time.Hour})
		r.events <- Event{Expect: map[kafka.TopicPartition]int64{part(0): 2, part(1): 100}}
		r.put(batch(0, 0, 10, 30))
		for i := range int64(10) {
			r.put(&Batch{Partition: part(1), Next: 10 * (i + 1)})
		}
		r.check(t, "0@10 0@30")
		r.end(t)
		if r.at[part(1)] != 100 {
			t.Errorf("positions %v", r.at)
		}
	})
}

func TestNewRecordsWaitForTheWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(Options{Window: 250 * time.Millisecond})
		r.put(batch(0, 0, 100))
		time.Sleep(200 * time.Millisecond)
		r.put(batch(1, 0, 90, 110))
		r.check(t, "")
		time.Sleep(50 * time.Millisecond)
		r.check(t, "1@90 0@100") // the one that has waited, and what is older
		time.Sleep(199 * time.Millisecond)
		r.check(t, "1@90 0@100")
		time.Sleep(time.Millisecond)
		r.check(t, "1@90 0@100 1@110")
		r.end(t)
	})
}

func TestAPartitionThatDoesNotComeIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(Options{Window: time.Millisecond})
		r.events <- Event{Expect: map[kafka.TopicPartition]int64{part(0): 2, part(1): 2, part(2): 2}}
		r.put(batch(0, 0, 10, 30))
		removed := part(1)
		r.events <- Event{Removed: &removed}
		r.check(t, "")
		time.Sleep(stallLimit - time.Nanosecond)
		r.check(t, "")
		time.Sleep(time.Nanosecond)
		r.check(t, "0@10 0@30")
		r.put(batch(2, 0, 5))
		r.check(t, "0@10 0@30 2@5")
		r.end(t)
	})
}

func TestInOrderOfArrival(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(Options{Limit: 3})
		r.events <- Event{Expect: map[kafka.TopicPartition]int64{part(0): 2, part(1): 2}}
		r.put(batch(0, 0, 30, 10))
		r.check(t, "0@30 0@10")
		go r.put(batch(1, 0, 20, 5))
		if err := <-r.ended; err != nil {
			t.Error(err)
		}
		r.check(t, "0@30 0@10 1@20")
		if r.at[part(1)] != 1 {
			t.Errorf("positions %v", r.at)
		}
	})
}

func TestWhoIsAheadIsPaused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(Options{Window: time.Hour})
		r.events <- Event{Expect: map[kafka.TopicPartition]int64{part(0): 100, part(1): 1}}
		for i := range int64(pauseBatches + 1) {
			r.put(batch(0, i, i))
		}
		if !slices.Equal(r.pausedNow(), []string{"t/0"}) {
			t.Errorf("paused: %v, want the partition that is ahead", r.pausedNow())
		}
		r.put(batch(1, 0, 100))
		if paused := r.pausedNow(); len(paused) > 0 {
			t.Errorf("paused: %v", paused)
		}
		r.events <- Event{Interrupted: true}
		if err := <-r.ended; err != nil {
			t.Error(err)
		}
		r.check(t, "0@0 0@1 0@2 0@3 0@4") // 1@100 would have to wait for the rest of partition 0
	})
}

func TestAFailedWriteEndsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(Options{Window: time.Second})
		r.err = errors.New("gone")
		r.events <- Event{Expect: map[kafka.TopicPartition]int64{part(0): 1}}
		r.put(batch(0, 0, 1))
		if err := <-r.ended; !errors.Is(err, r.err) {
			t.Error(err)
		}
	})
}

// Whatever the batches and the order in which they come: all is printed once, each partition in its order, and sorted
// where the times of the partitions are.
func TestRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			r := start(Options{Window: time.Minute})
			expect := make(map[kafka.TopicPartition]int64)
			queues := make([][]*Batch, 1+random.IntN(6))
			var want []int64
			for p := range queues {
				offset, at := int64(0), int64(0)
				for range random.IntN(8) {
					var times []int64
					for range random.IntN(6) {
						at += random.Int64N(10)
						times = append(times, at)
					}
					want = append(want, times...)
					queues[p] = append(queues[p], batch(int32(p), offset, times...))
					offset += int64(len(times))
				}
				expect[part(int32(p))] = offset
			}
			r.events <- Event{Expect: expect}
			for len(queues) > 0 {
				p := random.IntN(len(queues))
				if len(queues[p]) == 0 {
					queues = slices.Delete(queues, p, p+1)
					continue
				}
				r.put(queues[p][0])
				queues[p] = queues[p][1:]
			}
			r.end(t)
			slices.Sort(want)
			for i, text := range r.printed {
				if _, at, _ := strings.Cut(text, "@"); at != fmt.Sprint(want[i]) {
					t.Fatalf("seed %d: printed %v, want %v", seed, r.printed, want)
				}
			}
			if len(r.printed) != len(want) {
				t.Fatalf("seed %d: %d printed, want %d", seed, len(r.printed), len(want))
			}
		})
	}
}
