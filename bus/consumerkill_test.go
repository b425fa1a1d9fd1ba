package bus_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// What a killed program had handled and not committed is handled again, by others; nothing else is, and nothing is
// lost.
func TestKillingConsumersLosesNothingAndRepeatsOnlyWhatWasNotCommitted(t *testing.T) {
	t.Parallel()
	// or all is handled before the first commit
	killConsumers(t, 100_000, 6, consumerConfig{Pause: 100 * time.Microsecond})
}

// The same in the middle of batches.
func TestKillingConsumersOfBatchesLosesNothingAndRepeatsOnlyWhatWasNotCommitted(t *testing.T) {
	t.Parallel()
	killConsumers(t, 20_000, 4, consumerConfig{Pause: 20 * time.Millisecond, Batch: 50})
}

func killConsumers(t *testing.T, records, kills int, config consumerConfig) {
	t.Helper()
	const partitions, programs = 32, 3
	w := newWorld(t, kafkatest.ShortSessions())
	w.stream("work", partitions)
	group, seed := w.group("killed"), rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	h := &handovers{seen: make([]int, records), by: make(map[int]int), owner: make(map[int]int), next: make(map[int]int64)}
	config.Servers, config.Prefix, config.Group = w.cluster.Servers(), w.prefix, group
	config.Settings = quick(bus.Settings{"session_timeout_ms": 2000, "heartbeat_interval_ms": 200})
	spawned := 0
	spawn := func() (int, *consumerProcess) {
		spawned++
		number := spawned
		return number, spawnConsumer(t, config, func(id int, at chaosSpot) { h.report(number, id, at) })
	}
	begin := time.Now()
	running := make(map[int]*consumerProcess)
	for range programs {
		number, p := spawn()
		running[number] = p
	}
	ctx := within(t, 2*time.Minute)
	var publishing sync.WaitGroup
	publishing.Go(func() { publishNumbered(ctx, w, records) })

	uncommitted := 0
	for i := range kills {
		h.reach(ctx, t, (i+1)*records/(kills+1))
		// One that has worked. The embedded broker never forgets a program that is gone before its first join is answered.
		var working []int
		eventually(t, func() bool {
			working = h.working(slices.Sorted(maps.Keys(running)))
			return len(working) > 0
		}, says("no program has handled anything"))
		victim := working[random.IntN(len(working))]
		running[victim].kill()
		delete(running, victim)
		uncommitted += h.uncommitted(victim, w.committed(group, "work"))
		number, p := spawn()
		running[number] = p
	}
	h.reach(ctx, t, records)
	publishing.Wait()
	w.waitCommitted(group, "work", w.ends("work"))
	took := time.Since(begin)
	for _, p := range running {
		p.stop()
	}
	handled, again := h.count()
	t.Attr("figures", fmt.Sprintf("seed %d: %d records, %d consumers killed, %d of them in all: lost %d, repeated %d, "+
		"%d were not committed, %v",
		seed, records, kills, spawned, records-handled, again, uncommitted, took.Round(time.Millisecond)))
	if handled < records || again > uncommitted {
		t.Fail()
	}
}

// handovers is what the programs report.
type handovers struct {
	mu      sync.Mutex
	seen    []int // by id
	handled int
	by      map[int]int   // reports, by program
	owner   map[int]int   // by partition: the program that reported last
	next    map[int]int64 // by partition: the offset behind that report
}

func (h *handovers) report(program, id int, at chaosSpot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen[id]++; h.seen[id] == 1 {
		h.handled++
	}
	h.by[program]++
	h.owner[at.partition], h.next[at.partition] = program, at.offset+1
}

// working returns those programs that have reported something.
func (h *handovers) working(programs []int) []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(programs, func(p int) bool { return h.by[p] == 0 })
}

// uncommitted returns how many records a program has handled and not committed.
func (h *handovers) uncommitted(program int, committed map[int32]int64) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p, owner := range h.owner {
		if owner == program {
			n += max(int(h.next[p]-committed[int32(p)]), 0)
		}
	}
	return n
}

// reach waits until so many records have been handled.
func (h *handovers) reach(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	for {
		handled, _ := h.count()
		if handled >= n {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d of %d records are handled: it does not go on", handled, n)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (h *handovers) count() (handled, again int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.seen {
		again += max(n-1, 0)
	}
	return h.handled, again
}

// publishNumbered publishes records to the stream work, half of them keyed as keyOf says, and returns when all are
// acknowledged.
func publishNumbered(ctx context.Context, w *world, records int) {
	app := w.unclosed(bus.Config{MaxBufferedRecords: 20_000})
	defer closeApp(w.t, app)
	bus.MustSchema[Numbered](app, "")
	receipts := make([]*bus.Receipt, records)
	for id := range receipts {
		key, n := keyOf(id)
		var opts []bus.PublishOption
		if key != "" {
			opts = append(opts, bus.Key([]byte(key)))
		}
		receipts[id] = app.PublishAsync(ctx, "work", Numbered{ID: id, Key: key, N: n}, opts...)
	}
	for id, r := range receipts {
		if err := r.Wait(ctx); err != nil {
			w.t.Errorf("publish %d: %v", id, err)
			return
		}
	}
}
