package group_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// TestErrorsOnEveryAPI is invariant 15: each code that a coordinator may answer, on each request, once, three times,
// and for a while. The member gets over all of it, what it marked is committed in the end, and it leaves.
func TestErrorsOnEveryAPI(t *testing.T) {
	t.Parallel()
	kafkatest.Start(t, faulty()) // or skip the whole
	moving := []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator,
		kerr.UnknownServerError}
	membership := []*kerr.Error{kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID}
	apis := []struct {
		key  kmsg.Key
		errs []*kerr.Error
	}{
		{kmsg.FindCoordinator, []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.UnknownServerError}},
		{kmsg.JoinGroup, append(append([]*kerr.Error{kerr.InconsistentGroupProtocol, kerr.MemberIDRequired}, moving...),
			membership...)},
		{kmsg.SyncGroup, append(append([]*kerr.Error{}, moving...), membership...)},
		{kmsg.Heartbeat, append(append([]*kerr.Error{}, moving...), membership...)},
		{kmsg.OffsetFetch, append([]*kerr.Error{kerr.UnstableOffsetCommit}, moving...)},
		{kmsg.OffsetCommit, append(append([]*kerr.Error{kerr.UnknownTopicOrPartition, kerr.RequestTimedOut}, moving...),
			membership...)},
		{kmsg.LeaveGroup, append(append([]*kerr.Error{}, moving...), kerr.UnknownMemberID)},
	}
	const once, thrice, aWhile = 1, 3, 6
	for _, api := range apis {
		t.Run(api.key.Name(), func(t *testing.T) {
			t.Parallel()
			shared := setup(t, faulty())
			type trial struct {
				*bench
				*member
				name   string
				part   kafka.TopicPartition
				faults *kfake.FaultHandle
			}
			var trials []trial
			for _, err := range api.errs {
				for _, times := range []int{once, thrice, aWhile} {
					b := *shared
					name := fmt.Sprintf("%s-%d", err.Message, times)
					b.prefix += name + "."
					b.group = b.prefix + "group"
					part := kafka.TopicPartition{Topic: b.topic("t", 2), Partition: 1}
					faults := b.cluster.Fake().Fault(kfake.Fault{
						Keys: []kmsg.Key{api.key}, TopLevel: api.key != kmsg.OffsetCommit, Err: err, Count: times,
						When: func(r kmsg.Request) bool { return groupOf(r) == b.group },
					})
					m := b.member(func(_ *group.Config, s *kafka.Settings) {
						s.SessionTimeout, s.HeartbeatInterval, s.RetryBackoff = time.Second, 20*time.Millisecond, 10*time.Millisecond
					})
					m.mark(part, 5)
					trials = append(trials, trial{&b, m, name, part, faults})
				}
			}
			for _, x := range trials {
				x.until(x.name+": what it marked is committed", func() bool { return x.Status().Committed[x.part] == 5 })
				if api.key == kmsg.Heartbeat { // the commit may come before the first one
					x.until(x.name+": a heartbeat was sent", func() bool { return x.faults.Hits() > 0 })
				}
				if err := x.stop(); err != nil {
					t.Errorf("%s: %v", x.name, err)
				}
				if got := x.committed(x.part.Topic, 1); got != 5 {
					t.Errorf("%s: committed %d", x.name, got)
				}
				if x.faults.Hits() == 0 {
					t.Errorf("%s: it was never answered so", x.name)
				}
			}
		})
	}
}

func groupOf(r kmsg.Request) string {
	switch r := r.(type) {
	case *kmsg.FindCoordinatorRequest:
		return r.CoordinatorKey
	case *kmsg.JoinGroupRequest:
		return r.Group
	case *kmsg.SyncGroupRequest:
		return r.Group
	case *kmsg.HeartbeatRequest:
		return r.Group
	case *kmsg.OffsetFetchRequest:
		return r.Group
	case *kmsg.OffsetCommitRequest:
		return r.Group
	case *kmsg.LeaveGroupRequest:
		return r.Group
	}
	return ""
}

// TestNothingMendsIt ends Run, with an error that says what to do.
func TestNothingMendsIt(t *testing.T) {
	t.Parallel()
	kafkatest.Start(t, faulty()) // or skip the whole
	tests := []struct {
		name string
		err  *kerr.Error
		is   error
		says string
	}{
		{"denied before it joined", kerr.GroupAuthorizationFailed, kafka.ErrAuth, "GROUP"},
		{"session timeout refused", kerr.InvalidSessionTimeout, kafka.CodeError(26), "session_timeout_ms"},
		{"bad name", kerr.InvalidGroupID, kafka.CodeError(24), "name"},
		{"fenced", kerr.FencedInstanceID, group.ErrFenced, "group_instance_id"},
		{"never heard of", kerr.UnsupportedVersion, kafka.CodeError(35), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, faulty())
			b.topic("t", 1)
			b.cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, TopLevel: true, Err: tt.err, Count: -1})
			m := b.member()
			err := m.end()
			if !errors.Is(err, tt.is) || !strings.Contains(strings.ToUpper(err.Error()), strings.ToUpper(tt.says)) ||
				!strings.Contains(err.Error(), b.group) {
				t.Errorf("got %v", err)
			}
			if m.Status().State != group.Dead {
				t.Errorf("it is %s", m.Status().State)
			}
		})
	}
}

