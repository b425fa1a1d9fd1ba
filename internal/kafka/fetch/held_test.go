package fetch_test

import (
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
)

// TestStatsSayWhatIsHeld has large records wait, some of them of paused partitions: they hold no more of the heap
// than one and a half times what the figures say. It runs alone.
func TestStatsSayWhatIsHeld(t *testing.T) {
	const partitions, each, size = 8, 2, 900_000
	b := setup(t, partitions, embedded())
	plain := b.newProducer(kgo.ProducerBatchCompression(kgo.NoCompression()))
	for id := range int32(partitions) {
		for range each {
			b.produce(plain, &kgo.Record{Partition: id, Value: make([]byte, size)})
		}
	}
	live := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	f := fetch.New(b.client, fetch.Options{})
	b.addAll(f, partitions)
	b.waitFor(func() bool { return f.Stats().Buffered >= partitions*each*size })
	for id := range int32(partitions / 2) {
		f.Pause(b.part(id))
	}
	s := f.Stats()
	with := live()
	f.Close()
	f = nil // what the broker keeps in this process stays
	said, held := int64(s.Buffered+s.Parked), with-live()
	if s.Parked < partitions/2*each*size || said < partitions*each*size || held > said*3/2 {
		t.Errorf("%d bytes of the heap are held, and the figures say %+v", held, s)
	}
}
