package group_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// TestTwoMembersShareAndHandOver is a member's whole life: alone, with another that takes half of its partitions where
// it committed, and alone again when that has left.
func TestTwoMembersShareAndHandOver(t *testing.T) {
	t.Parallel()
	b := setup(t)
	topic := b.topic("t", 4)
	part := func(n int32) kafka.TopicPartition { return kafka.TopicPartition{Topic: topic, Partition: n} }
	first := b.member()
	b.until("one has all", func() bool { return first.has() == "t/0 t/1 t/2 t/3" })
	if s := first.start(part(2)); s != (group.Start{Committed: -1}) {
		t.Errorf("a partition of a new group begins at %+v", s)
	}
	for n := range int32(4) {
		first.mark(part(n), int64(10+n))
	}
	b.until("it has committed", func() bool { return b.committed(topic, 3) == 13 })

	second := b.member()
	b.until("two share", func() bool { return first.count() == 2 && second.count() == 2 })
	if first.generation() != second.generation() {
		t.Errorf("generations %d and %d", first.generation(), second.generation())
	}
	for p, s := range second.last.Partitions {
		if want := int64(10 + p.Partition); s.Committed != want || s.Late {
			t.Errorf("%s is handed over at %+v instead of %d", p, s, want)
		}
	}
	s := first.Status()
	if s.State != group.Stable || s.Protocol != "kafkaesk-sticky" || len(s.Assigned) != 2 || s.Topics[topic] != 4 ||
		s.MemberID == "" ||
		s.Leader == second.Status().Leader || s.Rebalances < 2 || len(s.Committed) != 2 || s.LastCommit.IsZero() ||
		s.LastRebalance.IsZero() {
		t.Errorf("status %+v", s)
	}
	b.until("heartbeats are answered", func() bool { return !first.Status().LastHeartbeat.IsZero() })

	for p := range second.last.Partitions {
		second.mark(p, 20)
	}
	began := time.Now()
	if err := second.stop(); err != nil {
		t.Error(err)
	}
	b.until("one has all again", func() bool { return first.count() == 4 })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the hand over took %s: it did not leave the group", took)
	}
	for p := range second.last.Partitions {
		if s := first.start(p); s.Committed != 20 {
			t.Errorf("%s comes back at %+v: the last commit is missing", p, s)
		}
	}
	if second.Status().State != group.Left || second.drains() == 0 {
		t.Errorf("it ended %s after %d drains", second.Status().State, second.drains())
	}
}

// TestStaticMemberKeepsItsPartitions restarts one of two: within the session nobody notices.
func TestStaticMemberKeepsItsPartitions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.topic("t", 6)
	as := func(id string) option { return func(c *group.Config, _ *kafka.Settings) { c.InstanceID = id } }
	one := b.member(as("one"))
	b.work(one)
	two := b.member(as("two"))
	b.until("two share", func() bool { return one.count() == 3 && two.count() == 3 })
	had := two.has()
	if err := two.stop(); err != nil {
		t.Fatal(err)
	}
	again := b.member(as("two"))
	b.until("it is back", func() bool { return again.has() == had })
	if one.count() != 3 {
		t.Errorf("the other has %s", one.has())
	}
}

// TestStaticMemberComesBackToOtherTopics: brokers give a static member that comes back what it had, whatever it wants
// now. It notices that, and a topic that came while it was away, or that a new release asks for, is worked.
func TestStaticMemberComesBackToOtherTopics(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.topic("a", 1)
	static := func(cfg *group.Config, s *kafka.Settings) {
		cfg.InstanceID = "one"
		s.SessionTimeout = 30 * time.Second
	}
	m := b.member(static)
	b.until("it has its partition", func() bool { return m.has() == "a/0" })
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	b.topic("b", 1)
	again := b.member(static)
	b.until("it has the new topic too", func() bool { return again.has() == "a/0 b/0" })
}

