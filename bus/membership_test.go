package bus_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// delete removes a stream.
func (w *world) delete(stream string) {
	w.t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = kmsg.StringPtr(w.prefix + stream)
	req.Topics, req.TopicNames = append(req.Topics, topic), []string{w.prefix + stream}
	res, err := req.RequestWith(w.t.Context(), w.raw)
	if err == nil {
		err = kerr.ErrorForCode(res.Topics[0].ErrorCode)
	}
	if err != nil {
		w.t.Fatalf("delete stream %q: %v", stream, err)
	}
}

// grow gives a stream more partitions.
func (w *world) grow(stream string, partitions int32) {
	w.t.Helper()
	req := kmsg.NewPtrCreatePartitionsRequest()
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = w.prefix+stream, partitions
	req.Topics = append(req.Topics, topic)
	res, err := req.RequestWith(w.t.Context(), w.raw)
	if err == nil {
		err = kerr.ErrorForCode(res.Topics[0].ErrorCode)
	}
	if err != nil {
		w.t.Fatalf("grow stream %q: %v", stream, err)
	}
}

// hasTopic reports whether a stream is there, without making it.
func (w *world) hasTopic(stream string) bool {
	w.t.Helper()
	req := kmsg.NewPtrMetadataRequest() // nil topics: all
	res, err := req.RequestWith(w.t.Context(), w.raw)
	if err != nil {
		w.t.Fatalf("list topics: %v", err)
	}
	return slices.ContainsFunc(res.Topics, func(t kmsg.MetadataResponseTopic) bool { return *t.Topic == w.prefix+stream })
}

// The broker protects no offset from a member of an earlier generation that commits under the present one. Each commit
// is bound to the generation that its record was delivered in.
func TestACommitForAPartitionThatAnotherMemberHasIsRefused(t *testing.T) {
	t.Parallel()
	const n = 10
	w := newWorld(t)
	w.stream("work", 2)
	group := w.group("stale")
	for p := range int32(2) {
		w.put("work", p, contents(int(p)*n, n)...)
	}
	var kept list[*bus.Message[Content]]
	a := w.app()
	bus.MustSubscribe(a, "work", func(_ context.Context, m *bus.Message[Content]) error {
		kept.add(m)
		return nil
	}, bus.Group(group), bus.ManualCommit())
	running(t, a)
	kept.wait(t, 2*n)

	var last list[*bus.Message[Content]]
	b := w.app()
	bus.MustSubscribe(b, "work", func(ctx context.Context, m *bus.Message[Content]) error {
		if err := m.Commit(ctx); err != nil {
			return err
		}
		last.add(m)
		return nil
	}, bus.Group(group), bus.ManualCommit())
	running(t, b)
	partition := last.wait(t, n)[0].Record.Partition
	w.waitCommitted(group, "work", map[int32]int64{int32(partition): n})

	refused := 0
	for _, m := range kept.get()[:2*n] { // of the generation that is over
		err := m.Commit(t.Context())
		if m.Record.Partition == partition && err == nil {
			t.Errorf("the former owner's commit of offset %d was taken", m.Record.Offset)
		}
		if err != nil {
			refused++
		}
	}
	got := w.committed(group, "work")[int32(partition)]
	t.Attr("figures", fmt.Sprintf("%d of %d commits of a generation that is over were refused; committed %d before and "+
		"%d after", refused, 2*n, n, got))
	if got != n {
		t.Errorf("committed %d, want %d", got, n)
	}
}

// Heartbeats go on while handlers finish: a drain may take longer than a session.
func TestADrainLongerThanTheSessionKeepsTheMember(t *testing.T) {
	t.Parallel()
	const session = 1500 * time.Millisecond
	w := newWorld(t, kafkatest.ShortSessions())
	w.stream("work", 2)
	group := w.group("slow")
	settings := quick(bus.Settings{"session_timeout_ms": int(session.Milliseconds()), "rebalance_timeout_ms": 20_000})
	w.put("work", 0, contents(0, 1)...)
	w.put("work", 1, contents(1, 1)...)
	var begun, done list[int]
	release := make(chan struct{})
	a := w.app(bus.Config{Settings: settings})
	bus.MustSubscribe(a, "work", func(_ context.Context, c Content) error {
		begun.add(c.N)
		<-release
		done.add(c.N)
		return nil
	}, bus.Group(group))
	running(t, a)
	begun.wait(t, 2)
	id := stats(a).MemberID

	var other numbers
	b := w.app(bus.Config{Settings: settings})
	bus.MustSubscribe(b, "work", other.handle, bus.Group(group))
	running(t, b)
	eventually(t, func() bool { return stats(a).State == "draining" }, says("the first member does not drain"))
	drain := 2 * session
	time.Sleep(drain) // it is the test: the handler takes so long
	if s := stats(a).State; s != "draining" {
		t.Errorf("the member is %s while a handler runs", s)
	}
	close(release)
	stable(t, 2, a, b)
	w.waitCommitted(group, "work", map[int32]int64{0: 1, 1: 1})
	t.Attr("figures", fmt.Sprintf("session %v, drain %v: handled %v by the first member, %v by the second, member id "+
		"kept %v",
		session, drain, done.get(), other.get(), stats(a).MemberID == id))
	if stats(a).MemberID != id || done.len() != 2 || other.len() != 0 || begun.len() != 2 {
		t.Fail()
	}
}

