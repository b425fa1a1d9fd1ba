package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// What puts a middleware together may ask the App for what it needs, its logger say.
func TestAMiddlewareMayAskTheAppWhenItIsMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.app()
	app.Use(func(next bus.Handler) bus.Handler {
		_ = app.Logger()
		_ = app.Stats()
		_ = app.Health(t.Context())
		return next
	})
	var got numbers
	bus.MustSubscribe(app, "s", got.handle, bus.Group(w.group("g")))
	ended, ctx := make(chan error, 1), within(t, 20*time.Second)
	go func() {
		_, err := app.ConsumeFor(ctx, 1)
		ended <- err
	}()
	if err := result(t, ended); err != nil {
		t.Error(err)
	}
}

// A middleware that panics when it is made leaves an App that can be run again, and closed.
func TestAMiddlewareThatPanicsWhenItIsMadeLeavesTheAppUsable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.app()
	broken := true
	app.Use(func(next bus.Handler) bus.Handler {
		if broken {
			panic("no configuration")
		}
		return next
	})
	var got numbers
	bus.MustSubscribe(app, "s", got.handle, bus.Group(w.group("g")))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is lost")
			}
		}()
		_ = app.Run(context.Background())
	}()
	broken = false
	if n, err := app.ConsumeFor(within(t, 20*time.Second), 1); n != 1 || err != nil {
		t.Error(n, err)
	}
}
