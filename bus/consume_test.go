package bus_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// quick are settings that make a test wait less: for heartbeats, for commits, for new topics.
func quick(more ...bus.Settings) bus.Settings {
	s := bus.Settings{
		"heartbeat_interval_ms": 100, "auto_commit_interval_ms": 100, "metadata_max_age_ms": 200, "fetch_max_wait_ms": 100,
		"retry_backoff_ms": 20,
	}
	for _, m := range more {
		for name, value := range m {
			s[name] = value
		}
	}
	return s
}

// embedded asks for a fake cluster of the test's own, to inject faults into. The option given changes nothing; that
// there is one says that no other Kafka will do.
func embedded() kafkatest.Option { return kafkatest.Kfake(kfake.DefaultNumPartitions(7)) }

// world is what Apps of one test have in common: a cluster, a prefix, and a client that shares no code with what is
// tested.
type world struct {
	t       *testing.T
	cluster *kafkatest.Cluster
	prefix  string
	raw     *kgo.Client

	transactions *kgo.Client // of transaction; nil before the first
}

func newWorld(t *testing.T, opts ...kafkatest.Option) *world {
	t.Helper()
	w := &world{t: t, cluster: kafkatest.Start(t, opts...)}
	w.prefix = w.cluster.Prefix(t)
	w.connect()
	return w
}

// connect makes the client, anew for a test that has closed it.
func (w *world) connect() {
	w.t.Helper()
	raw, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.Servers()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(10*time.Millisecond), kgo.UnknownTopicRetries(-1),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(raw.Close)
	w.raw = raw
}

// app returns an App of this world, which is closed with the test. Fields that are set in config replace those of the
// world.
func (w *world) app(config ...bus.Config) *bus.App {
	w.t.Helper()
	app := w.unclosed(config...)
	w.t.Cleanup(func() { closeApp(w.t, app) })
	return app
}

// unclosed is app for tests that close it themselves.
func (w *world) unclosed(config ...bus.Config) *bus.App {
	app := bus.New(bus.Config{Servers: w.cluster.Servers(), TopicPrefix: w.prefix, Settings: quick(),
		Logger: testkit.Logger(w.t)})
	for _, more := range config {
		app.Configure(more)
	}
	return app
}

// group returns a group's name that no other test has.
func (w *world) group(name string) string { return w.prefix + name }

// stream makes a stream, with settings of its topic, each as name=value.
func (w *world) stream(name string, partitions int32, configs ...string) {
	w.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = w.prefix+name, partitions, 1
	for _, c := range configs {
		key, value, _ := strings.Cut(c, "=")
		topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: key, Value: &value})
	}
	req.Topics = append(req.Topics, topic)
	res, err := req.RequestWith(w.t.Context(), w.raw)
	if err == nil {
		err = kerr.ErrorForCode(res.Topics[0].ErrorCode)
	}
	if err != nil {
		w.t.Fatalf("create stream %q: %v", name, err)
	}
	if w.cluster.IsReal() { // whose broker knows of a topic a moment after its controller has made it
		eventually(w.t, func() bool { return w.partitions(name) > 0 }, says("the broker does not know stream "+name))
	}
}

// put writes values into a partition, one record each.
func (w *world) put(stream string, partition int32, values ...string) {
	w.t.Helper()
	w.putAt(stream, partition, time.Time{}, values...)
}

// putAt is put with a time, the zero one being now.
func (w *world) putAt(stream string, partition int32, at time.Time, values ...string) {
	w.t.Helper()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Topic: w.prefix + stream, Partition: partition, Value: []byte(v), Timestamp: at}
	}
	w.putRecords(records...)
}

func (w *world) putRecords(records ...*kgo.Record) {
	w.t.Helper()
	if err := w.raw.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatalf("write: %v", err)
	}
}

// contents returns n envelopes with numbers from first on.
func contents(first, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`{"schema":"Content:1","data":{"title":"t","n":%d}}`, first+i)
	}
	return all
}

