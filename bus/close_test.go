package bus_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kafkaesk/kafkaesk/bus"
)

// It is not parallel: it counts goroutines.
func TestCloseIsQuickWhenIdleAndLeavesNothingBehind(t *testing.T) {
	w := newWorld(t)
	w.stream("s", 7)
	w.put("s", 0, contents(0, 10)...)
	w.raw.Close()
	before := goleak.IgnoreCurrent()
	app := w.unclosed()
	var got numbers
	for _, group := range []string{"a", "b", "c"} {
		bus.MustSubscribe(app, "s", got.handle, bus.Group(w.group(group)))
	}
	ended := make(chan error, 1)
	go func() { ended <- app.Run(context.Background()) }()
	got.wait(t, 30)
	stable(t, 21, app)
	began := time.Now()
	closeApp(t, app)
	if took := time.Since(began); took > 10*time.Second { // a drain that waited would take 30 s
		t.Errorf("Close took %v", took)
	}
	if err := result(t, ended); err != nil {
		t.Errorf("run: %v", err)
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
	w.connect()
	for _, group := range []string{"a", "b", "c"} {
		if c := w.committed(w.group(group), "s")[0]; c != 10 {
			t.Errorf("group %s committed %d", group, c)
		}
	}
}

// Close lets what runs finish, begins nothing more, and calls the functions of OnFinalize only then.
func TestCloseWaitsForHandlers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 5)...)
	app := w.unclosed()
	begun := make(chan struct{})
	var running, finalized atomic.Bool
	var got numbers
	bus.MustSubscribe(app, "s", func(ctx context.Context, c Content) error {
		running.Store(true)
		close(begun)
		time.Sleep(300 * time.Millisecond)
		if err := app.PublishRaw(ctx, "out", []byte("v")); err != nil || finalized.Load() {
			t.Errorf("publish while Close waits: %v; finalized %v", err, finalized.Load())
		}
		running.Store(false)
		return got.handle(ctx, c)
	}, bus.Group(w.group("g")))
	app.OnFinalize(func(ctx context.Context) error {
		finalized.Store(true)
		if running.Load() {
			t.Error("finalized while a handler runs")
		}
		return app.PublishRaw(ctx, "out", []byte("last"))
	})
	ended := make(chan error, 1)
	go func() { ended <- app.Run(context.Background()) }()
	<-begun
	closeApp(t, app)
	if err := result(t, ended); err != nil {
		t.Errorf("run: %v", err)
	}
	if c := w.committed(w.group("g"), "s")[0]; c != 1 || got.len() != 1 || !finalized.Load() {
		t.Errorf("committed %d, handled %v, finalized %v", c, got.get(), finalized.Load())
	}
	if n := len(readAll(t, w.app(), "out")); n != 2 {
		t.Errorf("%d records of the last moment", n)
	}
}

// Handlers that heed their context are cancelled in time for all the rest of Close.
func TestCloseCancelsHandlersBeforeItsDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 2)...)
	app := w.unclosed()
	begun := make(chan struct{})
	bus.MustSubscribe(app, "s", func(ctx context.Context, c Content) error {
		if c.N == 0 {
			return nil
		}
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	}, bus.Group(w.group("g")))
	ended := make(chan error, 1)
	go func() { ended <- app.Run(context.Background()) }()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := app.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := result(t, ended); err != nil {
		t.Errorf("run: %v", err)
	}
	if c := w.committed(w.group("g"), "s")[0]; c != 1 {
		t.Errorf("committed %d", c)
	}
}

// It is not parallel: it counts goroutines.
func TestCloseReturnsByItsDeadlineFromAHandlerThatIgnoresItsContext(t *testing.T) {
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 2)...)
	w.raw.Close()
	before := goleak.IgnoreCurrent()
	app := w.unclosed()
	begun, release := make(chan struct{}), make(chan struct{})
	bus.MustSubscribe(app, "s", func(context.Context, Content) error {
		close(begun)
		<-release
		return nil
	}, bus.Group(w.group("g")))
	ended := make(chan error, 1)
	go func() { ended <- app.Run(context.Background()) }()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began := time.Now()
	if err := app.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v", err)
	}
	if took := time.Since(began); took > 10*time.Second { // the handler never ends
		t.Errorf("Close took %v", took)
	}
	// Run does not wait for the handler either, nor for the whole DrainTimeout.
	if err := result(t, ended); err != nil {
		t.Logf("run: %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("Run took %v", took)
	}
	close(release)
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
	w.connect()
	if c := w.committed(w.group("g"), "s")[0]; c != 0 {
		t.Errorf("committed %d", c)
	}
}
