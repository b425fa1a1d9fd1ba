package produce_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// The tests of this file run on whichever Kafka the environment names; what they are about shows best, or only, on a
// real one.

func newClient(t *testing.T, c *kafkatest.Cluster) *kafka.Client {
	t.Helper()
	client, err := kafka.NewClient(c.Servers(), kafka.DefaultSettings(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// newProducer creates its topics by itself, as the bus does.
func newProducer(t *testing.T, client *kafka.Client) *produce.Producer {
	t.Helper()
	p := produce.New(client, produce.Options{EnsureTopic: func(ctx context.Context, topic string) error {
		return client.EnsureTopic(ctx, topic, kafka.TopicSpec{})
	}})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		_ = p.Close(ctx)
	})
	return p
}

// For up to half a second after its creation a topic's leaders answer 3, 5 or 6 to whoever is too early.
func TestPublishRightAfterAnotherProcessCreatedTheTopic(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t)
	other, client := newClient(t, c), newClient(t, c)
	creating, bare := newProducer(t, client), produce.New(client, produce.Options{})
	defer func() { _ = bare.Close(context.Background()) }()
	prefix := c.Prefix(t)
	for i := range 6 {
		for name, p := range map[string]*produce.Producer{"creating": creating, "bare": bare} {
			topic := fmt.Sprint(prefix, name, i)
			if err := other.EnsureTopic(t.Context(), topic, kafka.TopicSpec{Partitions: 7}); err != nil {
				t.Fatal(err)
			}
			var promises [21]produce.Promise
			for k := range promises {
				p.Produce(within(t, 20*time.Second), record(topic, fmt.Sprint(k), value(k)), true, &promises[k])
			}
			for k := range promises {
				if err := wait(t, &promises[k]); err != nil {
					t.Errorf("%s: %v", topic, err)
				}
			}
		}
	}
}

// What max_request_size lets in, a broker with its defaults takes; a byte more does not leave.
func TestTheLargestRecordPasses(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t)
	p := newProducer(t, newClient(t, c))
	topic := c.Prefix(t) + "large"
	large := strings.Repeat("x", 1<<20)
	const header = 61 // of a batch: what the broker measures is the batch
	size := len(large)
	for wire.RecordSize(nil, []byte(large[:size]), nil) > 1<<20-header {
		size--
	}
	if err := send(t, p, within(t, 20*time.Second), topic, large[:size]); err != nil {
		t.Errorf("%d bytes: %v", size, err)
	}
	if err := send(t, p, within(t, 20*time.Second), topic, large[:size+1]); !errors.Is(err, kafka.ErrTooLarge) {
		t.Errorf("%d bytes: %v, want ErrTooLarge", size+1, err)
	}
}

// A real broker unpacks what it gets and checks it, so that it stands for Java's readers; franz-go reads it back.
func TestEveryCodecIsReadByOthers(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t)
	for _, codec := range []wire.Compression{wire.Gzip, wire.Snappy, wire.Lz4, wire.Zstd} {
		settings := kafka.DefaultSettings()
		settings.Compression = codec
		client, err := kafka.NewClient(c.Servers(), settings, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		p := newProducer(t, client)
		topic := c.Prefix(t) + codec.String()
		values := []string{strings.Repeat("text ", 20_000), "small", strings.Repeat("another text ", 30_000)}
		promises := make([]produce.Promise, len(values))
		for i := range values {
			p.Produce(t.Context(), record(topic, "key", values[i]), false, &promises[i])
		}
		for i := range promises {
			if err := wait(t, &promises[i]); err != nil {
				t.Errorf("%s: %v", codec, err)
			}
		}
		var got []string
		for _, records := range readBack(t, c, topic, len(values)) {
			for _, r := range records {
				got = append(got, string(r.Value))
			}
		}
		if !slices.Equal(got, values) {
			t.Errorf("%s: %d records came back, or others than were sent", codec, len(got))
		}
	}
}