// committed returns what a group has committed for a stream, by partition. Partitions without a commit are not in it.
func (w *world) committed(group, stream string) map[int32]int64 {
	w.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	var res *kmsg.OffsetFetchResponse
	w.patiently("fetch the offsets of "+group, func() (err error) {
		res, err = req.RequestWith(w.t.Context(), w.raw)
		return err
	})
	offsets := make(map[int32]int64)
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			if t.Topic == w.prefix+stream && p.Offset >= 0 {
				offsets[p.Partition] = p.Offset
			}
		}
	}
	return offsets
}

// patiently asks until the answer is not one to ask again for: a broker that has just started has no coordinators at
// first.
func (w *world) patiently(what string, ask func() error) {
	w.t.Helper()
	var err error
	eventually(w.t, func() bool {
		err = ask()
		return !kerr.IsRetriable(err)
	}, func() string { return fmt.Sprintf("%s: %v", what, err) })
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// waitCommitted waits until the group has committed exactly this.
func (w *world) waitCommitted(group, stream string, want map[int32]int64) {
	w.t.Helper()
	var got map[int32]int64
	eventually(w.t, func() bool {
		got = w.committed(group, stream)
		for p, offset := range want {
			if got[p] != offset {
				return false
			}
		}
		return true
	}, func() string { return fmt.Sprintf("committed %v, want %v", got, want) })
}

// eventually waits until a condition holds. what tells what has been seen instead, when it does not.
func eventually(t *testing.T, holds func() bool, what func() string) {
	t.Helper()
	testkit.Eventually(t, holds, what)
}

// says makes the last argument of eventually out of a text.
func says(text string) func() string { return func() string { return text } }

// running runs an App. It is ended with the test, or by the function that is returned, which tells what Run returned.
func running(t *testing.T, app *bus.App) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return result(t, ended)
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

// result waits for what Run returned.
func result(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(30 * time.Second):
		t.Error("Run does not end")
		return nil
	}
}

// runs runs an App until it ends by itself.
func runs(t *testing.T, app *bus.App) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := app.Run(ctx)
	if ctx.Err() != nil {
		t.Fatal("Run does not end by itself")
	}
	return err
}

// list is a list that handlers append to.
type list[T any] struct {
	mu  sync.Mutex
	all []T
}

func (l *list[T]) add(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, v)
}

func (l *list[T]) get() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

func (l *list[T]) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// wait waits until there are n.
func (l *list[T]) wait(t *testing.T, n int) []T {
	t.Helper()
	eventually(t, func() bool { return l.len() >= n },
		func() string { return fmt.Sprintf("%d of %d: %v", l.len(), n, l.get()) })
	return l.get()
}

// numbers collects the numbers of contents.
type numbers struct{ list[int] }

func (l *numbers) handle(_ context.Context, c Content) error {
	l.add(c.N)
	return nil
}

func (l *numbers) sorted() []int { return slices.Sorted(slices.Values(l.get())) }

// upTo returns first, first+1 and so on, n of them.
func upTo(first, n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = first + i
	}
	return all
}

// logged takes an App's log.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// header returns a record's header as text.
func header(r *bus.Record, name string) string {
	value, _ := r.Header(name)
	return string(value)
}

// fast is a retry policy that does not wait.
func fast(attempts int) bus.SubscribeOption {
	return bus.Retry(bus.RetryPolicy{Attempts: attempts, FirstPause: time.Millisecond, MaxPause: 5 * time.Millisecond})
}

// stats returns those of an App's only subscription.
func stats(app *bus.App) bus.SubscriptionStats { return app.Stats().Subscriptions[0] }

// stable waits until the App's members have their partitions, n over all.
func stable(t *testing.T, n int, apps ...*bus.App) {
	t.Helper()
	count := func() (assigned int, all bool) {
		for _, app := range apps {
			for _, s := range app.Stats().Subscriptions {
				if s.State != "stable" {
					return assigned, false
				}
				assigned += len(s.Assigned)
			}
		}
		return assigned, true
	}
	eventually(t, func() bool { got, all := count(); return all && got == n },
		func() string {
			got, all := count()
			return fmt.Sprintf("%d of %d partitions are assigned, stable %v", got, n, all)
		})
}
