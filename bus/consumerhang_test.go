package bus_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

func TestABrokerThatHangsBlocksNothingPastItsTimeout(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, embedded())
		hang, resume := silence(w.cluster.Fake())
		outlive(t, w, hang, resume)
	})
	t.Run("real", func(t *testing.T) {
		w := newWorld(t, kafkatest.Own())
		if !w.cluster.CanPause() {
			t.Skip("this Kafka cannot be paused: run with KAFKA=apache")
		}
		outlive(t, w, func() { w.cluster.Pause(0) }, func() { w.cluster.Resume(0) })
	})
}

// silence returns functions between whose calls the broker takes requests and answers none.
func silence(fake *kfake.Cluster) (hang, resume func()) {
	var hung atomic.Bool
	fake.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		return nil, nil, hung.Load()
	})
	return func() { hung.Store(true) }, func() { hung.Store(false) }
}

func outlive(t *testing.T, w *world, hang, resume func()) {
	const (
		session = 2 * time.Second
		// ending is what the last commit and leaving the group may take together.
		ending = 5 * time.Second
		slack  = 5 * time.Second // for a busy machine; what waits for the broker takes longer
	)
	settings := quick(bus.Settings{"session_timeout_ms": int(session.Milliseconds()), "request_timeout_ms": 3000,
		"rebalance_timeout_ms": 10_000})
	w.stream("work", 2)
	w.put("work", 0, contents(0, 50)...)
	w.put("work", 1, contents(50, 50)...)
	type member struct {
		app    *bus.App
		got    *numbers
		cancel context.CancelFunc
		ended  chan error
	}
	begin := func(group string, servers ...string) *member {
		m := &member{app: w.unclosed(bus.Config{Settings: settings, Servers: servers}), got: new(numbers),
			ended: make(chan error, 1)}
		bus.MustSubscribe(m.app, "work", m.got.handle, bus.Group(w.group(group)))
		var ctx context.Context
		ctx, m.cancel = context.WithCancel(context.Background())
		t.Cleanup(m.cancel)
		go func() { m.ended <- m.app.Run(ctx) }()
		return m
	}
	staying, ending1, closing := begin("staying"), begin("ending"), begin("closing")
	for _, m := range []*member{staying, ending1, closing} {
		m.got.wait(t, 100)
	}
	w.waitCommitted(w.group("staying"), "work", map[int32]int64{0: 50, 1: 50})
	if err := staying.app.Health(t.Context()); err != nil {
		t.Errorf("Health: %v", err)
	}
	hang()
	hung := time.Now()

	var noticed, ended, closed, late time.Duration
	eventually(t, func() bool { return staying.app.Health(t.Context()) != nil },
		says("Health does not notice that the broker hangs"))
	noticed = time.Since(hung)
	t.Logf("Health: %v", staying.app.Health(t.Context()))

	since := time.Now()
	ending1.cancel()
	if err := result(t, ending1.ended); err != nil {
		t.Errorf("Run ends with %v", err)
	}
	ended = time.Since(since)

	limit := time.Second
	since = time.Now()
	closeWithin := func(m *member) {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := m.app.Close(ctx); err != nil {
			t.Logf("Close: %v", err)
		}
	}
	closeWithin(closing)
	closed = time.Since(since)
	closeWithin(ending1)

	// One that begins while the broker hangs waits for it, and can be told to end.
	since = time.Now()
	g := newGate(t, w.cluster.Servers()[0])
	g.open()
	starting := begin("starting", g.addr)
	g.waitForCaller(t)
	starting.cancel()
	if err := result(t, starting.ended); err != nil {
		t.Errorf("a Run that could not begin ends with %v", err)
	}
	closeWithin(starting)
	late = time.Since(since)

	resume()
	since = time.Now()
	w.put("work", 0, contents(100, 50)...)
	w.put("work", 1, contents(150, 50)...)
	eventually(t, func() bool { return len(distinct(staying.got.sorted())) == 200 }, says("it does not go on"))
	w.waitCommitted(w.group("staying"), "work", map[int32]int64{0: 100, 1: 100})
	eventually(t, func() bool { return staying.app.Health(t.Context()) == nil }, says("Health does not recover"))
	recovered := time.Since(since)
	if err := result(t, closing.ended); err != nil {
		t.Errorf("Run of an App that is closed ends with %v", err)
	}
	closeApp(t, staying.app)
	if err := result(t, staying.ended); err != nil {
		t.Errorf("Run ends with %v", err)
	}
	round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	t.Attr("figures", fmt.Sprintf("session %v: Health knows after %v; Run ends in %v; Close(%v) in %v; a Run that began "+
		"meanwhile, and its Close, in %v; all is well %v after the broker goes on, %d handled again",
		session, round(noticed), round(ended), limit, round(closed), round(late), round(recovered), staying.got.len()-200))
	if noticed > session+slack || ended > ending+slack || closed > limit+slack || late > 2*limit+slack {
		t.Errorf("something takes too long, see the figures: Health may take %v more than the session, Run %v, and Close "+
			"%v more than its deadline",
			slack, ending+slack, slack)
	}
}
