package consume

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// Somebody has to mend a missing right, so the pause before a partition is looked at again is long; and so is this
// test. A group that begins at the end then still does: not at the first record of the log, which is where an offset of
// 0 would lead.
func TestAPartitionThatMayBeReadLaterBeginsWhereItShould(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits 10 seconds")
	}
	cluster := kafkatest.Start(t, kafkatest.Kfake(kfake.SeedTopics(1, "topic")))
	fake := cluster.Fake()
	producer, err := kgo.NewClient(kgo.SeedBrokers(cluster.Servers()...), kgo.DefaultProduceTopic("topic"))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	put := func(n int) {
		t.Helper()
		for i := range n {
			if err := producer.ProduceSync(t.Context(), &kgo.Record{Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(5)
	var denied atomic.Int32
	fake.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if denied.Add(1) > 1 {
			return nil, nil, false
		}
		res := r.ResponseKind().(*kmsg.ListOffsetsResponse)
		topic := kmsg.NewListOffsetsResponseTopic()
		topic.Topic = "topic"
		part := kmsg.NewListOffsetsResponseTopicPartition()
		part.ErrorCode = kerr.TopicAuthorizationFailed.Code
		topic.Partitions = append(topic.Partitions, part)
		res.Topics = append(res.Topics, topic)
		return res, nil, true
	})
	settings := kafka.DefaultSettings()
	settings.AutoOffsetReset = kafka.Latest
	client, err := kafka.NewClient(cluster.Servers(), settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var mu sync.Mutex
	var offsets []int64
	c := New(client, options(func(_ context.Context, i *wire.Record) bool {
		mu.Lock()
		defer mu.Unlock()
		offsets = append(offsets, i.Offset)
		return true
	}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	eventually(t, func() bool { return c.Status().LastError != nil })
	eventually(t, func() bool { s := c.Status(); return len(s.Partitions) == 1 && s.Partitions[0].Position == 5 })
	put(3)
	eventually(t, func() bool { return c.Status().Handled == 3 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if fmt.Sprint(offsets) != "[5 6 7]" {
		t.Errorf("handled %v", offsets)
	}
}
