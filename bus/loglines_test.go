package bus_test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// Each failed call is a debug line, each record that is given up a warning. What is too much for the log is counted in
// it, at the end at the latest.
func TestFailuresAreLoggedOrCounted(t *testing.T) {
	t.Parallel()
	const records, attempts = 100, 3
	for _, test := range []struct {
		name string
		opts []bus.SubscribeOption
		err  error
		line string
		kind string
		call int
	}{
		{"rejected", nil, bus.Reject(errBroken), "level=WARN msg=\"bus: a record is rejected\"", "rejected records", 1},
		{"dead letters", []bus.SubscribeOption{bus.DeadLetter(), fast(attempts)}, errBroken,
			"level=WARN msg=\"bus: a record goes to the dead letters\"", "dead letters", attempts},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, log := newWorld(t), new(logged)
			w.stream("s", 1)
			w.put("s", 0, contents(0, records)...)
			app := w.app(bus.Config{Logger: log.logger()})
			bus.MustSubscribe(app, "s", func(context.Context, Content) error { return test.err },
				append(test.opts, bus.Group(w.group("g")))...)
			if _, err := app.ConsumeFor(within(t, time.Minute), records); err != nil {
				t.Fatal(err)
			}
			for kind, want := range map[string][2]any{
				test.kind:                     {test.line, records},
				"failed calls of the handler": {"level=DEBUG msg=\"bus: a call of a handler failed\"", records * test.call},
			} {
				lines, omitted := strings.Count(log.String(), fmt.Sprint(want[0])), 0
				for _, m := range regexp.MustCompile(`kind="`+kind+`" omitted=(\d+)`).FindAllStringSubmatch(log.String(), -1) {
					n, _ := strconv.Atoi(m[1])
					omitted += n
				}
				if lines+omitted != want[1] || lines < 10 {
					t.Errorf("%d %s logged, and %d counted; want %v", lines, kind, omitted, want[1])
				}
			}
		})
	}
}

// A panic is logged with its stack however many lines there were before it.
func TestAPanicIsLoggedBehindManyOtherLines(t *testing.T) {
	t.Parallel()
	w, log := newWorld(t), new(logged)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 100)...)
	app := w.app(bus.Config{Logger: log.logger()})
	bus.MustSubscribe(app, "s", func(_ context.Context, c Content) error {
		if c.N == 99 {
			panic("the last one")
		}
		return bus.Reject(errBroken)
	}, bus.Group(w.group("g")), bus.DeadLetter(), fast(1))
	if _, err := app.ConsumeFor(within(t, time.Minute), 100); err != nil {
		t.Fatal(err)
	}
	if !log.has(`error="panic: the last one" stack="goroutine `) {
		t.Errorf("the panic is not logged:\n%s", log)
	}
}