// TestDeniedLater goes on trying, and says so.
func TestDeniedLater(t *testing.T) {
	t.Parallel()
	b := setup(t, faulty())
	topic := b.topic("t", 1)
	m := b.member()
	b.work(m)
	denied := b.cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, TopLevel: true,
		Err: kerr.GroupAuthorizationFailed, Count: 1})
	b.grow(topic, 2)
	b.until("it is denied", func() bool { return denied.Hits() == 1 })
	b.until("it says so", func() bool {
		return errors.Is(m.Status().LastError, kafka.ErrAuth) && !m.Status().LastErrorAt.IsZero()
	})
	b.until("it is let in again", func() bool { return m.count() == 2 })
}

// TestCommitWaits is what a manual commit promises: nil only when it is written down.
func TestCommitWaits(t *testing.T) {
	t.Parallel()
	b := setup(t, faulty())
	topic := b.topic("t", 1)
	m := b.member(func(c *group.Config, s *kafka.Settings) { c.Commit = 0; s.RetryBackoff = 10 * time.Millisecond })
	b.work(m)
	at := func(offset int64) map[kafka.TopicPartition]int64 {
		return map[kafka.TopicPartition]int64{{Topic: topic}: offset}
	}
	fault := func(err *kerr.Error, times int) *kfake.FaultHandle {
		return b.cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: err, Count: times})
	}

	fault(kerr.NotCoordinator, 4)
	if err := m.Commit(t.Context(), m.generation(), at(5)); err != nil || b.committed(topic, 0) != 5 {
		t.Errorf("%v, committed %d", err, b.committed(topic, 0))
	}

	away := fault(kerr.CoordinatorNotAvailable, -1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	refused := make(chan error, 1)
	go func() { refused <- m.Commit(ctx, m.generation(), at(6)) }()
	b.until("the second attempt has begun", func() bool { return away.Hits() >= 2 })
	cancel()
	if err := <-refused; !errors.Is(err, context.Canceled) || !errors.Is(err, kafka.CodeError(15)) {
		t.Errorf("without a coordinator: %v", err)
	}
	away.Remove()

	denied := fault(kerr.TopicAuthorizationFailed, -1)
	if err := m.Commit(t.Context(), m.generation(), at(7)); !errors.Is(err, kafka.ErrAuth) {
		t.Errorf("denied: %v", err)
	}
	denied.Remove()

	old := m.generation()
	fault(kerr.IllegalGeneration, 1)
	if err := m.Commit(t.Context(), old, at(8)); !errors.Is(err, group.ErrRevoked) {
		t.Errorf("in a generation that is over: %v", err)
	}
	b.until("it joins again", func() bool { return m.generation() > old && m.count() == 1 })
	if err := m.Commit(t.Context(), old, at(9)); !errors.Is(err, group.ErrRevoked) {
		t.Errorf("in the old generation: %v", err)
	}

	b.delete(topic)
	b.until("the topic is gone", func() bool { return m.count() == 0 })
	if err := m.Commit(t.Context(), m.generation(), at(10)); !errors.Is(err, group.ErrRevoked) {
		t.Errorf("of a deleted topic: %v", err)
	}
}

