package bus

import (
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/consume"
)

// A lane's worker may have finished its last record and not have left: fewer than no records never wait.
func TestNeverFewerThanNoRecordsWait(t *testing.T) {
	t.Parallel()
	x := &runner{conn: &connection{prefix: "p."}}
	got := x.partition(consume.PartitionStatus{
		TopicPartition: kafka.TopicPartition{Topic: "p.s", Partition: 3}, Watermark: 5, Position: 5, End: 4, Running: 1,
	})
	if got.Waiting != 0 || got.Lag != 0 || got.InFlight != 1 || got.Stream != "s" {
		t.Errorf("%+v", got)
	}
}
