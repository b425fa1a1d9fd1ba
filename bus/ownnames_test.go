package bus_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// What is known of the names of dead letters and retries when a subscription is declared is an error there.
func TestNamesOfDeadLettersThatKafkaRefuses(t *testing.T) {
	t.Parallel()
	subscribe := func(r bus.Registrar, stream, group string, opts ...bus.SubscribeOption) error {
		return bus.Subscribe(r, stream, handleContent, append(opts, bus.Group(group))...)
	}
	prefixed := func(prefix string) *bus.App { return bus.New(bus.Config{TopicPrefix: prefix}) }
	long := func(n int) string { return strings.Repeat("s", n) }

	tests := []struct {
		name string
		err  func() error
		want string // part of the error; "" for none
	}{
		{"the longest", func() error { return subscribe(prefixed(""), long(249-len(".g.dead")), "g", bus.DeadLetter()) }, ""},
		{"too long", func() error { return subscribe(prefixed(""), long(250-len(".g.dead")), "g", bus.DeadLetter()) },
			"has 250 characters where Kafka allows 249: shorten"},
		{"with the prefix", func() error { return subscribe(prefixed("p"), long(249-len(".g.dead")), "g", bus.DeadLetter()) },
			"has 250 characters"},
		{"of a retry stream", func() error {
			return subscribe(prefixed(""), long(249-len(".g.dead")), "g", bus.RetryTopics(time.Second))
		}, ".g.retry.1\", which has 252 characters"},
		{"without dead letters", func() error { return subscribe(prefixed(""), long(249), "g") }, ""},
		{"a pattern may match shorter ones", func() error {
			return subscribe(prefixed(""), "*"+long(240), "g", bus.DeadLetter())
		}, ""},
		{"a dot and an underscore", func() error {
			app := prefixed("")
			return errors.Join(subscribe(app, "s", "my.group", bus.DeadLetter()),
				subscribe(app, "s", "my_group", bus.DeadLetter()))
		}, `"s.my_group.dead", which Kafka does not take beside topic "s.my.group.dead", because '.' and '_' are one`},
		{"in a router", func() error {
			r := bus.NewRouter()
			return errors.Join(subscribe(r, "s", "my.group", bus.DeadLetter()), subscribe(r, "s", "my_group", bus.DeadLetter()))
		}, "are one"},
		{"when a router is mounted", func() error {
			app, r := prefixed(""), bus.NewRouter()
			return errors.Join(subscribe(app, "s_s", "g", bus.DeadLetter()), subscribe(r, "s", "s.g", bus.DeadLetter()),
				app.Mount(r))
		}, "are one"},
		{"the same group twice", func() error {
			app := prefixed("")
			return errors.Join(subscribe(app, "s", "g", bus.DeadLetter()), subscribe(app, "s", "g", bus.DeadLetter()))
		}, ""},
		{"other streams", func() error {
			app := prefixed("")
			return errors.Join(subscribe(app, "s", "my.group", bus.DeadLetter()),
				subscribe(app, "t", "my_group", bus.DeadLetter()))
		}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := test.err()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// What the topics of the cluster tell is an error of Run, before anything is handled.
func TestRunRefusesStreamsWhoseDeadLettersHaveNoName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, pattern, stream, group, beside, want string }{
		{"too long", "*", "", strings.Repeat("g", 240), "jobs", "shorten the name of the group, the stream or the prefix"},
		{"beside another topic", "some.*", "some.jobs", "a.b", "some.jobs.a_b.dead", "does not take beside topic"},
		{"named", "jobs", "", "a.b", "jobs.a_b.dead", "does not take beside topic"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, stream := range []string{test.stream, test.beside} {
				if stream != "" {
					w.stream(stream, 1)
				}
			}
			app := w.app()
			bus.MustSubscribe(app, test.pattern, handleContent, bus.Group(test.group), bus.DeadLetter())
			err := runs(t, app)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Run: %v, want %q", err, test.want)
			}
			if h := app.Health(t.Context()); h == nil || !strings.Contains(h.Error(), test.want) {
				t.Errorf("Health: %v", h)
			}
		})
	}
}

// A stream that appears later is left alone, its records too, and the others are read: Health and one line say so.
func TestAStreamWhoseDeadLettersHaveNoNameIsNotRead(t *testing.T) {
	t.Parallel()
	w, log := newWorld(t), new(logged)
	w.stream("some.good", 1)
	app := w.app(bus.Config{Logger: log.logger()})
	group := w.group("g")
	var got numbers
	bus.MustSubscribe(app, "some.*", got.handle, bus.Group(group), bus.DeadLetter())
	stop := running(t, app)
	w.put("some.good", 0, contents(0, 1)...)
	got.wait(t, 1)
	bad := "some." + strings.Repeat("s", 240-len(w.prefix))
	w.stream(bad, 1)
	w.put(bad, 0, contents(1, 1)...)
	eventually(t, func() bool { return app.Health(t.Context()) != nil }, says("Health does not tell"))
	if err := app.Health(t.Context()); !strings.Contains(err.Error(), bad+`" is not read: group `) ||
		!strings.Contains(err.Error(), "shorten") {
		t.Errorf("Health: %v", err)
	}
	w.stream("some.other", 1) // who sees this one has seen the bad one
	w.put("some.other", 0, contents(2, 1)...)
	if all := got.wait(t, 2); !slices.Equal(all, []int{0, 2}) {
		t.Errorf("handled %v", all)
	}
	if n := strings.Count(log.String(), "a stream is not read"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
