package consume

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/lanes"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// options are those of a Consumer of records whose time is when they may be handled: they are all due but in the
// topic "delayed".
func options(do func(context.Context, *wire.Record) bool) Options {
	return Options{
		Group: "g",
		Match: func(topic string) bool { return topic == "topic" },
		Do: func(ctx context.Context, i *wire.Record, _ *lanes.Retry) (bool, *lanes.Retry) {
			return do(ctx, i), nil
		},
		NotBefore:    func(i *wire.Record, _ time.Time) time.Time { return i.Time },
		Delayed:      func(topic string) bool { return topic == "delayed" },
		DrainTimeout: time.Minute,
		Logger:       slog.New(slog.DiscardHandler),
	}
}

// idle returns a Consumer that does not run and whose broker is not there: a test hands it its assignments and chunks.
func idle(t *testing.T, o Options) *Consumer {
	t.Helper()
	client, err := kafka.NewClient([]string{"127.0.0.1:1"}, kafka.DefaultSettings(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := New(client, o)
	c.fetcher = fetch.New(client, fetch.Options{})
	t.Cleanup(func() {
		c.CancelHandlers()
		c.Drain(t.Context())
		c.fetcher.Close()
		c.pool.Close()
		client.Close()
	})
	return c
}

// assign gives the Consumer partition 0 of a topic, and returns its place.
func assign(c *Consumer, topic string) (*generation, *partition) {
	tp := kafka.TopicPartition{Topic: topic}
	c.Assign(group.Assignment{Generation: 1, Partitions: map[kafka.TopicPartition]group.Start{tp: {Committed: 0}}})
	return c.current, c.current.partitions[tp]
}

// chunk returns records from one offset to before another.
func chunk(topic string, from, to int64, due time.Time) *fetch.Chunk {
	c := &fetch.Chunk{Topic: topic, Next: to, HighWatermark: to}
	for offset := from; offset < to; offset++ {
		c.Records = append(c.Records, wire.Record{Offset: offset, Time: due})
	}
	return c
}

// eventually waits until a condition holds.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	testkit.Until(t, "the condition", holds)
}

// within fails the test when f takes longer.
func within(t *testing.T, d time.Duration, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took > d {
		t.Errorf("took %v, want less than %v", took, d)
	}
}
