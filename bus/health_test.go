package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
)

// ill returns a condition: health tells this.
func ill(t *testing.T, app *bus.App, parts ...string) func() bool {
	return func() bool {
		err := app.Health(t.Context())
		for _, part := range parts {
			if err == nil || !strings.Contains(err.Error(), part) {
				return false
			}
		}
		return true
	}
}

func tells(t *testing.T, app *bus.App) func() string {
	return func() string {
		if err := app.Health(t.Context()); err != nil {
			return err.Error()
		}
		return "healthy"
	}
}

func TestHealthFollowsTheMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded())
	w.stream("s", 1)
	fake := w.cluster.Fake()
	var deaf, shut atomic.Bool
	shut.Store(true)
	fake.ControlKey(int16(kmsg.JoinGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if !shut.Load() {
			return nil, nil, false
		}
		res := r.ResponseKind().(*kmsg.JoinGroupResponse)
		res.ErrorCode = kerr.CoordinatorLoadInProgress.Code
		return res, nil, true
	})
	fake.ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if !deaf.Load() {
			return nil, nil, false
		}
		res := r.ResponseKind().(*kmsg.HeartbeatResponse)
		res.ErrorCode = kerr.CoordinatorNotAvailable.Code
		return res, nil, true
	})
	app := w.unclosed(bus.Config{Settings: quick(bus.Settings{"session_timeout_ms": 1000})})
	bus.MustSubscribe(app, "s", handleContent, bus.Group(w.group("g")))
	if !ill(t, app, "not initialized")() {
		t.Error(tells(t, app)())
	}
	if err := app.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := app.Health(t.Context()); err != nil {
		t.Errorf("initialized: %v", err)
	}
	stop := running(t, app)
	eventually(t, ill(t, app, `subscription "s"`, w.group("g"), "not joined", "Group Load In Progress"), tells(t, app))
	shut.Store(false)
	eventually(t, func() bool { return app.Health(t.Context()) == nil }, tells(t, app))
	deaf.Store(true)
	eventually(t, ill(t, app, "not answered a heartbeat"), tells(t, app))
	deaf.Store(false)
	eventually(t, func() bool { return app.Health(t.Context()) == nil }, tells(t, app))
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := app.Health(t.Context()); err != nil {
		t.Errorf("after Run: %v", err)
	}
	closeApp(t, app)
	if err := app.Health(t.Context()); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestStatsShowWhereASubscriptionIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 2)
	at := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	w.putAt("s", 0, at, contents(0, 10)...)
	app := w.app()
	bus.MustSchema[Content](app, "Content", bus.Streams("s"))
	release := make(chan struct{})
	bus.MustSubscribe(app, "s", func(_ context.Context, c Content) error {
		switch c.N {
		case 1:
			return bus.Reject(errBroken)
		case 4:
			<-release
		}
		return nil
	}, bus.Group(group), bus.Patterns("other.*"))
	bus.MustSubscribe(app, "s", handleContent)
	before := app.Stats()
	if s := before.Subscriptions; before.Initialized || before.Running || len(s) != 2 || s[0].State != "idle" ||
		s[0].Group != group || s[1].Handler != "handleContent" {
		t.Errorf("before Run: %+v", before)
	}
	stop := running(t, app)
	w.waitCommitted(group, "s", map[int32]int64{0: 4})
	var all bus.Stats
	eventually(t, func() bool { // each figure comes when it is known: a heartbeat after the first interval, for one
		all = app.Stats()
		s := all.Subscriptions[0]
		return len(s.Assigned) == 2 && s.Assigned[0].Committed == 4 && s.Assigned[0].Position == 10 &&
			s.Assigned[1].Watermark == 0 &&
			!s.LastHeartbeat.IsZero() && !s.LastCommit.IsZero()
	}, func() string { return fmt.Sprintf("%+v", all) })
	s := all.Subscriptions[0]
	if !all.Initialized || !all.Running || s.State != "stable" || s.MemberID == "" || s.Generation < 1 ||
		s.Protocol == "" || !s.Leader || s.Rebalances < 1 {
		t.Errorf("member: %+v", s)
	}
	if s.LastRebalance.IsZero() {
		t.Error("no time of the last rebalance")
	}
	if s.Lag != 6 || s.InFlight != 1 || s.Waiting != 5 || s.Bytes < 6*50 || s.Finished != 4 || s.Rejected != 1 ||
		s.DeadLettered+s.Postponed+s.Retried != 0 {
		t.Errorf("work: %+v", s)
	}
	if !errors.Is(s.LastError, errBroken) || s.LastErrorAt.IsZero() {
		t.Errorf("last error %v at %v", s.LastError, s.LastErrorAt)
	}
	want := bus.PartitionStats{
		Stream: "s", Topic: w.prefix + "s", Committed: 4, Watermark: 4, Position: 10, End: 10, Lag: 6, InFlight: 1,
		Waiting: 5, Bytes: s.Bytes, Oldest: at,
	}
	got := s.Assigned[0]
	if !got.Oldest.Equal(at) {
		t.Errorf("oldest %v, want %v", got.Oldest, at)
	}
	if got.Oldest = at; got != want {
		t.Errorf("partition\n got %+v\nwant %+v", got, want)
	}
	if got := s.Assigned[1]; got.Partition != 1 || got.Watermark != 0 || got.Position != 0 ||
		got.InFlight+got.Waiting != 0 || !got.Oldest.IsZero() {
		t.Errorf("the empty partition: %+v", got)
	}
	var stream *bus.StreamStats
	for i := range all.Streams {
		if all.Streams[i].Stream == "s" {
			stream = &all.Streams[i]
		}
	}
	if stream == nil || stream.Topic != w.prefix+"s" || stream.Schema != "Content:1" || stream.Partitions != 2 ||
		len(stream.Groups) != 2 {
		t.Errorf("streams %+v", all.Streams)
	}
	close(release)
	w.waitCommitted(group, "s", map[int32]int64{0: 10})
	eventually(t, func() bool { s := stats(app); return s.Lag == 0 && s.InFlight == 0 && s.Finished == 10 },
		says("not done"))
	if err := stop(); err != nil {
		t.Error(err)
	}
	if s := stats(app); s.State != "left" || s.Finished != 10 || s.Rejected != 1 || len(s.Assigned) != 0 {
		t.Errorf("after Run: %+v", s)
	}
}
