package bus_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// hooks says which functions of OnInitialize and OnFinalize were called.
type hooks struct {
	calls list[string]
	fail  map[string]error
}

func (h *hooks) of(name string) func(context.Context) error {
	return func(context.Context) error {
		h.calls.add(name)
		return h.fail[name]
	}
}

func (h *hooks) want(t *testing.T, want string) {
	t.Helper()
	if got := strings.Join(h.calls.get(), " "); got != want {
		t.Errorf("called %q, want %q", got, want)
	}
}

// quiet is for tests whose Apps log errors.
func quiet(t *testing.T) bus.Config {
	return bus.Config{Logger: testkit.Logger(t)}
}

func errorSays(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want it to say %s", err, want)
	}
}

// What was never initialized is not finalized: neither without servers, nor behind a function that failed.
func TestOnlyWhatWasInitializedIsFinalized(t *testing.T) {
	t.Parallel()
	broken := errors.New("no database")
	for _, test := range []struct {
		name       string
		configured bool
		fail       map[string]error
		want       string
	}{
		{"all", true, nil, "open-db open-cache close-late close-cache close-db close-first"},
		{"no servers", false, nil, ""},
		{"the first failed", true, map[string]error{"open-db": broken}, "open-db"},
		{"the second failed", true, map[string]error{"open-cache": broken}, "open-db open-cache close-db"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app := bus.New(quiet(t))
			if test.configured {
				cluster := kafkatest.Start(t)
				app.Configure(bus.Config{Servers: cluster.Servers(), TopicPrefix: cluster.Prefix(t)})
			}
			h := &hooks{fail: test.fail}
			app.OnFinalize(h.of("close-first"))
			app.OnInitialize(h.of("open-db"))
			app.OnFinalize(h.of("close-db"))
			app.OnInitialize(h.of("open-cache"))
			app.OnFinalize(h.of("close-cache"))
			err := app.Initialize(within(t, time.Minute))
			if well := test.configured && test.fail == nil; (err == nil) != well {
				t.Errorf("initialize: %v", err)
			}
			app.OnFinalize(h.of("close-late"))
			closeApp(t, app)
			h.want(t, test.want)
		})
	}
}

// A function that has succeeded is not called again when Initialize is.
func TestInitializeGoesOnWhereItFailed(t *testing.T) {
	t.Parallel()
	app := start(t)
	h := &hooks{fail: map[string]error{"b": errors.New("not today")}}
	for _, name := range []string{"a", "b", "c"} {
		app.OnInitialize(h.of(name))
	}
	if err := app.Initialize(t.Context()); !errors.Is(err, h.fail["b"]) {
		t.Fatalf("got %v", err)
	}
	delete(h.fail, "b")
	if err := app.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.want(t, "a b b c")
}

