package bus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// A handler that closes the App waits for itself. That ends when the time to finish does, and its record is handled
// again by the next App.
func TestCloseWithinAHandlerEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 3)...)
	group := w.group("g")
	app := w.unclosed(bus.Config{DrainTimeout: 200 * time.Millisecond})
	closed := make(chan error, 1)
	bus.MustSubscribe(app, "s", func(_ context.Context, c Content) error {
		if c.N == 1 {
			closed <- app.Close(context.Background())
		}
		return nil
	}, bus.Group(group))
	if err := runs(t, app); err != nil {
		t.Errorf("Run: %v", err)
	}
	select {
	case err := <-closed:
		if err != nil {
			t.Errorf("Close: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Close does not return")
	}
	w.waitCommitted(group, "s", map[int32]int64{0: 1})
	if err := app.Run(t.Context()); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Run of a closed App: %v", err)
	}
}

// What is declared while the App runs is refused, and so is a second Run, by a handler too: it would wait for nothing.
func TestAHandlerCannotChangeWhatRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.app()
	router := bus.NewRouter()
	bus.MustSubscribe(router, "s", func(context.Context, Content) error { return nil }, bus.Group("other"))
	bus.MustSubscribe(app, "s", func(ctx context.Context, c Content) error {
		for name, err := range map[string]error{
			"Subscribe": bus.Subscribe(app, "s", func(context.Context, Content) error { return nil }, bus.Group("other")),
			"Mount":     app.Mount(router),
			"Run":       app.Run(ctx),
		} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		_, _ = app.Stats(), app.Health(ctx)
		return nil
	}, bus.Group(w.group("g")))
	if n, err := app.ConsumeFor(within(t, 20*time.Second), 1); n != 1 || err != nil {
		t.Error(n, err)
	}
}
