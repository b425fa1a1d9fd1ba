package produce_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// TestAKilledBrokerLosesAndDoublesNothing runs on whatever broker the tests have, a real Kafka too. It takes seconds
// because a killed Kafka takes seconds to come back.
func TestAKilledBrokerLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t, kafkatest.Own())
	if !c.CanKill() {
		t.Skip("the broker given by KAFKA cannot be killed by a test")
	}
	client, err := kafka.NewClient(c.Servers(), kafka.DefaultSettings(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topic := c.Prefix(t) + "kill"
	p := produce.New(client, produce.Options{EnsureTopic: func(ctx context.Context, topic string) error {
		return client.EnsureTopic(ctx, topic, kafka.TopicSpec{Partitions: 7})
	}})
	const keys, n, kills = 10, 3000, 3
	promises := make([]produce.Promise, keys*n)
	var wg sync.WaitGroup
	pace := make(chan struct{})
	for k := range keys {
		wg.Go(func() {
			for i := range n {
				if i%(n/(kills+1)) == 0 {
					<-pace // some records before each kill, some during it
				}
				p.Produce(t.Context(), record(topic, fmt.Sprint("key", k), value(i)), i%100 == 0, &promises[k*n+i])
			}
		})
	}
	turn := func() {
		for range keys {
			pace <- struct{}{}
		}
	}
	turn()
	for range kills {
		before := p.Stats().Sent
		testkit.Until(t, "records flow", func() bool { return p.Stats().Sent > before || p.Stats().Records == 0 })
		turn()
		c.Kill(0)
		c.Restart(0)
	}
	wg.Wait()
	start := time.Now()
	for i := range promises {
		if err := wait(t, &promises[i]); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
	t.Attr("figures", fmt.Sprintf("all acknowledged %s after the last restart: %+v",
		time.Since(start).Round(time.Millisecond), p.Stats()))
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}

	// Anything there twice would come before the last record of its key.
	checkOrder(t, readBack(t, c, topic, keys*n), keys, n)
}

// readBack reads that many records, and checks that each was written under a producer id: also the first ones, right
// after a broker's first start, when it answers 14 to whoever asks for one.
func readBack(t *testing.T, c *kafkatest.Cluster, topic string, want int) map[int32][]*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Servers()...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	records, got := map[int32][]*kgo.Record{}, 0
	ctx := within(t, 30*time.Second)
	for got < want && ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if r.ProducerID < 0 {
				t.Errorf("partition %d, offset %d was written without a producer id", r.Partition, r.Offset)
			}
			records[r.Partition] = append(records[r.Partition], r)
			got++
		})
	}
	return records
}
