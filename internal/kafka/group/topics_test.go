package group_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
)

// TestMissingTopic is invariant 8: a topic that is not there keeps nobody from the others, is not created by being
// wanted, and makes nobody join again and again. When it comes it is worked from its first record.
func TestMissingTopic(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.topic("there", 2)
	missing := b.prefix + "missing"
	wants := func(c *group.Config, _ *kafka.Settings) {
		c.Match = func(topic string) bool { return topic == b.prefix+"there" || topic == missing }
	}
	m := b.member(wants)
	b.until("it has what is there", func() bool { return m.has() == "there/0 there/1" })
	_ = kafka.Sleep(t.Context(), 1500*time.Millisecond) // a few looks
	if n := m.Status().Rebalances; n != 1 {
		t.Errorf("%d generations with nothing to change", n)
	}
	res, err := topics(t, b)
	if err != nil || res[missing] {
		t.Errorf("%v: the topic was created by being wanted", err)
	}
	b.topic("missing", 1)
	b.until("it has what came", func() bool { return m.has() == "missing/0 there/0 there/1" })
	if s := m.start(kafka.TopicPartition{Topic: missing}); s != (group.Start{Committed: -1, Late: true}) {
		t.Errorf("the new topic begins at %+v", s)
	}
}

func topics(t *testing.T, b *bench) (map[string]bool, error) {
	res, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), b.admin)
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool)
	for _, topic := range res.Topics {
		names[*topic.Topic] = true
	}
	return names, nil
}

// TestNothingWanted has no topic at all in the beginning.
func TestNothingWanted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m := b.member()
	b.until("it works nothing", func() bool { return m.has() == "" && m.Status().State == group.Stable })
	b.topic("t", 1)
	b.until("it has what came", func() bool { return m.has() == "t/0" })
}

// TestFollowerSeesItFirst is invariants 9 and 10: a new topic and added partitions that only a follower sees reach the
// group through what it says when it joins again. The leader does not want the topics in question, and looks at the
// cluster once in a minute.
func TestFollowerSeesItFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.topic("first", 2)
	leader := b.member(func(c *group.Config, s *kafka.Settings) {
		c.Match = func(topic string) bool { return topic == first }
		s.MetadataMaxAge = time.Minute
	})
	b.work(leader)
	follower := b.member()
	b.until("they share", func() bool { return leader.count() == 1 && follower.count() == 1 })
	if !leader.Status().Leader {
		t.Fatal("the first member does not lead")
	}

	second := b.topic("second", 1)
	b.until("the new topic is worked", func() bool { return strings.Contains(follower.has(), "second/0") })
	b.grow(second, 3)
	b.until("the new partitions are worked", func() bool {
		return strings.Contains(follower.has(), "second/0 second/1 second/2")
	})
	for n := range int32(3) {
		if s := follower.start(kafka.TopicPartition{Topic: second, Partition: n}); s != (group.Start{Committed: -1,
			Late: true}) {
			t.Errorf("partition %d begins at %+v", n, s)
		}
	}
	b.grow(first, 4)
	b.until("partitions added to the shared topic are worked", func() bool {
		return strings.Count(leader.has()+" "+follower.has(), "first/") == 4
	})
	for _, m := range []*member{leader, follower} {
		m.mu.Lock()
		for p, s := range m.last.Partitions {
			if p.Topic == first && s.Late != (p.Partition >= 2) {
				t.Errorf("%s begins at %+v", p, s)
			}
		}
		m.mu.Unlock()
	}
}

// TestDeletedTopic goes without an error loop; made again with fewer partitions, it begins anew.
func TestDeletedTopic(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.topic("stays", 1)
	goes := b.topic("goes", 3)
	m := b.member()
	b.until("it has all", func() bool { return m.has() == "goes/0 goes/1 goes/2 stays/0" })
	m.mark(kafka.TopicPartition{Topic: goes, Partition: 1}, 7)
	b.until("it commits", func() bool { return b.committed(goes, 1) == 7 })
	m.mark(kafka.TopicPartition{Topic: goes, Partition: 1}, 8)
	b.delete(goes)
	b.until("it has what is left", func() bool { return m.has() == "stays/0" })
	had := m.Status().Rebalances
	_ = kafka.Sleep(t.Context(), 1200*time.Millisecond)
	if now := m.Status().Rebalances; now != had {
		t.Errorf("%d generations after the last change", now-had)
	}
	b.topic("goes", 2)
	b.until("it has what came back", func() bool { return m.has() == "goes/0 goes/1 stays/0" })
	if s := m.start(kafka.TopicPartition{Topic: goes, Partition: 1}); !s.Late {
		t.Errorf("what is new begins at %+v", s)
	}
	m.mark(kafka.TopicPartition{Topic: goes, Partition: 1}, 9)
	b.until("it commits again", func() bool { return b.committed(goes, 1) == 9 })
}