// More partitions of a topic that is in use are used within seconds, and the order of each key holds within each
// partition.
func TestAddedPartitionsAreUsed(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t)
	client := newClient(t, c)
	p := newProducer(t, client)
	topic := c.Prefix(t) + "grows"
	if err := client.EnsureTopic(t.Context(), topic, kafka.TopicSpec{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	if err := send(t, p, within(t, 20*time.Second), topic, "first"); err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Servers()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	grow := kmsg.NewPtrCreatePartitionsRequest()
	grown := kmsg.NewCreatePartitionsRequestTopic()
	grown.Topic, grown.Count = topic, 3
	grow.Topics, grow.TimeoutMillis = append(grow.Topics, grown), 5000
	if response, err := grow.RequestWith(t.Context(), cl); err != nil || response.Topics[0].ErrorCode != 0 {
		t.Fatalf("adding partitions: %+v, %v", response, err)
	}
	used := map[int32]bool{}
	for start := time.Now(); len(used) < 3; {
		if time.Since(start) > 15*time.Second {
			t.Fatalf("after 15s only the partitions %v are used", used)
		}
		var promises [30]produce.Promise
		for i := range promises {
			p.Produce(t.Context(), record(topic, fmt.Sprint(i), value(i)), true, &promises[i])
		}
		for i := range promises {
			if err := wait(t, &promises[i]); err != nil {
				t.Fatal(err)
			}
			partition, _ := promises[i].Position()
			used[partition] = true
		}
	}
}

// A broker that was stopped with SIGSTOP takes connections and answers nothing: who waits for it gets back by the end
// of his context, what it held goes on when it wakes, and Close does not wait for it.
func TestABrokerThatHangsHoldsNobodyPastTheirContext(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t, kafkatest.Own())
	if !c.CanPause() {
		t.Skip("this Kafka cannot be paused: run with KAFKA=apache; the embedded one hangs in " +
			"TestAContextThatEndsInFlightSaysThatTheOutcomeIsUnknown")
	}
	client := newClient(t, c)
	p := newProducer(t, client)
	topic := c.Prefix(t) + "hang"
	if err := send(t, p, within(t, 20*time.Second), topic, "first"); err != nil {
		t.Fatal(err)
	}
	bounded := func(what string, f func() error) {
		t.Helper()
		start := time.Now()
		if err := f(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, want the context's end", what, err)
		}
		if d := time.Since(start); d > 10*time.Second { // a hung request takes 30 s
			t.Errorf("%s took %s with a deadline of 500ms", what, d)
		}
	}
	const limit = 500 * time.Millisecond
	c.Pause(0)
	bounded("a record on its way", func() error { return send(t, p, within(t, limit), topic, "second") })
	bounded("a record of a new topic", func() error { return send(t, p, within(t, limit), topic+"2", "third") })
	bounded("a new topic", func() error { return client.EnsureTopic(within(t, limit), topic+"3", kafka.TopicSpec{}) })
	bounded("offsets", func() error {
		_, err := client.ListOffsets(within(t, limit), []kafka.TopicPartition{{Topic: topic}}, kafka.EndOffset)
		return err
	})
	bounded("versions of a client that comes only now", func() error {
		return newClient(t, c).CheckVersions(within(t, limit))
	})
	c.Resume(0)
	if err := send(t, p, within(t, 40*time.Second), topic, "fourth"); err != nil {
		t.Fatal(err)
	}
	c.Pause(0)
	var last produce.Promise
	p.Produce(t.Context(), record(topic, "", "last"), true, &last)
	bounded("Close", func() error { return p.Close(within(t, limit)) })
	if err := wait(t, &last); !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("the record that Close left: %v", err)
	}
	start := time.Now()
	client.Close()
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("the client took %s to close", d)
	}
	c.Resume(0)
}

// Three nodes, one of them killed while it leads and records of keys are on their way: nothing is lost, doubled or out
// of order, and it goes on with the other two.
func TestAKilledLeaderOfThreeLosesNothing(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t, kafkatest.Nodes(3), kafkatest.Own())
	if !c.CanKill() {
		t.Skip("one of three brokers cannot be killed here: run with KAFKA=apache; the embedded one moves its leaders in " +
			"TestAKeysOrderHoldsWhileLeadersMoveAndAnswersAreLost")
	}
	client := newClient(t, c)
	p := newProducer(t, client)
	topic := c.Prefix(t) + "three"
	if err := client.EnsureTopic(within(t, 30*time.Second), topic, kafka.TopicSpec{}); err != nil {
		t.Fatal(err)
	}
	checkReplicas(t, c, topic, 7, 3)
	snapshot, err := client.AllTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	killed := int(snapshot.Topics[topic].Leaders[0]) - 1 // Kafka counts its nodes from 1

	const keys, n = 21, 4000
	promises := make([]produce.Promise, keys*n)
	var (
		wg       sync.WaitGroup
		produced atomic.Int64
	)
	for k := range keys {
		wg.Go(func() {
			for i := range n {
				at := k*n + i
				p.Produce(t.Context(), record(topic, fmt.Sprint("key", k), value(i)), i%100 == 0, &promises[at])
				produced.Add(1)
				if i%20 == 0 { // so that there is something to do all the time
					<-promises[at].Done()
				}
			}
		})
	}
	testkit.Until(t, "a tenth is produced", func() bool { return produced.Load() > keys*n/10 })
	c.Kill(killed)
	start := time.Now()
	wg.Wait()
	for i := range promises {
		if err := wait(t, &promises[i]); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
	t.Attr("figures", fmt.Sprintf("all acknowledged %s after the kill, by the other two: %+v",
		time.Since(start).Round(time.Millisecond), p.Stats()))
	if s := p.Stats(); s.Retries == 0 {
		t.Error("no batch was on its way to the leader that was killed: the test shows nothing")
	}
	checkOrder(t, readBack(t, c, topic, keys*n), keys, n)
}

// checkReplicas looks at how a topic was created.
func checkReplicas(t *testing.T, c *kafkatest.Cluster, topic string, partitions, replicas int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Servers()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	request := kmsg.NewPtrMetadataRequest()
	requested := kmsg.NewMetadataRequestTopic()
	requested.Topic = kmsg.StringPtr(topic)
	request.Topics = append(request.Topics, requested)
	response, err := request.RequestWith(within(t, 10*time.Second), cl)
	if err != nil {
		t.Fatal(err)
	}
	if got := response.Topics[0].Partitions; len(got) != partitions {
		t.Errorf("%d partitions, want %d", len(got), partitions)
	}
	for _, p := range response.Topics[0].Partitions {
		if len(p.Replicas) != replicas {
			t.Errorf("partition %d has %d replicas, want %d", p.Partition, len(p.Replicas), replicas)
		}
	}
}
