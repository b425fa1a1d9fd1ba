package bus_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

// liveHeap returns the bytes that are in use.
func liveHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// One partition's handler does not return, while 20 others have 200 MB to go through. It is not parallel: it measures memory. The broker
// keeps its records in files.
func TestMemoryIsBoundedWithOneSlowLane(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 200 MB")
	}
	const (
		partitions = 21
		size       = 10_000
		each       = 1_000 // records in a partition: 10 MB
		slow       = 4_000 // in the one that is held up
		most       = 60 << 20
	)
	w := newWorld(t)
	w.stream("s", partitions)
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(rand.IntN(256))
	}
	records := func(p int32) int {
		if p == 0 {
			return slow
		}
		return each
	}
	for p := range int32(partitions) {
		records := make([]*kgo.Record, records(p))
		for i := range records {
			records[i] = &kgo.Record{Topic: w.prefix + "s", Partition: p, Value: value}
		}
		w.putRecords(records...)
	}
	app := w.app()
	release := make(chan struct{})
	var handled, highest atomic.Int64
	bus.MustSubscribe(app, "s", func(_ context.Context, r *bus.Record) error {
		if r.Partition == 0 {
			<-release
		}
		handled.Add(1)
		return nil
	}, bus.Group(w.group("g")))
	before := liveHeap()
	stop := running(t, app)
	eventually(t, func() bool {
		if used := liveHeap() - before; used > highest.Load() {
			highest.Store(used)
		}
		return handled.Load() == (partitions-1)*each
	}, func() string { return fmt.Sprintf("%d handled", handled.Load()) })
	s := stats(app)
	if p := s.Assigned[0]; !p.Paused || p.InFlight != 1 || p.Bytes > 6<<20 {
		t.Errorf("the slow partition: %+v", p)
	}
	used := max(highest.Load(), liveHeap()-before)
	t.Attr("figures", fmt.Sprintf("%d MB through 20 partitions beside one that is held up: at most %.1f MiB more in use", (partitions-1)*each*size/1_000_000, float64(used)/(1<<20)))
	if used > most {
		t.Errorf("%d MiB in use, want no more than %d", used>>20, most>>20)
	}
	close(release)
	eventually(t, func() bool { return handled.Load() == (partitions-1)*each+slow }, func() string { return fmt.Sprintf("%d handled", handled.Load()) })
	if err := stop(); err != nil {
		t.Error(err)
	}
}
