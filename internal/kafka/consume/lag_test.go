package consume

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// The ends of partitions are known without any record: of one that has nothing new for the group, and of one whose
// records all belong to an open transaction, which count.
func TestTheEndIsKnownWithoutARecord(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.Own())
	client, err := kafka.NewClient(cluster.Servers(), kafka.DefaultSettings(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.EnsureTopic(t.Context(), "topic", kafka.TopicSpec{Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	producer := func(opts ...kgo.Opt) *kgo.Client {
		p, err := kgo.NewClient(append(opts, kgo.SeedBrokers(cluster.Servers()...), kgo.DefaultProduceTopic("topic"),
			kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		return p
	}
	put := func(p *kgo.Client, partition int32, n int) {
		for range n {
			if err := p.ProduceSync(t.Context(), &kgo.Record{Partition: partition, Value: []byte("v")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(producer(), 0, 3)
	open := producer(kgo.TransactionalID("open"))
	if err := open.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	put(open, 1, 5)

	run := func(until func(Status) bool) {
		t.Helper()
		c := New(client, options(func(context.Context, *wire.Record) bool { return true }))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		eventually(t, func() bool { return until(c.Status()) })
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	run(func(s Status) bool { return s.Handled == 3 })
	// The second member of the group finds nothing to read.
	run(func(s Status) bool {
		return s.Handled == 0 && len(s.Partitions) == 2 &&
			s.Partitions[0].Watermark == 3 && s.Partitions[0].End == 3 &&
			s.Partitions[1].Watermark == 0 && s.Partitions[1].End == 5
	})
}
