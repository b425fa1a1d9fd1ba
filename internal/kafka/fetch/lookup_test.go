package fetch_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
)

// TestARefusedLookUpHoldsBackNobody has the leader refuse to look up one partition until the others have been read.
// The partition begins as soon as its look-up succeeds.
func TestARefusedLookUpHoldsBackNobody(t *testing.T) {
	t.Parallel()
	const partitions, refused = 10, 9
	b := setup(t, partitions, embedded())
	for id := range int32(partitions) {
		b.produce(b.producer, &kgo.Record{Partition: id, Value: []byte("v")})
	}
	fault := b.cluster.Fake().Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: b.topic, Partitions: []int32{refused},
		Err: kerr.NotLeaderForPartition, Count: -1,
	})
	f := b.fetcher(fetch.Options{})
	starts := make(map[kafka.TopicPartition]int64)
	for id := range int32(partitions) {
		starts[b.part(id)] = kafka.FirstOffset
	}
	f.AddAll(starts)
	got := b.read(f, func(s *seen) bool { return len(s.values) == partitions-1 })
	if len(got.values[refused]) > 0 || got.errs != nil {
		t.Errorf("got %v, %v", got.values, got.errs)
	}
	fault.Remove()
	got = b.read(f, func(s *seen) bool { return len(s.values[refused]) > 0 })
	if got.errs != nil || len(got.values) != 1 {
		t.Errorf("then %v, %v", got.values, got.errs)
	}
}