// TestFenced has two programs with one static id: the first ends, and says what to do.
func TestFenced(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.topic("t", 2)
	as := func(c *group.Config, _ *kafka.Settings) { c.InstanceID = "same" }
	first := b.member(as)
	b.work(first)
	second := b.member(as)
	if err := first.end(); !errors.Is(err, group.ErrFenced) || !strings.Contains(err.Error(), "group_instance_id") {
		t.Errorf("got %v", err)
	}
	if first.Status().State != group.Dead || first.count() != -1 {
		t.Errorf("the fenced one is %s and works %s", first.Status().State, first.has())
	}
	b.until("the second works", func() bool { return second.count() == 2 })
}

// TestEvenSpread is invariant 11: topics of one partition are not all given to the first member.
func TestEvenSpread(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 4 {
		b.topic(fmt.Sprint("t", i), 1)
	}
	members := []*member{b.member(), b.member(), b.member()}
	b.until("4 over 3 as 2, 1, 1", func() bool {
		sum := 0
		for _, m := range members {
			if n := m.count(); n < 1 || n > 2 {
				return false
			} else {
				sum += n
			}
		}
		return sum == 4
	})
}

// TestDrainLongerThanTheSession is invariant 6: heartbeats go on while a handler ends, so the group waits for it, and
// takes the commit.
func TestDrainLongerThanTheSession(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.ShortSessions())
	topic := b.topic("t", 2)
	const session, drain = 2 * time.Second, 3500 * time.Millisecond
	short := func(_ *group.Config, s *kafka.Settings) { s.SessionTimeout = session }
	first := b.member(short)
	b.until("it works", func() bool { return first.count() == 2 })
	id := first.Status().MemberID
	p := kafka.TopicPartition{Topic: topic}
	first.mu.Lock()
	first.drain = func(ctx context.Context) {
		if kafka.Sleep(ctx, drain) == nil {
			first.mark(p, 42)
			first.mark(kafka.TopicPartition{Topic: topic, Partition: 1}, 42)
		}
	}
	first.mu.Unlock()
	began := time.Now()
	second := b.member(short)
	b.until("it shares", func() bool { return first.count() == 1 && second.count() == 1 })
	if took := time.Since(began); took < drain {
		t.Errorf("the group did not wait for the drain: %s", took)
	}
	if got := first.Status().MemberID; got != id {
		t.Errorf("it was %s and is %s: it was thrown out", id, got)
	}
	for n := range int32(2) {
		if got := b.committed(topic, n); got != 42 {
			t.Errorf("partition %d: what was finished in the drain is committed at %d", n, got)
		}
	}
}

// TestDrainIsBounded: a handler that does not end is cancelled before the group gives up.
func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.ShortSessions())
	b.topic("t", 2)
	first := b.member(func(c *group.Config, s *kafka.Settings) {
		c.Drain, s.RebalanceTimeout, s.SessionTimeout = time.Hour, 2*time.Second, time.Second
	})
	b.work(first)
	first.mu.Lock()
	first.drain = func(ctx context.Context) { <-ctx.Done() }
	first.mu.Unlock()
	began := time.Now()
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestStaleCommit is invariant 3 in the scenario of kafka-go's Reader: a member that lost a partition commits what it
// still held of it, and the group goes back from 10 to 1.
func TestStaleCommit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	topic := b.topic("t", 2)
	manual := func(c *group.Config, _ *kafka.Settings) { c.Commit = 0 }
	a := b.member(manual)
	b.until("a has all", func() bool { return a.count() == 2 })
	old := a.generation()
	other := b.member(manual)
	b.until("they share", func() bool { return a.count() == 1 && other.count() == 1 })
	var p kafka.TopicPartition
	for p = range other.last.Partitions {
	}
	at := func(offset int64) map[kafka.TopicPartition]int64 { return map[kafka.TopicPartition]int64{p: offset} }
	if err := other.Commit(t.Context(), other.generation(), at(10)); err != nil {
		t.Fatal(err)
	}
	if err := a.Commit(t.Context(), old, at(1)); !errors.Is(err, group.ErrRevoked) {
		t.Errorf("in its old generation: %v", err)
	}
	if err := a.Commit(t.Context(), a.generation(), at(1)); !errors.Is(err, group.ErrRevoked) {
		t.Errorf("in the new one, of which it is no owner: %v", err)
	}
	if err := other.Commit(t.Context(), other.generation(), at(3)); err != nil {
		t.Errorf("lower than what is committed: %v", err)
	}
	if got := b.committed(topic, p.Partition); got != 10 {
		t.Errorf("committed %d, want 10", got)
	}
	if err := other.stop(); err != nil {
		t.Error(err)
	}
	if err := other.Commit(t.Context(), other.generation(), at(11)); !errors.Is(err, group.ErrRevoked) {
		t.Errorf("after the end: %v", err)
	}
}

