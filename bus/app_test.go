package bus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

func TestWithoutServersNothingIsConfigured(t *testing.T) {
	app := bus.New(bus.Config{})
	if err := app.Initialize(t.Context()); !errors.Is(err, bus.ErrNotConfigured) {
		t.Errorf("initialize: %v", err)
	}
	if err := app.PublishRaw(t.Context(), "s", nil); !errors.Is(err, bus.ErrNotConfigured) {
		t.Errorf("publish: %v", err)
	}
	for _, err := range app.Tail(t.Context(), "*") {
		if !errors.Is(err, bus.ErrNotConfigured) {
			t.Errorf("tail: %v", err)
		}
	}
	cluster := kafkatest.Start(t)
	app.Configure(bus.Config{Servers: cluster.Servers(), TopicPrefix: cluster.Prefix(t)})
	if err := app.Health(t.Context()); err == nil {
		t.Error("healthy before it is initialized")
	}
	if err := app.Initialize(t.Context()); err != nil {
		t.Errorf("after Configure: %v", err)
	}
	if err := app.Health(t.Context()); err != nil {
		t.Errorf("health: %v", err)
	}
	closeApp(t, app)
	closeApp(t, app)
	for name, err := range map[string]error{
		"publish":    app.PublishRaw(t.Context(), "s", nil),
		"batch":      app.PublishBatch(t.Context(), "s", []bus.Outgoing{{}}),
		"initialize": app.Initialize(t.Context()),
		"health":     app.Health(t.Context()),
	} {
		if !errors.Is(err, bus.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

func TestInitializeAndFinalizeFunctionsMayPublish(t *testing.T) {
	app := start(t)
	var calls []string
	say := func(word string, err error) func(context.Context) error {
		return func(ctx context.Context) error {
			calls = append(calls, word)
			if err == nil {
				err = app.PublishRaw(ctx, "calls", []byte(word))
			}
			return err
		}
	}
	app.OnInitialize(say("first", nil))
	app.OnInitialize(say("second", nil))
	app.OnFinalize(say("last", nil))
	app.OnFinalize(say("but one", nil))
	if err := app.Initialize(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	if n := len(readAll(t, app, "calls")); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
	closeApp(t, app)
	if got, want := fmt.Sprint(calls), "[first second but one last]"; got != want {
		t.Errorf("called %s, want %s", got, want)
	}
}

func TestInitializeCanBeTriedAgain(t *testing.T) {
	app := start(t)
	fail := errors.New("not today")
	app.OnInitialize(func(context.Context) error { return fail })
	if err := app.Initialize(t.Context()); !errors.Is(err, fail) {
		t.Fatalf("got %v", err)
	}
	fail = nil
	if err := app.Initialize(t.Context()); err != nil {
		t.Fatalf("the second time: %v", err)
	}
}

func TestDeclaredStreamsAreThereAfterInitialize(t *testing.T) {
	app := start(t)
	bus.MustSchema[Content](app, "Content", bus.Streams("content.a", "content.b"), bus.Retention(time.Hour))
	if err := app.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := make(map[int]bool)
	for i := range 200 {
		receipt := app.PublishAsync(t.Context(), "content.a", Content{Title: "a"}, bus.Key(fmt.Append(nil, i)))
		if err := receipt.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		seen[receipt.Record().Partition] = true
		if len(seen) == 7 {
			break
		}
	}
	if len(seen) != 7 {
		t.Errorf("keys lie on %d partitions, want 7", len(seen))
	}
	infos := app.Schemas()
	if infos[0].ID != "Content" || infos[0].Version != 1 || infos[0].Retention != time.Hour || len(infos[0].Streams) != 2 {
		t.Errorf("schemas: %+v", infos[0])
	}
	if !json.Valid(infos[0].JSON) || !bytes.Contains(infos[0].JSON, []byte(`"minLength":1`)) {
		t.Errorf("schema %s", infos[0].JSON)
	}
}

func TestSchemaConflicts(t *testing.T) {
	type other struct{ A int }
	tests := []struct {
		name    string
		declare func(*bus.App) error
	}{
		{"the same id and version", func(a *bus.App) error { return bus.Schema[other](a, "Content") }},
		{"the same type", func(a *bus.App) error { return bus.Schema[*Content](a, "Content", bus.Version(2)) }},
		{"another id on a stream", func(a *bus.App) error { return bus.Schema[other](a, "Other", bus.Streams("content")) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			app := bus.New(bus.Config{})
			bus.MustSchema[Content](app, "", bus.Streams("content"))
			var conflict *bus.SchemaConflictError
			if err := test.declare(app); !errors.As(err, &conflict) {
				t.Errorf("got %v", err)
			}
			if n := len(app.Schemas()); n != 1 {
				t.Errorf("%d schemas are declared", n)
			}
		})
	}
}

// A schema of ready-made values has no Go type, so there may be several.
func TestSchemasWithoutAType(t *testing.T) {
	app := bus.New(bus.Config{})
	for version := range 2 {
		if err := bus.Schema[any](app, "Log", bus.Version(version+1),
			bus.SchemaJSON([]byte(`{"type":"object"}`))); err != nil {
			t.Error(err)
		}
	}
	var conflict *bus.SchemaConflictError
	if err := bus.Schema[any](app, "Log", bus.SchemaJSON([]byte(`{}`))); !errors.As(err, &conflict) {
		t.Errorf("the same id and version: %v", err)
	}
	if n := len(app.Schemas()); n != 2 {
		t.Errorf("%d schemas are declared", n)
	}
}

func TestSchemaOptionsAreChecked(t *testing.T) {
	app := bus.New(bus.Config{})
	tests := map[string]error{
		"no name":        bus.Schema[struct{ A int }](app, ""),
		"colon":          bus.Schema[Content](app, "a:b"),
		"version":        bus.Schema[Content](app, "a", bus.Version(0)),
		"retention":      bus.Schema[Content](app, "a", bus.Retention(-1)),
		"interface":      bus.Schema[any](app, "a"),
		"empty stream":   bus.Schema[Content](app, "a", bus.Streams("")),
		"no JSON schema": bus.Schema[Content](app, "a", bus.SchemaJSON([]byte(`{"type":`))),
	}
	for name, err := range tests {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if n := len(app.Schemas()); n != 0 {
		t.Errorf("%d schemas are declared", n)
	}
}

// What the error of a value without a schema says works when it is done.
func TestTheAdviceAboutAMissingSchemaWorks(t *testing.T) {
	t.Parallel()
	app := start(t)
	for _, test := range []struct {
		value   any
		advice  string
		declare func() error
	}{
		{Draft{Text: "a"}, `bus.Schema[bus_test.Draft](app, "")`, func() error { return bus.Schema[Draft](app, "") }},
		{map[string]any{"a": 1}, `bus.Schema[map[string]interface {}](app, "Doc")`,
			func() error { return bus.Schema[map[string]interface{}](app, "Doc") }},
		{[]string{"a"}, `bus.Schema[[]string](app, "Doc")`, func() error {
			return bus.Schema[[]string](app, "Doc", bus.Version(2))
		}},
		{nil, "PublishRaw with a nil value", func() error { return app.PublishRaw(t.Context(), "advice.nil", nil) }},
	} {
		err := app.Publish(t.Context(), "advice", test.value)
		if err == nil || !strings.Contains(err.Error(), test.advice) {
			t.Errorf("%T: %v, want it to say %s", test.value, err, test.advice)
		}
		if err := test.declare(); err != nil {
			t.Errorf("%T: the advice fails: %v", test.value, err)
		}
		if test.value == nil {
			continue
		}
		if err := app.Publish(t.Context(), fmt.Sprintf("advice.%d", len(app.Schemas())), test.value); err != nil {
			t.Errorf("%T: %v", test.value, err)
		}
	}
	if err := bus.Schema[map[string]any](bus.NewRouter(), ""); err == nil ||
		!strings.Contains(err.Error(), `(app, "Doc")`) {
		t.Errorf("a type without a name: %v", err)
	}
}

func TestSuppliedSchemaDecides(t *testing.T) {
	app := start(t)
	bus.MustSchema[map[string]any](app, "Free", bus.SchemaJSON([]byte(`{"type":"object","required":["a"]}`)))
	if err := app.Publish(t.Context(), "free", map[string]any{"a": 1}); err != nil {
		t.Error(err)
	}
	var invalid *bus.ValidationError
	if err := app.Publish(t.Context(), "free", map[string]any{"b": 1}); !errors.As(err, &invalid) ||
		invalid.Rule != "required" {
		t.Errorf("got %v", err)
	}
}

// A prefix that has another program's as its beginning reads that one's topics.
func TestAPrefixThatEndsInALetterOrDigitIsWarnedOfOnce(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]int{"app": 1, "App1": 1, "APP": 1, "app.": 0, "app-": 0, "app_": 0, "": 0} {
		var log bytes.Buffer
		app := bus.New(bus.Config{Servers: []string{"127.0.0.1:1"}, TopicPrefix: prefix,
			Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			if err := app.Initialize(ctx); err == nil {
				t.Error("connected to nothing")
			}
			cancel()
		}
		_ = app.Close(ended)
		if n := strings.Count(log.String(), "end it in a dot"); n != want {
			t.Errorf("%q: %d warnings, want %d: %s", prefix, n, want, &log)
		}
	}
}

func TestSettingsAreCheckedWithNearNames(t *testing.T) {
	app := bus.New(bus.Config{Servers: []string{"127.0.0.1:1"}, Settings: bus.Settings{"sasl_mechanisms": "PLAIN"}})
	if err := app.Initialize(t.Context()); err == nil || !strings.Contains(err.Error(), "sasl_mechanism") {
		t.Errorf("got %v", err)
	}
	if _, err := bus.ParseSettings("[1]"); err == nil {
		t.Error("an array is no settings")
	}
	if s, err := bus.ParseSettings(`{"linger_ms": 3}`); err != nil || len(s) != 1 {
		t.Errorf("%v, %v", s, err)
	}
}

func TestCloseReturnsByItsDeadline(t *testing.T) {
	cluster := kafkatest.Start(t)
	gate := newGate(t, cluster.Servers()[0])
	app := bus.New(bus.Config{Servers: []string{gate.addr}, TopicPrefix: cluster.Prefix(t)})
	publishing := make(chan error, 1)
	go func() { publishing <- app.PublishRaw(t.Context(), "s", []byte("v")) }()
	gate.waitForCaller(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_ = app.Close(ctx)
	if took := time.Since(begin); took > 10*time.Second { // the broker never answers
		t.Errorf("Close took %v", took)
	}
	if err := <-publishing; !errors.Is(err, bus.ErrClosed) {
		t.Errorf("the publish that waited: %v", err)
	}
}

func TestCloseWhilePublishing(t *testing.T) {
	app := start(t)
	if err := app.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	var publishers sync.WaitGroup
	acknowledged := make([]int, 8)
	for p := range acknowledged {
		publishers.Go(func() {
			for n := 0; ; n++ {
				if err := app.PublishRaw(t.Context(), "s", []byte("v")); err != nil {
					if !errors.Is(err, bus.ErrClosed) {
						t.Errorf("publish: %v", err)
					}
					return
				}
				acknowledged[p]++
				if n == 20 {
					go func() { _ = app.Close(t.Context()) }()
				}
			}
		})
	}
	publishers.Wait()
	closeApp(t, app)
}
