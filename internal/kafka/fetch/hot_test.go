package fetch_test

import (
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
)

// TestAHotPartitionWaitsForNoEmptyOne reads a long backlog of one partition beside empty ones whose request the
// broker holds for the whole of the test. The backlog's partition is left out of that request again and again: it has
// enough buffered, or is paused. What may be read again is asked for all the same.
func TestAHotPartitionWaitsForNoEmptyOne(t *testing.T) {
	t.Parallel()
	const partitions, records, size = 7, 400, 10_000
	b := setup(t, partitions, embedded())
	for range records {
		b.producer.Produce(t.Context(), &kgo.Record{Value: make([]byte, size)}, nil)
	}
	if err := b.producer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := b.client.Settings()
	s.MaxPartitionFetchBytes = 5 * size
	b.client = newClientOf(t, b.cluster, s)
	fake, held := b.cluster.Fake(), atomic.Int64{}
	session := make(map[int32]bool)
	fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		req := r.(*kmsg.FetchRequest)
		if ids := partitionsOf(req, session); len(ids) == partitions || ids[0] == 0 {
			return nil, nil, false
		}
		held.Add(1)
		return nil, nil, true // read, and never answered
	})
	f := b.fetcher(fetch.Options{})
	starts := make(map[kafka.TopicPartition]int64)
	for id := range int32(partitions) {
		starts[b.part(id)] = 0
	}
	f.AddAll(starts)
	b.waitFor(func() bool { return held.Load() > 0 }) // nobody takes what is buffered, so the partition is left out
	chunks := 0
	got := b.read(f, func(s *seen) bool {
		if chunks++; chunks%5 == 0 {
			f.Pause(b.part(0))
			f.Resume(b.part(0))
		}
		return len(s.values[0]) == records
	})
	if got.errs != nil || f.Stats().Failures > 0 {
		t.Errorf("errors %v, stats %+v", got.errs, f.Stats())
	}
	if n := held.Load(); n != 1 {
		t.Errorf("%d requests for the empty partitions are on their way", n)
	}
}