// TestManualCommitOnly: with Commit 0 nothing is committed that was not asked for, not in a drain either.
func TestManualCommitOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	topic := b.topic("t", 1)
	m := b.member(func(c *group.Config, _ *kafka.Settings) { c.Commit = 0 })
	b.work(m)
	m.mark(kafka.TopicPartition{Topic: topic}, 5)
	if err := m.stop(); err != nil {
		t.Error(err)
	}
	if got := b.committed(topic, 0); got != -1 {
		t.Errorf("committed %d", got)
	}
}

// TestHeartbeatsReachTheCoordinator is invariant 22: among several brokers the coordinator is not the one that was
// connected first, and any other refuses heartbeats. A rebalance is heard of by them, too.
func TestHeartbeatsReachTheCoordinator(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Nodes(3))
	b.topic("t", 6)
	for i := range 3 { // three groups: as many coordinators, most likely
		b.group = fmt.Sprint(b.prefix, "group", i)
		first := b.member()
		b.work(first)
		for range 3 {
			last := first.Status().LastHeartbeat
			b.until("heartbeats are answered", func() bool { return first.Status().LastHeartbeat.After(last) })
		}
		if n := first.Status().Rebalances; n != 1 {
			t.Errorf("%d generations of one member", n)
		}
		second := b.member()
		b.until("they share", func() bool { return first.count() == 3 && second.count() == 3 })
	}
}

// TestStopWhileJoining ends at once while the coordinator holds the join, because another member does not come.
func TestStopWhileJoining(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.topic("t", 2)
	first := b.member()
	b.work(first)
	release := make(chan struct{})
	first.mu.Lock()
	first.drain = func(context.Context) { <-release }
	first.mu.Unlock()
	second := b.member()
	b.until("the first drains", func() bool { return first.Status().State == group.Draining })
	b.until("the second joins", func() bool {
		return second.Status().State == group.Joining && second.Status().MemberID != ""
	})
	began := time.Now()
	if err := second.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second { // the coordinator holds the join for 20 s
		t.Errorf("it took %s", took)
	}
	close(release)
	b.until("the first has all", func() bool { return first.count() == 2 })
}

// TestCloseIdle is the member's part of invariant 13.
func TestCloseIdle(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.topic("t", 2)
	m := b.member()
	b.work(m)
	began := time.Now()
	if err := m.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second { // a few milliseconds on a machine that has nothing else to do
		t.Errorf("it took %s", took)
	}
	if err := m.Run(t.Context()); err == nil {
		t.Error("it ran twice")
	}
	res, err := describe(t.Context(), b)
	if err != nil || len(res.Groups) == 1 && len(res.Groups[0].Members) > 0 {
		t.Errorf("%v, members: %+v", err, res)
	}
}

func describe(ctx context.Context, b *bench) (*kmsg.DescribeGroupsResponse, error) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{b.group}
	return req.RequestWith(ctx, b.admin)
}