// Range and round robin would give all four to the first member.
func TestTopicsOfOnePartitionAreSpreadOverTheMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	streams := []string{"one", "two", "three", "four"}
	for _, s := range streams {
		w.stream(s, 1)
	}
	var apps []*bus.App
	for range 3 {
		app := w.app()
		bus.MustSubscribe(app, streams[0], new(numbers).handle, bus.Patterns(streams[1:]...), bus.Group(w.group("spread")))
		running(t, app)
		apps = append(apps, app)
	}
	stable(t, len(streams), apps...)
	var shares []int
	for _, app := range apps {
		shares = append(shares, len(stats(app).Assigned))
	}
	slices.Sort(shares)
	t.Attr("figures", fmt.Sprintf("4 topics of one partition over 3 members: %v", shares))
	if !slices.Equal(shares, []int{1, 1, 2}) {
		t.Fail()
	}
}

// The follower looks at the cluster five times as often as the leader, so it is the one that sees them first. Its join
// makes a new generation because the number of partitions is part of what it says there.
func TestPartitionsThatAreAddedAreConsumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("work", 1)
	group := w.group("growing")
	var got numbers
	join := func(look int) *bus.App {
		app := w.app(bus.Config{Settings: quick(bus.Settings{"metadata_max_age_ms": look, "auto_offset_reset": "latest"})})
		bus.MustSubscribe(app, "work", got.handle, bus.Group(group))
		running(t, app)
		return app
	}
	leader := join(1000)
	stable(t, 1, leader)
	follower := join(200)
	stable(t, 1, leader, follower)
	if !stats(leader).Leader || stats(follower).Leader {
		t.Error("the first member does not lead")
	}
	w.grow("work", 3)
	begin := time.Now()
	// At once, perhaps before a member knows of the partitions: latest must not skip what is in them.
	for p := range int32(2) {
		eventually(t, func() bool {
			w.raw.ForceMetadataRefresh()
			return w.raw.ProduceSync(t.Context(), &kgo.Record{Topic: w.prefix + "work", Partition: p + 1,
				Value: []byte(contents(int(p), 1)[0])}).FirstErr() == nil
		}, says("the new partition takes no record"))
	}
	got.wait(t, 2)
	took := time.Since(begin)
	t.Attr("figures", fmt.Sprintf("2 partitions added: consumed from their first record after %v, in generation %d",
		took.Round(time.Millisecond), stats(leader).Generation))
	if limit := 5 * time.Second; took > limit {
		t.Errorf("it took more than %v", limit)
	}
}

// Kafka keeps a place for a member that it has given a name, and lets every rebalance wait for it until its session is
// over. One that is stopped before it has heard its name has to leave all the same.
func TestMembersThatAreStoppedAsTheyJoinHoldNobodyUp(t *testing.T) {
	t.Parallel()
	const times, session = 30, time.Minute
	w := newWorld(t)
	w.stream("work", 2)
	join := func() *bus.App {
		app := w.app(bus.Config{Settings: quick(bus.Settings{"session_timeout_ms": int(session.Milliseconds())})})
		bus.MustSubscribe(app, "work", new(numbers).handle, bus.Group(w.group("hasty")))
		return app
	}
	first := join()
	running(t, first)
	stable(t, 2, first)
	for i := range times {
		app := join()
		if err := app.Initialize(within(t, 20*time.Second)); err != nil {
			t.Fatal(err)
		}
		stop := running(t, app)
		for stats(app).State == "idle" {
			runtime.Gosched() // a pause would miss the moment
		}
		// between the request and its answer, once or twice
		for begin := time.Now(); time.Since(begin) < time.Duration(i)*100*time.Microsecond; {
			runtime.Gosched()
		}
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	begin := time.Now()
	last := join()
	running(t, last)
	stable(t, 2, first, last)
	took := time.Since(begin)
	t.Attr("figures",
		fmt.Sprintf("%d members stopped as they joined, session %v: the next one has its partitions after %v", times, session,
			took.Round(time.Millisecond)))
	if limit := session / 3; took > limit {
		t.Errorf("it took more than %v", limit)
	}
}
