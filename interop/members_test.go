package interop

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

// member is a member of a group, whoever made it.
type member interface {
	handled() map[string]int // how often each value
	assigned() int           // partitions; -1 = not known yet
	stop()                   // leaves the group and ends; it may be called again
}

// counter counts values.
type counter struct {
	mu    sync.Mutex
	count map[string]int
}

func (c *counter) add(value []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count = make(map[string]int)
	}
	c.count[string(value)]++
}

func (c *counter) handled() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.count)
}

// ours is a member of this library.
type ours struct {
	counter
	app *bus.App
	end func()
}

func startOurs(t *testing.T, servers []string, prefix, group, stream string) *ours {
	t.Helper()
	m := &ours{app: bus.New(bus.Config{Servers: servers, TopicPrefix: prefix,
		Settings: bus.Settings{"heartbeat_interval_ms": 300}})}
	bus.MustSubscribe(m.app, stream, func(_ context.Context, value []byte) error {
		m.add(value)
		return nil
	}, bus.Group(group))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.app.Run(ctx) }()
	m.end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("our member: %v", err)
		}
		limited, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := m.app.Close(limited); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(m.end)
	return m
}

func (m *ours) stop() { m.end() }

func (m *ours) assigned() int {
	if s := m.app.Stats().Subscriptions[0]; s.State == "stable" {
		return len(s.Assigned)
	}
	return -1
}

// franz is a member of franz-go.
type franz struct {
	counter
	has atomic.Int64
	end func()
}

func startFranz(t *testing.T, servers []string, group, topic string) *franz {
	t.Helper()
	m := &franz{}
	m.has.Store(-1)
	count := func(d int64) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
			n := max(m.has.Load(), 0)
			for _, partitions := range topics {
				n += d * int64(len(partitions))
			}
			m.has.Store(n)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(servers...), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.Balancers(kgo.RoundRobinBalancer(), kgo.RangeBalancer()), kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.OnPartitionsAssigned(count(1)),
		kgo.OnPartitionsRevoked(func(ctx context.Context, c *kgo.Client, topics map[string][]int32) {
			if err := c.CommitUncommittedOffsets(ctx); err != nil {
				t.Logf("franz-go: commit: %v", err)
			}
			count(-1)(ctx, c, topics)
		}), kgo.OnPartitionsLost(count(-1)), kgo.AutoCommitInterval(200*time.Millisecond), kgo.BlockRebalanceOnPoll())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { m.add(r.Value) })
			client.AllowRebalance()
		}
	}()
	m.end = sync.OnceFunc(func() {
		cancel()
		<-ended
		limited, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := client.CommitUncommittedOffsets(limited); err != nil {
			t.Logf("franz-go: commit: %v", err)
		}
		client.CloseAllowingRebalance()
	})
	t.Cleanup(m.end)
	return m
}

func (m *franz) stop()         { m.end() }
func (m *franz) assigned() int { return int(m.has.Load()) }
