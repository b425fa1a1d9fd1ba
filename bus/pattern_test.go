package bus_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// A pattern that no stream's name can match is an error of Subscribe, of its further patterns, and of all patterns of a
// Tail, which asks no broker for that.
func TestPatternsThatMatchNoStreamAreErrors(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"":                       "name a stream",
		`^content\..*$`:          "no regular expression",
		"content.(a|b)":          "no regular expression",
		"content/*":              `"/"`,
		"a,b":                    "Patterns",
		"{a,b}":                  "Patterns",
		" x":                     "take out the space",
		"content.edited ":        "take out the space",
		"content.edited\n":       "take out the space",
		"x[":                     "ends with ]",
		"content.[":              "ends with ]",
		"a[/,]b":                 `"[/,]"`,
		"a[z-b]":                 `"[z-b]"`,
		"caf\u00e9":              "letters, digits",
		strings.Repeat("a", 250): "250 characters",
		strings.Repeat("a", 300): "256",
		".":                      `neither "." nor ".."`,
		"..":                     `neither "." nor ".."`,
	} {
		says := func(where string, err error) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %q: %v, want it to say %s", where, pattern, err, want)
			}
		}
		says("subscribe", bus.Subscribe(bus.NewRouter(), pattern, handleContent))
		says("patterns", bus.Subscribe(bus.NewRouter(), "s", handleContent, bus.Patterns("t", pattern)))
		app := bus.New(bus.Config{Servers: []string{"127.0.0.1:1"}})
		tail := func(pattern string, opts ...bus.TailOption) error {
			for _, err := range app.Tail(within(t, time.Minute), pattern, opts...) {
				return err
			}
			return nil
		}
		says("tail", tail(pattern))
		says("include", tail("s", bus.Include("t", pattern)))
		says("exclude", tail("s", bus.Exclude(pattern)))
		closeApp(t, app)
	}
	for _, pattern := range []string{"*", "content.*", "a?[b-d][!e]", "[^a]", "A-b_c.9", "...", "*.",
		strings.Repeat("a", 249) + "*"} {
		if err := bus.Subscribe(bus.NewRouter(), pattern, handleContent); err != nil {
			t.Error(err)
		}
	}
}

func TestGroupsWithoutAProperNameAreErrors(t *testing.T) {
	t.Parallel()
	for group, want := range map[string]string{
		"": "empty name", " g": "take out the space", "g\n": "control characters", "g ": "take out the space",
		"g\x00": "control characters",
		"g\xff": "UTF-8", strings.Repeat("g", 1<<15): "32768 bytes",
	} {
		err := bus.Subscribe(bus.NewRouter(), "s", handleContent, bus.Group(group))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("group %.20q: %v, want it to say %s", group, err, want)
		}
	}
}

type archive struct{}

func (archive) OnContent(context.Context, Content) error { return nil }

// Each record would reach one of the two functions only.
func TestTwoFunctionsOfOneDefaultGroupAreAnError(t *testing.T) {
	t.Parallel()
	router, app, other := bus.NewRouter(), bus.New(bus.Config{}), bus.NewRouter()
	clashes := func(err error) {
		t.Helper()
		errorSays(t, err, `"OnContent" by default`)
		errorSays(t, err, "with Group")
	}
	for _, r := range []bus.Registrar{router, app} {
		bus.MustSubscribe(r, "s", service{}.OnContent)
		clashes(bus.Subscribe(r, "t", archive{}.OnContent))
	}
	bus.MustSubscribe(other, "t", archive{}.OnContent)
	clashes(app.Mount(other))
	app = bus.New(bus.Config{})
	bus.MustSubscribe(app, "s", handleAny[Content])
	if err := bus.Subscribe(app, "s", handleAny[Draft]); err == nil {
		t.Error("two functions of one generic one are taken")
	}
	// One function may read two patterns as two members of its group, and Group says that two functions are meant.
	for _, err := range []error{
		bus.Subscribe(app, "t", handleAny[Content]),
		bus.Subscribe(app, "s", service{}.OnContent),
		bus.Subscribe(app, "s", archive{}.OnContent, bus.Group("OnContent")),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestStreamsOfASchemaAreChecked(t *testing.T) {
	t.Parallel()
	for stream, want := range map[string]string{
		".": `neither "." nor ".."`, "..": `neither "." nor ".."`, "": "needs a name", "a b": `no ' '`,
		"a/b": `no '/'`, strings.Repeat("a", 250): "250 characters",
	} {
		errorSays(t, bus.Schema[Content](bus.NewRouter(), "", bus.Streams("ok", stream)), want)
	}
}

// The bus's own streams are read by a tail only when a pattern names them, as by a subscription.
func TestTailLeavesOwnStreamsOut(t *testing.T) {
	t.Parallel()
	app := start(t)
	for _, stream := range []string{"c.a", "c.a.g.dead", "c.a.g.retry.1", "c.a.g.replay", "c.a.g.replay.log", "c.dead"} {
		if err := app.PublishRaw(t.Context(), stream, []byte(stream)); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, want := range map[string]string{
		"*":              "c.a c.dead",
		"c.*":            "c.a c.dead",
		"c.*.dead":       "c.a.g.dead",
		"*.retry.*":      "c.a.g.retry.1",
		"c.a.g.replay":   "c.a.g.replay",
		"*.replay.log":   "c.a.g.replay.log",
		"c.a.g.retry.1":  "c.a.g.retry.1",
		"c.a.g.ret[r]y*": "",
	} {
		if got := values(readAll(t, app, pattern)); got != want {
			t.Errorf("%s: got %q, want %q", pattern, got, want)
		}
	}
	if got, want := values(readAll(t, app, "c.*", bus.Include("*.dead"))), "c.a c.a.g.dead c.dead"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A pattern that matches nothing is a line in the log, after a time, which names what is near.
func TestAPatternThatMatchesNothingIsLogged(t *testing.T) {
	t.Parallel()
	w, log := newWorld(t), new(logged)
	w.stream("content.edited", 1)
	app := w.app(bus.Config{Logger: log.logger()})
	bus.MustSubscribe(app, "contents.*", handleContent, bus.Group(w.group("g")), bus.Patterns("content.*"))
	stop := running(t, app)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, err := range app.Tail(ctx, "content.edit") {
			t.Error(err)
		}
	}()
	for _, line := range []string{
		`msg="bus: no stream matches the pattern; it waits for one" subscription=contents.* group=` + w.group("g") +
			` pattern=contents.* near=[content.edited]`,
		`msg="bus: no stream matches the pattern; it waits for one" tail=content.edit pattern=content.edit ` +
			`near=[content.edited]`,
	} {
		eventually(t, func() bool { return log.has(line) }, func() string { return "not logged: " + line })
	}
	cancel()
	<-done
	if err := stop(); err != nil {
		t.Error(err)
	}
	if log.has("pattern=content.*") {
		t.Errorf("a pattern that matches is logged:\n%s", log)
	}
}
