package group_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// work pretends to handle a record per millisecond in each of its partitions.
func (m *member) work(ctx context.Context) {
	for kafka.Sleep(ctx, time.Millisecond) == nil {
		m.mu.Lock()
		if m.given != nil {
			if m.marks == nil {
				m.marks = make(map[kafka.TopicPartition]int64)
			}
			for p, s := range m.given.Partitions {
				m.marks[p] = max(m.marks[p], s.Committed, 0) + 1
			}
		}
		m.mu.Unlock()
	}
}

// TestChurn has members come and go at random while all of them work. Committed offsets never fall (invariant 3), a
// partition is handed over where it was committed, and in the end each is worked by one member.
func TestChurn(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.ShortSessions())
	const partitions, most = 12, 6
	topic := b.topic("t", partitions)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var members []*member
	join := func() {
		m := b.member(func(c *group.Config, s *kafka.Settings) {
			c.Commit = 10 * time.Millisecond
			// so long the embedded broker waits for a static member that stopped while it joined
			s.RebalanceTimeout = 6 * time.Second
			if n := len(members); n%3 == 0 {
				c.InstanceID = fmt.Sprint("static", rand.N(1<<30))
				s.SessionTimeout = time.Second // its place is kept so long
			}
		})
		go m.work(ctx)
		members = append(members, m)
	}
	highest := make(map[int32]int64)
	watch := func() {
		for n := range int32(partitions) {
			at := b.committed(topic, n)
			if had, ok := highest[n]; ok && at < had {
				t.Errorf("partition %d is committed at %d after %d", n, at, had)
			}
			highest[n] = at
		}
	}
	join()
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); watch() {
		if len(members) == 1 || len(members) < most && rand.N(2) == 0 {
			join()
		} else {
			i := rand.N(len(members))
			if err := members[i].stop(); err != nil {
				t.Error(err)
			}
			members = append(members[:i], members[i+1:]...)
		}
		_ = kafka.Sleep(ctx, rand.N(300*time.Millisecond))
	}
	b.until("each partition is worked once", func() bool {
		owners := make(map[kafka.TopicPartition]int)
		for _, m := range members {
			m.mu.Lock()
			if m.given != nil {
				for p := range maps.Keys(m.given.Partitions) {
					owners[p]++
				}
			}
			m.mu.Unlock()
		}
		for _, n := range owners {
			if n != 1 {
				return false
			}
		}
		return len(owners) == partitions
	})
	for n := range int32(partitions) {
		before := b.committed(topic, n)
		b.until("it goes on", func() bool { return b.committed(topic, n) > before })
	}
	watch()
}

// TestCoordinatorRestarts kills the only broker and starts it again: the member goes on.
func TestCoordinatorRestarts(t *testing.T) {
	b := setup(t, kafkatest.Own())
	topic := b.topic("t", 2)
	m := b.member(func(_ *group.Config, s *kafka.Settings) {
		s.SessionTimeout, s.RebalanceTimeout = 30*time.Second, 30*time.Second
	})
	b.work(m)
	p := kafka.TopicPartition{Topic: topic}
	m.mark(p, 3)
	b.until("it commits", func() bool { return m.Status().Committed[p] == 3 })
	generation := m.generation()
	b.cluster.Kill(0)
	m.mark(p, 4)
	b.until("heartbeats fail", func() bool { return m.Status().LastError != nil })
	b.cluster.Restart(0)
	b.until("it commits again", func() bool { return m.Status().Committed[p] == 4 && m.count() == 2 })
	if b.cluster.IsReal() && m.generation() != generation {
		t.Errorf("generation %d instead of %d: the group has forgotten it, or it the group", m.generation(), generation)
	}
}

// TestCoordinatorMoves is the member's part of invariant 21: of three brokers the coordinator is killed, another takes
// over, and the member goes on in the generation that it was in.
func TestCoordinatorMoves(t *testing.T) {
	b := setup(t, kafkatest.Nodes(3), kafkatest.Own())
	if !b.cluster.CanKill() {
		t.Skip("kills one of three brokers: run with KAFKA=apache")
	}
	topic := b.topic("t", 6)
	m := b.member(func(_ *group.Config, s *kafka.Settings) {
		s.SessionTimeout, s.RebalanceTimeout = 30*time.Second, 30*time.Second
	})
	b.work(m)
	p := kafka.TopicPartition{Topic: topic}
	m.mark(p, 3)
	b.until("it commits", func() bool { return m.Status().Committed[p] == 3 })
	id, generation := m.Status().MemberID, m.generation()

	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey, find.CoordinatorKeys = b.group, []string{b.group}
	res, err := find.RequestWith(t.Context(), b.admin)
	if err != nil {
		t.Fatal(err)
	}
	port := res.Port
	if len(res.Coordinators) > 0 {
		port = res.Coordinators[0].Port
	}
	for i, server := range b.cluster.Servers() {
		if strings.HasSuffix(server, fmt.Sprint(":", port)) {
			b.cluster.Kill(i)
		}
	}
	m.mark(p, 4)
	b.until("heartbeats fail", func() bool { return m.Status().LastError != nil })
	b.until("it commits again", func() bool { return m.Status().Committed[p] == 4 })
	if s := m.Status(); s.MemberID != id || m.generation() != generation || m.count() != 6 {
		t.Errorf("it was %s in generation %d and is %s in %d, with %s", id, generation, s.MemberID, m.generation(), m.has())
	}
}
