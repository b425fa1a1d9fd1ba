package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

func TestRunNeedsSubscriptionsAndServers(t *testing.T) {
	t.Parallel()
	app := newWorld(t).app()
	if err := app.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "bus.Subscribe") {
		t.Errorf("without subscriptions: %v", err)
	}
	bare := bus.New(bus.Config{})
	bus.MustSubscribe(bare, "s", handleContent)
	if err := bare.Run(t.Context()); !errors.Is(err, bus.ErrNotConfigured) {
		t.Errorf("without servers: %v", err)
	}
	if n, err := bare.ConsumeFor(t.Context(), 1); n != 0 || !errors.Is(err, bus.ErrNotConfigured) {
		t.Errorf("without servers: %d, %v", n, err)
	}
}

func TestOneRunAtATimeAndThenAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.unclosed()
	var got numbers
	bus.MustSubscribe(app, "s", got.handle, bus.Group(w.group("g")))
	stop := running(t, app)
	got.wait(t, 1)
	if err := app.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "running already") {
		t.Errorf("a second Run: %v", err)
	}
	if n, err := app.ConsumeFor(t.Context(), 1); err == nil || n != 0 {
		t.Errorf("ConsumeFor while it runs: %d, %v", n, err)
	}
	if err := stop(); err != nil {
		t.Errorf("the end of the context: %v", err)
	}
	if s := app.Stats(); s.Running || s.Subscriptions[0].State != "left" || s.Subscriptions[0].Finished != 1 {
		t.Errorf("after Run: %+v", s)
	}
	w.put("s", 0, contents(1, 1)...)
	stop = running(t, app)
	if all := got.wait(t, 2); !slices.Equal(all, []int{0, 1}) {
		t.Errorf("handled %v", all)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := app.Run(over); err != nil {
		t.Errorf("with a context that is over: %v", err)
	}
	closeApp(t, app)
	if err := app.Run(t.Context()); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestRunWaitsForABroker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := newGate(t, w.cluster.Servers()[0])
	app := bus.New(bus.Config{Servers: []string{g.addr}, TopicPrefix: w.prefix, Settings: quick()})
	defer closeApp(t, app)
	bus.MustSubscribe(app, "s", handleContent, bus.Group(w.group("g")))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	g.waitForCaller(t)
	cancel()
	if err := result(t, ended); err != nil {
		t.Errorf("the end of the context while it waits: %v", err)
	}
	g.open()
	stop := running(t, app)
	eventually(t, func() bool { return stats(app).State == "stable" }, says("not stable"))
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// One subscription that fails ends the others, which commit what they have done.
func TestASubscriptionThatFailsEndsRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("good", 1)
	w.stream("bad", 1)
	w.put("good", 0, contents(0, 5)...)
	app := w.app(bus.Config{Settings: quick(bus.Settings{"auto_commit_interval_ms": 60_000})})
	var good numbers
	bus.MustSubscribe(app, "good", good.handle, bus.Group(w.group("good")))
	bus.MustSubscribe(app, "bad", func(context.Context, Content) error { return errBroken }, bus.Group(w.group("bad")),
		fast(1))
	ended := make(chan error, 1)
	go func() { ended <- app.Run(t.Context()) }()
	good.wait(t, 5)
	w.put("bad", 0, contents(0, 1)...)
	err := result(t, ended)
	if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), `"bad"`) || strings.Contains(err.Error(), `"good"`) {
		t.Errorf("run: %v", err)
	}
	if c := w.committed(w.group("good"), "good")[0]; c != 5 {
		t.Errorf("committed %d at the end", c)
	}
}

func TestConsumeForHandlesExactlyAsMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("a", 4)
	w.stream("b", 2)
	for p := range int32(4) {
		w.put("a", p, contents(int(p)*100, 100)...)
	}
	for p := range int32(2) {
		w.put("b", p, contents(400+int(p)*100, 100)...)
	}
	app := w.app()
	var begun atomic.Int64
	var got numbers
	handle := func(ctx context.Context, c Content) error {
		begun.Add(1)
		return got.handle(ctx, c)
	}
	bus.MustSubscribe(app, "a", handle, bus.Group(w.group("g")), bus.Concurrency(3, bus.ByPartition))
	bus.MustSubscribe(app, "b", handle, bus.Group(w.group("g")))
	total := 0
	for _, n := range []int{1, 7, 200, 392} {
		handled, err := app.ConsumeFor(within(t, 30*time.Second), n)
		if handled != n || err != nil {
			t.Fatalf("%d of %d handled: %v", handled, n, err)
		}
		if total += n; got.len() != total || int(begun.Load()) != total {
			t.Fatalf("%d handlers began, %d ended, want %d", begun.Load(), got.len(), total)
		}
	}
	if !slices.Equal(got.sorted(), upTo(0, 600)) { // each run goes on where the one before has ended
		t.Errorf("%v", got.sorted())
	}
	short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if n, err := app.ConsumeFor(short, 3); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("of nothing: %d, %v", n, err)
	}
	if n, err := app.ConsumeFor(t.Context(), 0); n != 0 || err == nil {
		t.Errorf("for nothing: %d, %v", n, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := app.ConsumeFor(over, 1); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %d, %v", n, err)
	}
}

// In lanes that keep no order those that are handled need not be the first ones, so some of them come again; but no
// more are begun than asked for.
func TestConsumeForBeginsNoMoreInAnyLanes(t *testing.T) {
	t.Parallel()
	for _, lanes := range []bus.Lanes{bus.ByPartition, bus.ByKey, bus.Unordered} {
		t.Run(fmt.Sprint(lanes), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.stream("s", 3)
			for p := range int32(3) {
				w.put("s", p, contents(int(p)*100, 100)...)
			}
			app := w.app()
			var begun atomic.Int64
			bus.MustSubscribe(app, "s", func(context.Context, Content) error {
				begun.Add(1)
				return nil
			}, bus.Group(w.group("g")), bus.Concurrency(8, lanes))
			for _, n := range []int{1, 50} {
				begun.Store(0)
				if handled, err := app.ConsumeFor(within(t, 30*time.Second), n); handled != n || err != nil ||
					begun.Load() != int64(n) {
					t.Errorf("%d handled, %d begun, want %d: %v", handled, begun.Load(), n, err)
				}
			}
		})
	}
}

func TestConsumeForTellsHowManyBeforeAnError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 5)...)
	app := w.app()
	var got numbers
	bus.MustSubscribe(app, "s", rejectAt(3, bus.Abort(errBroken), &got), bus.Group(w.group("g")))
	if n, err := app.ConsumeFor(within(t, 30*time.Second), 5); n != 3 || !errors.Is(err, errBroken) {
		t.Errorf("%d handled: %v", n, err)
	}
}

// What one subscription has begun and not finished is the other's to handle.
func TestConsumeForGoesOnWhenASubscriptionStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("a", 1)
	w.stream("b", 1)
	w.put("a", 0, contents(0, 1)...)
	app := w.app()
	begun, stopping := make(chan struct{}), make(chan struct{})
	bus.MustSubscribe(app, "a", func(context.Context, Content) error {
		close(begun)
		<-stopping
		return bus.ErrStop
	}, bus.Group(w.group("a")))
	var got numbers
	bus.MustSubscribe(app, "b", got.handle, bus.Group(w.group("b")))
	go func() {
		<-begun
		w.put("b", 0, contents(0, 3)...)
		eventually(t, func() bool { return app.Stats().Subscriptions[1].Waiting == 3 }, says("b does not wait"))
		close(stopping)
	}()
	if n, err := app.ConsumeFor(within(t, 30*time.Second), 1); n != 1 || err != nil || got.len() != 1 {
		t.Errorf("%d handled: %v, %v", n, got.get(), err)
	}
	alone := w.app()
	bus.MustSubscribe(alone, "a", func(context.Context, Content) error { return bus.ErrStop }, bus.Group(w.group("a")))
	if n, err := alone.ConsumeFor(within(t, 30*time.Second), 1); n != 0 || err == nil ||
		!strings.Contains(err.Error(), "stopped") {
		t.Errorf("when all have stopped: %d, %v", n, err)
	}
}