// TestAtMostOneJoinASecond has topics come all the time.
func TestAtMostOneJoinASecond(t *testing.T) {
	t.Parallel()
	b := setup(t, faulty())
	b.topic("t", 1)
	var (
		mu    sync.Mutex
		joins []time.Time
	)
	fake := b.cluster.Fake()
	fake.ControlKey(int16(kmsg.JoinGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		if r.(*kmsg.JoinGroupRequest).MemberID != "" {
			joins = append(joins, time.Now())
		}
		return nil, nil, false
	})
	m := b.member()
	b.work(m)
	for i := range 30 {
		b.topic("t"+strings.Repeat("x", i), 1)
		_ = kafka.Sleep(t.Context(), 100*time.Millisecond)
	}
	b.until("it has all", func() bool { return m.count() == 30 })
	mu.Lock()
	defer mu.Unlock()
	if len(joins) < 3 {
		t.Fatalf("%d joins", len(joins))
	}
	// Each is seen when it arrives, which is later now and sooner then.
	if took, n := joins[len(joins)-1].Sub(joins[0]),
		len(joins)-1; took < time.Duration(n)*time.Second-500*time.Millisecond {
		t.Errorf("%d joins of its own wish in %s", n, took)
	}
}

// TestMixedWithFranz is the member's part of invariant 12: with a member of another client the group agrees on an
// assignor that both know, whoever leads.
func TestMixedWithFranz(t *testing.T) {
	t.Parallel()
	for _, franzLeads := range []bool{true, false} {
		name := map[bool]string{true: "franz-go leads", false: "we lead"}[franzLeads]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			topic := b.topic("t", 6)
			var (
				mu    sync.Mutex
				franz = map[int32]bool{}
			)
			join := func() {
				c, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.Servers()...), kgo.ConsumerGroup(b.group),
					kgo.ConsumeTopics(topic),
					kgo.Balancers(kgo.RangeBalancer()), kgo.HeartbeatInterval(100*time.Millisecond),
					kgo.MetadataMinAge(100*time.Millisecond),
					kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
						mu.Lock()
						defer mu.Unlock()
						for _, p := range m[topic] {
							franz[p] = true
						}
					}),
					kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
						mu.Lock()
						defer mu.Unlock()
						for _, p := range m[topic] {
							delete(franz, p)
						}
					}))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(c.Close)
			}
			owns := func() int {
				mu.Lock()
				defer mu.Unlock()
				return len(franz)
			}
			var m *member
			if franzLeads {
				join()
				b.until("franz-go has all", func() bool { return owns() == 6 })
				m = b.member()
			} else {
				m = b.member()
				b.work(m)
				join()
			}
			b.until("they share", func() bool { return m.count() == 3 && owns() == 3 })
			if s := m.Status(); s.Protocol != "range" || s.Leader == franzLeads {
				t.Errorf("status %+v", s)
			}
		})
	}
}

// TestBlindCluster: brokers that show no topics for one look have deleted none.
func TestBlindCluster(t *testing.T) {
	t.Parallel()
	b := setup(t, faulty())
	b.topic("t", 2)
	m := b.member()
	b.work(m)
	fake := b.cluster.Fake()
	fake.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		res := r.ResponseKind().(*kmsg.MetadataResponse)
		res.Topics = nil
		return res, nil, true // once
	})
	_ = kafka.Sleep(t.Context(), time.Second)
	if m.count() != 2 || m.Status().Rebalances != 1 {
		t.Errorf("it has %s in generation %d", m.has(), m.generation())
	}
}

// TestLeaderWithAnEmptyView: a broker that has just started may know no topics yet. A leader that asks just that one
// must not take the partitions from everybody: its view would be whole again before anyone noticed, and nobody would
// join again.
func TestLeaderWithAnEmptyView(t *testing.T) {
	t.Parallel()
	b := setup(t, faulty())
	b.topic("t", 2)
	all, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), b.admin)
	if err != nil {
		t.Fatal(err)
	}
	m := b.member(func(_ *group.Config, s *kafka.Settings) { s.MetadataMaxAge = time.Minute })
	b.until("it works", func() bool { return m.count() == 2 })
	generation := m.generation()

	fake := b.cluster.Fake()
	var empty atomic.Bool
	fake.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if !empty.Load() {
			return nil, nil, false
		}
		answer := r.ResponseKind().(*kmsg.MetadataResponse)
		answer.Brokers, answer.ControllerID = all.Brokers, all.ControllerID
		return answer, nil, true
	})
	fake.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		empty.Store(true)
		return nil, nil, false
	})
	fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.IllegalGeneration, Count: 1})
	b.until("it has joined again", func() bool { return m.generation() > generation && m.count() >= 0 })
	if !empty.Load() || m.count() != 2 {
		t.Errorf("the leader gave itself %s", m.has())
	}
}