// A function that comes when the App is initialized is called by the next Initialize, or Run; until then Health says
// that it waits. When it fails the App goes on.
func TestALateOnInitializeIsCalled(t *testing.T) {
	t.Parallel()
	app := start(t)
	if err := app.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := &hooks{fail: map[string]error{"a": errors.New("not today")}}
	app.OnInitialize(h.of("a"))
	errorSays(t, app.Health(t.Context()), "wait for the next Initialize or Run")
	if err := app.PublishRaw(t.Context(), "s", nil); err != nil {
		t.Error(err)
	}
	h.want(t, "")
	if err := app.Initialize(t.Context()); !errors.Is(err, h.fail["a"]) {
		t.Errorf("got %v", err)
	}
	delete(h.fail, "a")
	if err := app.PublishRaw(t.Context(), "s", nil); err != nil {
		t.Errorf("publish after a late function has failed: %v", err)
	}
	bus.MustSubscribe(app, "s", func(context.Context, []byte) error { return bus.ErrStop }, bus.Group("g"+t.Name()))
	if err := app.Run(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
	h.want(t, "a a")
	if err := app.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

// Functions of OnFinalize may be added until Close has ended; what is never called is an error in the log.
func TestHooksAroundClose(t *testing.T) {
	t.Parallel()
	log := new(logged)
	app := start(t, bus.Config{Logger: log.logger()})
	h := new(hooks)
	if err := app.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	app.OnFinalize(func(ctx context.Context) error {
		app.OnFinalize(h.of("during"))
		return h.of("first")(ctx)
	})
	closeApp(t, app)
	h.want(t, "first during")
	app.OnFinalize(h.of("after"))
	app.OnInitialize(h.of("after"))
	app.Use(func(next bus.Handler) bus.Handler { return next })
	app.Configure(bus.Config{TopicPrefix: "other."})
	h.want(t, "first during")
	for _, method := range []string{"OnFinalize", "OnInitialize", "Use", "Configure"} {
		if !log.has(`msg="bus: a call is in vain" error="bus: ` + method + ": ") {
			t.Errorf("nothing about %s in the log:\n%s", method, log)
		}
	}
}

// A nil function is an error of Initialize and Run: the method that got it has none.
func TestNilFunctionsAreErrors(t *testing.T) {
	t.Parallel()
	for method, call := range map[string]func(*bus.App, *bus.Router){
		"OnInitialize": func(a *bus.App, r *bus.Router) { a.OnInitialize(nil); r.OnInitialize(nil) },
		"OnFinalize":   func(a *bus.App, r *bus.Router) { a.OnFinalize(nil); r.OnFinalize(nil) },
		"Use":          func(a *bus.App, r *bus.Router) { a.Use(nil); r.Use(nil) },
		"OnConsumed":   func(a *bus.App, r *bus.Router) { a.OnConsumed(nil); r.Use(nil) },
		"OnPublished":  func(a *bus.App, r *bus.Router) { a.OnPublished(nil); r.Use(nil) },
	} {
		app, router := bus.New(quiet(t)), bus.NewRouter()
		call(app, router)
		errorSays(t, app.Initialize(t.Context()), method+": the function is nil")
		errorSays(t, app.Run(t.Context()), method+": the function is nil")
		errorSays(t, bus.New(quiet(t)).Mount(router), "mount: Router.")
		closeApp(t, app)
	}
}

// Configure on an App that has connected: what can take effect does, what cannot is an error of Run and Health, and
// nothing of it counts.
func TestALateConfigure(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	prefix := cluster.Prefix(t)
	app := start(t, bus.Config{TopicPrefix: prefix})
	if err := app.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := new(logged)
	app.Configure(bus.Config{
		Servers: cluster.Servers(), TopicPrefix: prefix, Logger: log.logger(), DrainTimeout: time.Second,
	})
	if err := errors.Join(app.Initialize(t.Context()), app.Health(t.Context())); err != nil {
		t.Fatalf("what changes nothing, and what can change: %v", err)
	}
	app.Configure(bus.Config{
		TopicPrefix: "other.", MaxBufferedRecords: 5, DrainTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
	const want = "Configure: it comes too late to change TopicPrefix, MaxBufferedRecords, and changes nothing"
	errorSays(t, app.Health(t.Context()), want)
	errorSays(t, app.Initialize(t.Context()), want)
	errorSays(t, app.Run(t.Context()), want)
	if !log.has(want) {
		t.Errorf("the log that was configured late says nothing:\n%s", log)
	}
	if s := app.String(); strings.Contains(s, "other.") {
		t.Errorf("%s", s)
	}
	if err := app.PublishRaw(t.Context(), "s", nil); err != nil {
		t.Errorf("what works goes on: %v", err)
	}
}

// Passwords and functions of TLS cannot be compared as other values are: the same ones change nothing all the same.
func TestALateConfigureOfTheSame(t *testing.T) {
	t.Parallel()
	config := bus.Config{Settings: bus.Settings{"sasl_plain_password": "secret"}}
	app := start(t, config)
	if err := app.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	app.Configure(config)
	if err := app.Health(t.Context()); err != nil {
		t.Error(err)
	}
	app.Configure(bus.Config{Settings: bus.Settings{"sasl_plain_password": "other"}})
	errorSays(t, app.Health(t.Context()), "it comes too late to change Settings")

	log := new(logged)
	c := &tls.Config{ServerName: "a", VerifyConnection: func(tls.ConnectionState) error { return nil }}
	app = bus.New(bus.Config{TLS: c, Logger: log.logger()})
	closeApp(t, app)
	app.Configure(bus.Config{TLS: c})
	if log.has("too late") {
		t.Errorf("the same TLS: %s", log)
	}
	c.ServerName = "b"
	app.Configure(bus.Config{TLS: c})
	if !log.has("it comes too late to change TLS") {
		t.Errorf("another TLS: %s", log)
	}
}

// An App that tries to connect, as it does when something is logged through it, takes the servers that are configured
// next.
func TestConfigureWhileTheAppConnects(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	gate := newGate(t, cluster.Servers()[0])
	app := bus.New(bus.Config{Servers: []string{gate.addr}, Logger: testkit.Logger(t)})
	t.Cleanup(func() { closeApp(t, app) })
	published := make(chan error, 1)
	go func() { published <- app.PublishRaw(within(t, time.Minute), "s", []byte("v")) }()
	gate.waitForCaller(t)
	app.Configure(bus.Config{Servers: cluster.Servers(), TopicPrefix: cluster.Prefix(t)})
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	if n := len(readAll(t, app, "s")); n != 1 {
		t.Errorf("%d records under the prefix that was configured", n)
	}
	if err := app.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

// What is added while the App runs takes effect with the next Run; Health and the log say so.
func TestUseWhileTheAppRuns(t *testing.T) {
	t.Parallel()
	w, log := newWorld(t), new(logged)
	app := w.app(bus.Config{Logger: log.logger()})
	var calls, consumed atomic.Int64
	bus.MustSubscribe(app, "s", func(context.Context, []byte) error { return bus.ErrStop }, bus.Group(w.group("g")))
	stop := running(t, app)
	eventually(t, func() bool { return app.Stats().Running }, says("not running"))
	app.Use(func(next bus.Handler) bus.Handler {
		calls.Add(1)
		return next
	})
	app.OnConsumed(func(context.Context, bus.Consumed) { consumed.Add(1) })
	app.Configure(bus.Config{DrainTimeout: 7 * time.Second})
	errorSays(t, app.Health(t.Context()), "Use: the App runs already")
	errorSays(t, app.Health(t.Context()), "Configure: it comes too late to change DrainTimeout")
	for _, method := range []string{"Use", "OnConsumed"} {
		if !log.has(method + ": the App runs already: what was added takes effect with the next Run") {
			t.Errorf("the log says nothing of %s:\n%s", method, log)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if calls.Load() != 0 {
		t.Error("the middleware was put around a handler that runs")
	}
}

func TestWhatIsAddedWhileTheAppRunsCountsInTheNextRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	app := w.app()
	var calls, consumed atomic.Int64
	bus.MustSubscribe(app, "s", func(context.Context, []byte) error { return nil }, bus.Group(w.group("g")))
	stop := running(t, app)
	eventually(t, func() bool { return app.Stats().Running }, says("not running"))
	app.Use(func(next bus.Handler) bus.Handler {
		calls.Add(1)
		return next
	})
	app.OnConsumed(func(context.Context, bus.Consumed) { consumed.Add(1) })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	w.put("s", 0, "one")
	if _, err := app.ConsumeFor(within(t, time.Minute), 1); err != nil {
		t.Fatal(err)
	}
	if calls.Load() != 1 || consumed.Load() != 1 {
		t.Errorf("%d calls of the middleware, %d of the observer", calls.Load(), consumed.Load())
	}
	if err := app.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

// A Router's functions travel with it: they come in their place of the App's own, and its middleware is around its own
// handlers alone, inside the App's.
func TestARoutersFunctionsTravelWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("mine", 1)
	w.stream("others", 1)
	h := new(hooks)
	wrap := func(name string) bus.Middleware {
		return func(next bus.Handler) bus.Handler {
			return func(ctx context.Context, r *bus.Record) error {
				h.calls.add(name + ":" + r.Stream)
				return next(ctx, r)
			}
		}
	}
	router := bus.NewRouter()
	router.Use(wrap("outer"))
	bus.MustSubscribe(router, "mine", func(context.Context, []byte) error { return nil }, bus.Group(w.group("mine")))
	router.Use(wrap("inner"))
	router.OnInitialize(h.of("open"))
	router.OnFinalize(h.of("close"))
	for range 2 { // it may be mounted in several Apps
		h.calls = list[string]{}
		app := w.unclosed()
		app.OnInitialize(h.of("first"))
		app.OnFinalize(h.of("last"))
		if err := app.Mount(router); err != nil {
			t.Fatal(err)
		}
		app.OnInitialize(h.of("third"))
		app.Use(wrap("app"))
		bus.MustSubscribe(app, "others", func(context.Context, []byte) error { return nil }, bus.Group(w.group("others")))
		w.put("mine", 0, "a")
		if _, err := app.ConsumeFor(within(t, time.Minute), 1); err != nil {
			t.Fatal(err)
		}
		h.want(t, "first open third app:mine outer:mine inner:mine")
		h.calls = list[string]{}
		w.put("others", 0, "b")
		if _, err := app.ConsumeFor(within(t, time.Minute), 1); err != nil {
			t.Fatal(err)
		}
		closeApp(t, app)
		h.want(t, "app:others close last")
	}
}

// A nil App or Router, as a package has that never made its own, is an error where there is one, and never a nil
// dereference.
func TestANilAppOrRouterIsASentence(t *testing.T) {
	t.Parallel()
	var app *bus.App
	var router *bus.Router
	ctx := t.Context()
	for _, r := range []interface {
		OnInitialize(func(context.Context) error)
		OnFinalize(func(context.Context) error)
		Use(bus.Middleware)
	}{app, router} {
		r.OnInitialize(nil)
		r.OnInitialize(func(context.Context) error { return nil })
		r.OnFinalize(func(context.Context) error { return nil })
		r.Use(func(next bus.Handler) bus.Handler { return next })
	}
	app.Configure(bus.Config{TopicPrefix: "x."})
	app.OnConsumed(func(context.Context, bus.Consumed) {})
	app.OnPublished(func(bus.Published) {})
	if app.Logger() != nil || app.Schemas() != nil || app.Stats().Initialized || fmt.Sprint(app) != "bus.App(nil)" {
		t.Errorf("a nil App has %v, %v, %+v, %v", app.Logger(), app.Schemas(), app.Stats(), app)
	}
	const noApp, noRouter = "the App is nil: make it with bus.New", "the Router is nil: make it with bus.NewRouter"
	type apps struct{ *bus.App }
	type routers struct{ *bus.Router }
	_, consumeFor := app.ConsumeFor(ctx, 1)
	var tail error
	for _, err := range app.Tail(ctx, "s") {
		tail = err
	}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"Initialize":          {app.Initialize(ctx), noApp},
		"Run":                 {app.Run(ctx), noApp},
		"ConsumeFor":          {consumeFor, noApp},
		"Flush":               {app.Flush(ctx), noApp},
		"Close":               {app.Close(ctx), noApp},
		"Health":              {app.Health(ctx), noApp},
		"Mount":               {app.Mount(bus.NewRouter()), noApp},
		"Mount of a Router":   {bus.New(bus.Config{}).Mount(router), noRouter},
		"Publish":             {app.Publish(ctx, "s", 1), noApp},
		"PublishAsync":        {app.PublishAsync(ctx, "s", 1).Wait(ctx), noApp},
		"PublishRaw":          {app.PublishRaw(ctx, "s", nil), noApp},
		"PublishBatch":        {app.PublishBatch(ctx, "s", make([]bus.Outgoing, 1)), noApp},
		"Tail":                {tail, noApp},
		"Schema":              {bus.Schema[Content](app, "S"), noApp},
		"Schema, Router":      {bus.Schema[Content](router, "S"), noRouter},
		"Subscribe":           {bus.Subscribe(app, "s", handleContent), noApp},
		"Subscribe, Router":   {bus.Subscribe(router, "s", handleContent), noRouter},
		"Schema, embedded":    {bus.Schema[Content](apps{}, "S"), noApp},
		"Schema, no Router":   {bus.Schema[Content](routers{}, "S"), noRouter},
		"Schema, nothing":     {bus.Schema[Content](nil, "S"), "there is no App and no Router"},
		"Subscribe, embedded": {bus.Subscribe(apps{}, "s", handleContent), noApp},
		"Subscribe, nobody":   {bus.Subscribe(routers{}, "s", handleContent), noRouter},
		"Subscribe, nothing":  {bus.Subscribe(nil, "s", handleContent), "there is no App and no Router"},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, test.err, test.want)
		}
	}
}
