package group_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// long is what any state is waited for. It is far more than anything takes.
const long = 60 * time.Second

// bench is a cluster and a client that shares no code with what is tested.
type bench struct {
	t       *testing.T
	cluster *kafkatest.Cluster
	prefix  string
	group   string
	admin   *kgo.Client
	offsets *kafka.Client // creates topics
}

func setup(t *testing.T, opts ...kafkatest.Option) *bench {
	t.Helper()
	cluster := kafkatest.Start(t, opts...)
	b := &bench{t: t, cluster: cluster, prefix: cluster.Prefix(t)}
	b.group = b.prefix + "group"
	admin, err := kgo.NewClient(kgo.SeedBrokers(cluster.Servers()...), kgo.RequestRetries(20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	b.admin = admin
	b.offsets = b.client(nil)
	return b
}

// faulty asks for an embedded cluster of the test's own, to inject faults into.
func faulty() kafkatest.Option {
	return kafkatest.Kfake(kfake.GroupMinSessionTimeout(100 * time.Millisecond))
}

func (b *bench) client(change func(*kafka.Settings)) *kafka.Client {
	b.t.Helper()
	s := kafka.DefaultSettings()
	s.MetadataMaxAge = 100 * time.Millisecond
	s.SessionTimeout, s.HeartbeatInterval, s.RebalanceTimeout = 6*time.Second, 100*time.Millisecond, 20*time.Second
	s.RequestTimeout = 5 * time.Second
	if change != nil {
		change(&s)
	}
	c, err := kafka.NewClient(b.cluster.Servers(), s, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	return c
}

// topic makes a topic and returns its name.
func (b *bench) topic(name string, partitions int) string {
	b.t.Helper()
	name = b.prefix + name
	if err := b.offsets.EnsureTopic(b.t.Context(), name, kafka.TopicSpec{Partitions: partitions}); err != nil {
		b.t.Fatal(err)
	}
	return name
}

func (b *bench) grow(topic string, partitions int32) {
	b.t.Helper()
	req := kmsg.NewPtrCreatePartitionsRequest()
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic, rt.Count = topic, partitions
	req.Topics, req.TimeoutMillis = append(req.Topics, rt), 10_000
	res, err := req.RequestWith(b.t.Context(), b.admin)
	if err == nil {
		err = kerr.ErrorForCode(res.Topics[0].ErrorCode)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) delete(topic string) {
	b.t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	rt := kmsg.NewDeleteTopicsRequestTopic()
	rt.Topic = kmsg.StringPtr(topic)
	req.Topics, req.TopicNames, req.TimeoutMillis = append(req.Topics, rt), []string{topic}, 10_000
	res, err := req.RequestWith(b.t.Context(), b.admin)
	if err == nil {
		err = kerr.ErrorForCode(res.Topics[0].ErrorCode)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// committed asks the broker what the group has committed; -1 is nothing.
func (b *bench) committed(topic string, partition int32) int64 {
	b.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = b.group
	rt := kmsg.NewOffsetFetchRequestTopic()
	rt.Topic, rt.Partitions = topic, []int32{partition}
	req.Topics = append(req.Topics, rt)
	rg := kmsg.NewOffsetFetchRequestGroup()
	rg.Group = b.group
	gt := kmsg.NewOffsetFetchRequestGroupTopic()
	gt.Topic, gt.Partitions = topic, []int32{partition}
	rg.Topics = append(rg.Topics, gt)
	req.Groups = append(req.Groups, rg)
	var at int64
	b.until("the coordinator answers", func() bool {
		res, err := req.RequestWith(b.t.Context(), b.admin)
		switch {
		case err != nil:
			return false
		case len(res.Groups) > 0:
			if res.Groups[0].ErrorCode != 0 {
				return false
			}
			at = res.Groups[0].Topics[0].Partitions[0].Offset
		default:
			at = res.Topics[0].Partitions[0].Offset
		}
		return true
	})
	return at
}

// until waits for a state.
func (b *bench) until(what string, is func() bool) {
	b.t.Helper()
	testkit.Until(b.t, what, is)
}

// consumer is a Consumer without a bus: it notes what it is given, and its marks are what the test says.
type consumer struct {
	mu      sync.Mutex
	given   *group.Assignment // nil when it has nothing
	last    group.Assignment
	all     []group.Assignment
	marks   map[kafka.TopicPartition]int64
	wrong   error
	drain   func(ctx context.Context) // what takes time in a drain
	drained int
}

func (c *consumer) Assign(a group.Assignment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.given != nil {
		c.wrong = fmt.Errorf("generation %d is assigned and %d was not drained", a.Generation, c.given.Generation)
	}
	c.given, c.last, c.all = &a, a, append(c.all, a)
	maps.DeleteFunc(c.marks, func(p kafka.TopicPartition, _ int64) bool { _, mine := a.Partitions[p]; return !mine })
}

func (c *consumer) Drain(ctx context.Context) {
	c.mu.Lock()
	drain := c.drain
	if c.given == nil {
		c.wrong = errors.New("drained without an assignment")
	}
	c.mu.Unlock()
	if drain != nil {
		drain(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.given = nil
	c.drained++
}

func (c *consumer) Marks() map[kafka.TopicPartition]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.marks)
}

func (c *consumer) mark(p kafka.TopicPartition, offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.marks == nil {
		c.marks = make(map[kafka.TopicPartition]int64)
	}
	c.marks[p] = offset
}

// has returns the partitions it is working now, in order, as "topic/0 topic/1", topics without their prefix.
func (m *member) has() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.given == nil {
		return "nothing"
	}
	var parts []string
	for p := range m.given.Partitions {
		parts = append(parts, strings.TrimPrefix(p.String(), m.b.prefix))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func (m *member) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.given == nil {
		return -1
	}
	return len(m.given.Partitions)
}

func (m *member) generation() int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last.Generation
}

func (m *member) start(p kafka.TopicPartition) group.Start {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last.Partitions[p]
}

func (m *member) drains() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.drained
}

// member is one that runs.
type member struct {
	*group.Member
	consumer
	b      *bench
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

type option func(*group.Config, *kafka.Settings)

// member runs a member of the bench's group that wants all topics of the test. It is stopped with the test.
func (b *bench) member(opts ...option) *member {
	b.t.Helper()
	m := b.unrun(opts...)
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go func() {
		defer close(m.done)
		m.err = m.Run(ctx)
	}()
	b.t.Cleanup(func() {
		_ = m.stop() // tests that mean it look at it
		if m.wrong != nil {
			b.t.Error(m.wrong)
		}
	})
	return m
}

func (b *bench) unrun(opts ...option) *member {
	b.t.Helper()
	m := &member{b: b, done: make(chan struct{})}
	cfg := group.Config{
		Group:    b.group,
		Match:    func(topic string) bool { return strings.HasPrefix(topic, b.prefix) },
		Commit:   50 * time.Millisecond,
		Drain:    10 * time.Second,
		Consumer: m,
		Logger:   testkit.Logger(b.t),
	}
	client := b.client(func(s *kafka.Settings) {
		for _, o := range opts {
			o(&cfg, s)
		}
	})
	m.Member = group.New(client, cfg)
	return m
}

// stop tells the member to stop, and returns what Run did.
func (m *member) stop() error {
	m.b.t.Helper()
	m.cancel()
	return m.end()
}

// end waits for Run.
func (m *member) end() error {
	m.b.t.Helper()
	select {
	case <-m.done:
	case <-time.After(long):
		m.b.t.Fatal("Run does not return")
	}
	return m.err
}

func (b *bench) work(m *member) {
	b.t.Helper()
	b.until("the member works", func() bool { return m.count() >= 0 })
}
