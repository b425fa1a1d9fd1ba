package tail_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/tail"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// embedded asks for a fake cluster of the test's own, to inject faults into. The option given changes
// nothing; that there is one says that no other Kafka will do.
func embedded() kafkatest.Option { return kafkatest.Kfake(kfake.DefaultNumPartitions(7)) }

// bench is a cluster, a client and a producer that shares no code with what is tested.
type bench struct {
	t        *testing.T
	cluster  *kafkatest.Cluster
	client   *kafka.Client
	producer *kgo.Client
	prefix   string
}

func setup(t *testing.T, opts ...kafkatest.Option) *bench {
	t.Helper()
	b := &bench{t: t, cluster: kafkatest.Start(t, opts...)}
	b.prefix = b.cluster.Prefix(t)
	b.client = b.newClient()
	b.producer = b.newProducer()
	return b
}

func (b *bench) newClient() *kafka.Client {
	b.t.Helper()
	c, err := kafka.NewClient(b.cluster.Servers(), kafka.DefaultSettings(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	return c
}

func (b *bench) newProducer(opts ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	p, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.cluster.Servers()...),
		kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(p.Close)
	return p
}

// create makes a topic, by another client than the one that tails.
func (b *bench) create(name string, partitions int) string {
	b.t.Helper()
	c, err := kafka.NewClient(b.cluster.Servers(), kafka.DefaultSettings(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	if err := c.EnsureTopic(b.t.Context(), b.prefix+name, kafka.TopicSpec{Partitions: partitions}); err != nil {
		b.t.Fatal(err)
	}
	return b.prefix + name
}

func (b *bench) remove(topic string) {
	b.t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 5000
	req.TopicNames = []string{topic}
	rt := kmsg.NewDeleteTopicsRequestTopic()
	rt.Topic = &topic
	req.Topics = append(req.Topics, rt)
	res, err := req.RequestWith(b.t.Context(), b.producer)
	if err != nil {
		b.t.Fatal(err)
	}
	if code := res.Topics[0].ErrorCode; code != 0 {
		b.t.Fatalf("deleting %s: code %d", topic, code)
	}
}

// write produces values, each acknowledged before the next.
func (b *bench) write(topic string, partition int32, values ...string) {
	b.t.Helper()
	for _, v := range values {
		b.writeAt(topic, partition, time.Time{}, v)
	}
}

func (b *bench) writeAt(topic string, partition int32, at time.Time, value string) {
	b.t.Helper()
	r := &kgo.Record{Topic: topic, Partition: partition, Timestamp: at, Value: []byte(value)}
	if err := b.producer.ProduceSync(b.t.Context(), r).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}

// match takes the topics of this test.
func (b *bench) match(name string) bool { return strings.HasPrefix(name, b.prefix) }

// all runs a tail that ends by itself, and returns its values.
func (b *bench) all(o tail.Options) []string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	if o.Match == nil {
		o.Match = b.match
	}
	o.StopAtEnd = true
	var values []string
	for c, err := range tail.Run(ctx, b.newClient(), o) {
		if err != nil {
			b.t.Fatalf("after %d records: %v", len(values), err)
		}
		for _, r := range c.Records {
			values = append(values, string(r.Value))
		}
	}
	return values
}

// running is a tail that follows.
type running struct {
	t      *testing.T
	values chan string
	errs   chan error
}

// follow starts a tail, and returns when it has begun: when it has seen the record that is written to a
// topic of its own.
func (b *bench) follow(o tail.Options) *running {
	b.t.Helper()
	r := &running{t: b.t, values: make(chan string, 10_000), errs: make(chan error, 100)}
	if o.Match == nil {
		o.Match = b.match
	}
	signal := "signal." + b.prefix
	match := o.Match
	o.Match = func(name string) bool { return name == signal || match(name) }
	own, err := kafka.NewClient(b.cluster.Servers(), kafka.DefaultSettings(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := own.EnsureTopic(b.t.Context(), signal, kafka.TopicSpec{Partitions: 1}); err != nil {
		b.t.Fatal(err)
	}
	own.Close()
	ctx, cancel := context.WithCancel(b.t.Context())
	began := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		var once sync.Once
		for c, err := range tail.Run(ctx, b.client, o) {
			if err != nil {
				r.errs <- err
				continue
			}
			if c.Topic == signal {
				once.Do(func() { close(began) })
				continue
			}
			for _, rec := range c.Records {
				r.values <- string(rec.Value)
			}
		}
	})
	b.t.Cleanup(func() { cancel(); wg.Wait() })
	for {
		b.writeAt(signal, 0, time.UnixMilli(1), "?") // too old to be among the last
		select {
		case <-began:
			return r
		case <-time.After(20 * time.Millisecond):
		case <-b.t.Context().Done():
			b.t.Fatal("the tail did not begin")
		}
	}
}

// expect takes the next values, in any order.
func (r *running) expect(within time.Duration, want ...string) {
	r.t.Helper()
	deadline := time.After(within)
	var got []string
	for len(got) < len(want) {
		select {
		case v := <-r.values:
			got = append(got, v)
		case err := <-r.errs:
			r.t.Fatalf("after %q: %v", got, err)
		case <-deadline:
			r.t.Fatalf("within %s: got %q, want %q", within, got, want)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Fatal(diff)
	}
}
