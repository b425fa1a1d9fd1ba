package bus_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// Draft is another schema.
type Draft struct {
	Text string `json:"text"`
}

func TestARouterIsMountedInManyApps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got numbers
	router := bus.NewRouter()
	bus.MustSchema[Content](router, "Content", bus.Streams("content.a"))
	bus.MustSubscribe(router, "content.*", got.handle, bus.Group(w.group("g")))
	for n := range 2 {
		app := w.app()
		if err := app.Mount(router); err != nil {
			t.Fatal(err)
		}
		if err := app.Publish(t.Context(), "content.a", Content{Title: "t", N: n}); err != nil {
			t.Fatal(err)
		}
		if _, err := app.ConsumeFor(within(t, 30*time.Second), 1); err != nil {
			t.Fatal(err)
		}
	}
	if all := got.get(); len(all) != 2 || all[0] != 0 || all[1] != 1 {
		t.Errorf("got %v", all)
	}
}

// A conflict adds nothing of the router: neither its subscriptions nor the schemas before the one that conflicts.
func TestMountIsAllOrNothing(t *testing.T) {
	t.Parallel()
	app := bus.New(bus.Config{})
	bus.MustSchema[Content](app, "Content")
	router := bus.NewRouter()
	bus.MustSchema[Draft](router, "Draft")
	bus.MustSchema[struct{ A int }](router, "Content")
	bus.MustSubscribe(router, "s", handleContent)
	var conflict *bus.SchemaConflictError
	if err := app.Mount(router); !errors.As(err, &conflict) || conflict.Schema != "Content:1" {
		t.Errorf("got %v", err)
	}
	if n, m := len(app.Schemas()), len(app.Stats().Subscriptions); n != 1 || m != 0 {
		t.Errorf("%d schemas and %d subscriptions", n, m)
	}
}

func TestARouterRefusesItsOwnConflicts(t *testing.T) {
	t.Parallel()
	router := bus.NewRouter()
	bus.MustSchema[Content](router, "Content")
	var conflict *bus.SchemaConflictError
	if err := bus.Schema[Draft](router, "Content"); !errors.As(err, &conflict) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsDeclaredLaterIsNotMounted(t *testing.T) {
	t.Parallel()
	router := bus.NewRouter()
	bus.MustSubscribe(router, "a", handleContent)
	app := bus.New(bus.Config{})
	if err := app.Mount(router); err != nil {
		t.Fatal(err)
	}
	bus.MustSubscribe(router, "b", handleContent)
	if n := len(app.Stats().Subscriptions); n != 1 {
		t.Errorf("%d subscriptions", n)
	}
}

func TestSubscriptionsComeBeforeRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.unclosed()
	bus.MustSubscribe(app, "s", handleContent, bus.Group(w.group("g")))
	stop := running(t, app)
	eventually(t, func() bool { return app.Stats().Running }, says("not running"))
	router := bus.NewRouter()
	bus.MustSubscribe(router, "s", handleContent)
	if err := app.Mount(router); err == nil || !strings.Contains(err.Error(), "running") {
		t.Errorf("mount while it runs: %v", err)
	}
	if err := bus.Subscribe(app, "s", handleContent); err == nil || !strings.Contains(err.Error(), "running") {
		t.Errorf("subscribe while it runs: %v", err)
	}
	schemas := bus.NewRouter()
	bus.MustSchema[Content](schemas, "")
	if err := app.Mount(schemas); err != nil {
		t.Errorf("a router of schemas alone: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := app.Mount(router); err != nil {
		t.Errorf("mount after the run: %v", err)
	}
	closeApp(t, app)
	if err := app.Mount(router); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("mount after Close: %v", err)
	}
	if err := bus.Subscribe(app, "s", func(context.Context, Content) error { return nil }, bus.Group("g")); !errors.Is(err,
		bus.ErrClosed) {
		t.Errorf("subscribe after Close: %v", err)
	}
}
