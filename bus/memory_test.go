package bus_test

import (
	"bytes"
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

// One partition's handler does not return, while 20 others have 200 MB to go through. It is not parallel: it measures
// memory. The broker keeps its records in files.
func TestMemoryIsBoundedWithOneSlowLane(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 200 MB")
	}
	const (
		partitions = 21
		size       = 10_000
		each       = 1_000     // records in a partition: 10 MB
		slow       = 4_000     // in the one that is held up
		most       = 160 << 20 // what is on its way and what is fetched, 32 MiB each, and what 21 lanes hold, 3 MiB at most
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
	t.Attr("figures", fmt.Sprintf("%d MB through 20 partitions beside one that is held up: at most %.1f MiB more in use",
		(partitions-1)*each*size/1_000_000, float64(used)/(1<<20)))
	if used > most {
		t.Errorf("%d MiB in use, want no more than %d", used>>20, most>>20)
	}
	close(release)
	eventually(t, func() bool { return handled.Load() == (partitions-1)*each+slow },
		func() string { return fmt.Sprintf("%d handled", handled.Load()) })
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// The same with partitions that are all held up and a topic that is compressed twentyfold: what has been fetched is not
// unpacked before there is room for it.
func TestMemoryIsBoundedWithCompressedTopics(t *testing.T) {
	const (
		partitions = 7
		batch      = 100_000 // bytes, unpacked
		batches    = 300     // in each partition: 30 MB
		most       = 80 << 20
	)
	w := newWorld(t)
	w.stream("s", partitions)
	packed, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.Servers()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerBatchMaxBytes(batch+10_000),
		kgo.DefaultProduceTopic(w.prefix+"s"))
	if err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte(`{"schema":"Content:1","data":{"title":"all the same"}}`), batch/54/10)
	for i := range partitions * batches * 10 {
		packed.Produce(t.Context(), &kgo.Record{Partition: int32(i % partitions), Value: value}, nil)
	}
	if err := packed.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	packed.Close()
	app := w.app()
	release := make(chan struct{})
	bus.MustSubscribe(app, "s", func(context.Context, []byte) error {
		<-release
		return nil
	}, bus.Group(w.group("g")))
	before := liveHeap()
	stop := running(t, app)
	eventually(t, func() bool {
		s := stats(app)
		paused := 0
		for _, p := range s.Assigned {
			if p.Paused {
				paused++
			}
		}
		return paused == partitions
	}, says("not all partitions are paused"))
	used, held := liveHeap()-before, stats(app).Bytes
	t.Attr("figures", fmt.Sprintf("%d MB in partitions that are held up: %.1f MiB in their lanes, %.1f MiB more in use",
		partitions*batches*batch/1_000_000, float64(held)/(1<<20), float64(used)/(1<<20)))
	if used > most {
		t.Errorf("%d MiB in use, want no more than %d", used>>20, most>>20)
	}
	close(release)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
