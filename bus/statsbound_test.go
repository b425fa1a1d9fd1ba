package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/bus"
)

// What a record holds, and what a handler says of it, does not make the snapshot grow: it is served and logged as JSON.
func TestStatsAreNotAmplified(t *testing.T) {
	t.Parallel()
	type content struct{ N int }
	sizes := make(map[string]int)
	for _, n := range []int{1000, 300_000} {
		w := newWorld(t, embedded())
		app := w.app()
		group := w.group("g")
		for name, value := range map[string]string{
			"schema":    `{"schema":"` + strings.Repeat(`\u001b`, n/6) + `","data":{"N":"x"}}`,
			"no-schema": strings.Repeat("\xff\x1b", n/2),
			"number":    `{"schema":"A:1","data":{"N":` + strings.Repeat("9", n) + `}}`,
		} {
			w.stream(name, 1)
			if err := app.PublishRaw(t.Context(), name, []byte(value)); err != nil {
				t.Fatal(err)
			}
			bus.MustSubscribe(app, name, func(context.Context, *bus.Message[content]) error { return nil },
				bus.Group(group+name), bus.DeadLetter())
		}
		w.stream("error", 1)
		if err := app.PublishRaw(t.Context(), "error", []byte(strings.Repeat("x", n))); err != nil {
			t.Fatal(err)
		}
		bus.MustSubscribe(app, "error", func(_ context.Context, value []byte) error {
			return bus.Reject(errors.New(strings.Repeat("e", n)))
		}, bus.Group(group+"error"), bus.DeadLetter())
		stop := running(t, app)
		eventually(t, func() bool {
			for _, s := range app.Stats().Subscriptions {
				if s.DeadLettered == 0 {
					return false
				}
			}
			return true
		}, says("not all are dead letters"))
		for _, s := range app.Stats().Subscriptions {
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			if size := len(text); n == 1000 {
				sizes[s.Patterns[0]] = size
			} else if size > sizes[s.Patterns[0]]+16<<10 {
				t.Errorf("%s: %d bytes of Stats for a record of 1 kB, %d for one of 300 kB", s.Patterns[0],
					sizes[s.Patterns[0]], size)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}