// TestCommitsOfManyAreOneRequest: while one is answered the others wait, and go together.
func TestCommitsOfManyAreOneRequest(t *testing.T) {
	t.Parallel()
	b := setup(t, faulty())
	topic := b.topic("t", 50)
	m := b.member(func(c *group.Config, _ *kafka.Settings) { c.Commit = 0 })
	b.work(m)
	var requests atomic.Int32
	fake := b.cluster.Fake()
	fake.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		requests.Add(1)
		fake.SleepControl(func() { time.Sleep(100 * time.Millisecond) }) // a coordinator that is far away
		return nil, nil, false
	})
	var wg sync.WaitGroup
	for n := range int32(50) {
		wg.Go(func() {
			if err := m.Commit(t.Context(), m.generation(),
				map[kafka.TopicPartition]int64{{Topic: topic, Partition: n}: 5}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for n := range int32(50) {
		if got := b.committed(topic, n); got != 5 {
			t.Errorf("partition %d: %d", n, got)
		}
	}
	if n := requests.Load(); n > 10 {
		t.Errorf("%d requests", n)
	}
}

// TestLastCommitAfterAStraggler: a commit that was never answered may still arrive. The last commit of the generation
// stands behind it, as all others do: it is acknowledged twice.
func TestLastCommitAfterAStraggler(t *testing.T) {
	t.Parallel()
	b := setup(t, faulty())
	part := kafka.TopicPartition{Topic: b.topic("t", 1)}
	m := b.member(func(cfg *group.Config, s *kafka.Settings) { cfg.Commit = time.Hour })
	b.work(m)
	fake := b.cluster.Fake()
	var offsets []int64 // as they arrive; requests of one group come one at a time
	var mu sync.Mutex
	fake.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		offsets = append(offsets, r.(*kmsg.OffsetCommitRequest).Topics[0].Partitions[0].Offset)
		return nil, nil, len(offsets) == 1 // it is never answered
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := m.Commit(ctx, m.generation(), map[kafka.TopicPartition]int64{part: 5}); err == nil {
		t.Fatal("it was acknowledged")
	}
	m.mark(part, 7)
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []int64{5, 7, 7}; !slices.Equal(offsets, want) {
		t.Errorf("commits %d, not %d", offsets, want)
	}
}

// TestLostJoin: a coordinator that forgot the join it was to hold is noticed by heartbeats, and not after the rebalance
// timeout.
func TestLostJoin(t *testing.T) {
	t.Parallel()
	b := setup(t, faulty())
	topic := b.topic("t", 1)
	m := b.member()
	b.work(m)
	b.cluster.Fake().ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, nil, true // once: it is never answered
	})
	began := time.Now()
	b.grow(topic, 2)
	b.until("it joins again", func() bool { return m.count() == 2 })
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestJoinLostWithItsCoordinator: the broker that holds a join dies without a word, and the one that takes over has the
// group wait for us. Its heartbeats say what those of the first would: that the group waits. We must not wait for the
// first one while all wait for us.
func TestJoinLostWithItsCoordinator(t *testing.T) {
	t.Parallel()
	b := setup(t, faulty())
	topic := b.topic("t", 1)
	m := b.member()
	b.work(m)
	fake := b.cluster.Fake()
	var joins, beats atomic.Int32
	fake.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		return nil, nil, joins.Add(1) == 1 // it is never answered
	})
	fake.ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if joins.Load() != 1 {
			return nil, nil, false
		}
		answer := r.ResponseKind().(*kmsg.HeartbeatResponse)
		answer.ErrorCode = kerr.RebalanceInProgress.Code
		if beats.Add(1) == 1 {
			answer.ErrorCode = kerr.NotCoordinator.Code
		}
		return answer, nil, true
	})
	began := time.Now()
	b.grow(topic, 2)
	b.until("it joins again", func() bool { return m.count() == 2 })
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestHangingBroker is invariant 14: nothing waits for a hung broker past its timeout, and when it goes on, so does the
// member, in the same generation if its session has not ended.
func TestHangingBroker(t *testing.T) {
	b := setup(t, kafkatest.Own())
	hang, resume := b.hanging()
	topic := b.topic("t", 2)
	m := b.member(func(_ *group.Config, s *kafka.Settings) {
		s.SessionTimeout, s.HeartbeatInterval, s.RequestTimeout = 6*time.Second, 500*time.Millisecond, 2*time.Second
	})
	b.work(m)
	p := kafka.TopicPartition{Topic: topic}
	m.mark(p, 3)
	b.until("it commits", func() bool { return m.Status().Committed[p] == 3 })
	generation := m.generation()

	hang()
	m.mark(p, 4)
	b.until("heartbeats fail", func() bool { return errors.Is(m.Status().LastError, os.ErrDeadlineExceeded) })
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := m.Commit(ctx, generation, map[kafka.TopicPartition]int64{p: 5}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a commit to a hung broker: %v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	if m.count() != 2 || m.generation() != generation {
		t.Errorf("it has %s in generation %d instead of %d", m.has(), m.generation(), generation)
	}
	resume()
	m.mark(p, 6)
	b.until("it commits again", func() bool { return m.Status().Committed[p] == 6 && m.count() == 2 })

	hang()
	began = time.Now()
	if err := m.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("stopping with a hung broker took %s", took)
	}
	resume()
}

// hanging returns what makes the broker hang and go on.
func (b *bench) hanging() (hang, resume func()) {
	if fake := b.cluster.Fake(); fake != nil {
		var hung atomic.Bool
		fake.ControlKey(-1, func(kmsg.Request) (kmsg.Response, error, bool) {
			fake.KeepControl()
			return nil, nil, hung.Load()
		})
		return func() { hung.Store(true) }, func() { hung.Store(false) }
	}
	if !b.cluster.CanPause() {
		b.t.Skip("needs a broker that can be paused: run with KAFKA=apache, or without")
	}
	return func() { b.cluster.Pause(0) }, func() { b.cluster.Resume(0) }
}
