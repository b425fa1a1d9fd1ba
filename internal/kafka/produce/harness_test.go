package produce_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

func TestMain(m *testing.M) {
	// A schedule takes real time: it waits for brokers and contexts. -rapid.checks asks for more of them.
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
	kafkatest.Main(m)
}

// bench is one broker (or more), one client and the means to break what lies between.
type bench struct {
	t      testing.TB
	fake   *kfake.Cluster
	net    *cables
	client *kafka.Client
}

func newBench(t testing.TB, opts ...kfake.Opt) *bench {
	t.Helper()
	w := &cables{conns: map[*cable]struct{}{}}
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.ListenFn(w.listen)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	return &bench{t: t, fake: fake, net: w}
}

// producer makes a client with the settings changed, and a producer that both end with the test.
func (b *bench) producer(o produce.Options, change func(*kafka.Settings)) *produce.Producer {
	b.t.Helper()
	s := kafka.DefaultSettings()
	s.MetadataMaxAge = 100 * time.Millisecond
	if change != nil {
		change(&s)
	}
	client, err := kafka.NewClient(b.fake.ListenAddrs(), s, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.client = client
	p := produce.New(client, o)
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_ = p.Close(ctx)
		b.net.heal()
		client.Close()
	})
	return p
}

func (b *bench) topic(name string, partitions int32) {
	b.t.Helper()
	if err := b.fake.CreateTopic(name, partitions, nil); err != nil {
		b.t.Fatal(err)
	}
}

// read returns everything in the topic, partition by partition, in order.
func (b *bench) read(topic string) map[int32][]*kgo.Record {
	b.t.Helper()
	ends := map[int32]int64{}
	want, got := int64(0), int64(0)
	for _, p := range b.fake.PartitionInfos(topic) {
		ends[p.Partition] = p.HighWatermark
		want += p.HighWatermark
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.fake.ListenAddrs()...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		b.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	out := map[int32][]*kgo.Record{}
	for got < want {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			b.t.Fatalf("read %d of %d records: %v", got, want, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			out[r.Partition] = append(out[r.Partition], r)
			got++
		})
	}
	return out
}

// values is read for tests that look at the values alone: how often each is there.
func (b *bench) values(topic string) map[string]int {
	seen := map[string]int{}
	for _, records := range b.read(topic) {
		for _, r := range records {
			seen[string(r.Value)]++
		}
	}
	return seen
}

// wait returns the outcome of a promise.
func wait(t testing.TB, p *produce.Promise) error {
	t.Helper()
	select {
	case <-p.Done():
		return p.Err()
	case <-time.After(30 * time.Second):
		t.Fatal("a promise was not resolved within 30s")
		return nil
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func record(topic, key, value string) produce.Record {
	r := produce.Record{Topic: topic, Value: []byte(value)}
	if key != "" {
		r.Key = []byte(key)
	}
	return r
}

// send produces one record and waits for its outcome.
func send(t testing.TB, p *produce.Producer, ctx context.Context, topic, value string) error {
	t.Helper()
	var promise produce.Promise
	p.Produce(ctx, record(topic, "", value), true, &promise)
	return wait(t, &promise)
}

// cables are the connections of a broker, seen from its side.
type cables struct {
	mu    sync.Mutex
	conns map[*cable]struct{}
	stuck chan struct{}          // not nil: nothing is read or written until it is closed
	lose  func(answers int) bool // decides whether an answer is lost, and its connection with it
	n     int
}

func (w *cables) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	return &cabledListener{Listener: l, cables: w}, err
}

type cabledListener struct {
	net.Listener
	cables *cables
}

func (l *cabledListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	w := &cable{Conn: c, cables: l.cables}
	l.cables.mu.Lock()
	l.cables.conns[w] = struct{}{}
	l.cables.mu.Unlock()
	return w, nil
}

// cut closes all connections, as a killed broker does.
func (w *cables) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		c.Conn.Close()
	}
	clear(w.conns)
}

// hang stops all traffic, as SIGSTOP does; heal lets it go on.
func (w *cables) hang() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stuck = make(chan struct{})
}

func (w *cables) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stuck != nil {
		close(w.stuck)
		w.stuck = nil
	}
	w.lose = nil
}

// loseAnswers makes lose decide about each answer the broker writes from now on.
func (w *cables) loseAnswers(lose func(n int) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose, w.n = lose, 0
}

func (w *cables) gate() {
	w.mu.Lock()
	stuck := w.stuck
	w.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
}

type cable struct {
	net.Conn
	cables *cables
}

func (c *cable) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.cables.gate()
	return n, err
}

func (c *cable) Write(b []byte) (int, error) {
	c.cables.gate()
	c.cables.mu.Lock()
	lost := c.cables.lose != nil && c.cables.lose(c.cables.n)
	c.cables.n++
	c.cables.mu.Unlock()
	if lost {
		c.Conn.Close()
		return 0, errors.New("cut by the test")
	}
	return c.Conn.Write(b)
}

func value(i int) string { return fmt.Sprintf("value-%06d", i) }

// maybe reports whether an error says that the record may be there all the same.
func maybe(err error) bool { return errors.Is(err, produce.ErrUnacknowledged) }
