package fetch_test

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// embedded asks for a fake cluster of the test's own, to inject faults into. The option given changes
// nothing; that there is one says that no other Kafka will do.
func embedded() kafkatest.Option { return kafkatest.Kfake(kfake.DefaultNumPartitions(7)) }

// bench is a cluster with one topic, a client and a producer that shares no code with what is tested.
type bench struct {
	t        *testing.T
	cluster  *kafkatest.Cluster
	client   *kafka.Client
	producer *kgo.Client
	topic    string
}

// setup makes a bench whose topic has some partitions.
func setup(t *testing.T, partitions int, opts ...kafkatest.Option) *bench {
	t.Helper()
	b := &bench{t: t, cluster: kafkatest.Start(t, opts...)}
	b.topic = b.cluster.Prefix(t) + "topic"
	b.client = newClient(t, b.cluster)
	if err := b.client.EnsureTopic(t.Context(), b.topic, kafka.TopicSpec{Partitions: partitions}); err != nil {
		t.Fatal(err)
	}
	b.producer = b.newProducer()
	return b
}

func newClient(t *testing.T, cluster *kafkatest.Cluster) *kafka.Client {
	t.Helper()
	s := kafka.DefaultSettings()
	s.FetchMaxWait = 100 * time.Millisecond
	return newClientOf(t, cluster, s)
}

func newClientOf(t *testing.T, cluster *kafkatest.Cluster, s kafka.Settings) *kafka.Client {
	t.Helper()
	c, err := kafka.NewClient(cluster.Servers(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (b *bench) newProducer(opts ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	p, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.cluster.Servers()...), kgo.DefaultProduceTopic(b.topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, opts...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(p.Close)
	return p
}

// produce writes records, one after another or in batches as franz-go likes it.
func (b *bench) produce(p *kgo.Client, records ...*kgo.Record) {
	b.t.Helper()
	if err := p.ProduceSync(b.t.Context(), records...).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) part(id int32) kafka.TopicPartition {
	return kafka.TopicPartition{Topic: b.topic, Partition: id}
}

// fetcher returns a Fetcher that is closed with the test.
func (b *bench) fetcher(o fetch.Options) *fetch.Fetcher {
	f := fetch.New(b.client, o)
	b.t.Cleanup(f.Close)
	return f
}

// seen is what came out of a Fetcher.
type seen struct {
	values map[int32][]string
	next   map[int32]int64
	errs   []error
}

// read takes chunks until enough says so, and fails the test when that takes too long.
func (b *bench) read(f *fetch.Fetcher, enough func(*seen) bool) *seen {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	s := &seen{values: make(map[int32][]string), next: make(map[int32]int64)}
	for !enough(s) {
		c, err := f.Next(ctx)
		if ctx.Err() != nil {
			b.t.Fatalf("waited too long; so far %d partitions, next %v, errors %v", len(s.values), s.next, s.errs)
		}
		if err != nil {
			s.errs = append(s.errs, err)
			if bad, ok := errors.AsType[*fetch.PartitionError](err); ok && bad.Next >= 0 {
				s.next[bad.Partition] = bad.Next
			}
			continue
		}
		for _, r := range c.Records {
			s.values[c.Partition] = append(s.values[c.Partition], string(r.Value))
		}
		s.next[c.Partition] = c.Next
	}
	return s
}

// nextIs is enough for read when partition 0 goes on at an offset.
func nextIs(offset int64) func(*seen) bool {
	return func(s *seen) bool { return s.next[0] >= offset }
}

// batch returns a sealed batch as it would lie in the log at base.
func batch(t testing.TB, base int64, c wire.Compression, values ...string) []byte {
	t.Helper()
	var b wire.Builder
	for _, v := range values {
		b.Append(1, nil, []byte(v), nil)
	}
	sealed, err := b.Seal(wire.NoProducer(), c)
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint64(sealed, uint64(base))
	return sealed
}

// reseal makes the checksum of a batch right after a change.
func reseal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// answerFetch has the fake broker answer fetches of partition 0 from hand-made bytes: log returns them
// for the offset asked for. It never waits for more, as a broker would: a Fetcher must not spin on that.
func (b *bench) answerFetch(end int64, log func(offset int64) []byte) {
	fake := b.cluster.Fake()
	fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		req := r.(*kmsg.FetchRequest)
		res := req.ResponseKind().(*kmsg.FetchResponse)
		for _, t := range req.Topics {
			rt := kmsg.NewFetchResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewFetchResponseTopicPartition()
				rp.Partition, rp.HighWatermark, rp.LastStableOffset = p.Partition, end, end
				if p.Partition == 0 {
					rp.RecordBatches = log(p.FetchOffset)
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			res.Topics = append(res.Topics, rt)
		}
		return res, nil, true
	})
}

// shortly returns a context that ends before anything new can come.
func shortly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
