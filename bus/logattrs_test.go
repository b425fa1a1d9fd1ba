package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

func TestLogAttrs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	app := w.app()
	group := w.group("g")
	var seen list[string]
	app.Use(func(next bus.Handler) bus.Handler {
		return func(ctx context.Context, r *bus.Record) error {
			seen.add("middleware " + fmt.Sprint(bus.LogAttrs(ctx)))
			return next(ctx, r)
		}
	})
	failed := false
	bus.MustSubscribe(app, "s", func(ctx context.Context, v []byte) error {
		seen.add(fmt.Sprint(bus.LogAttrs(ctx)))
		if string(v) == "fails" && !failed {
			failed = true
			return errors.New("once")
		}
		return nil
	}, bus.Group(group), fast(2))
	for _, r := range []struct {
		value string
		key   bus.PublishOption
	}{{"fails", bus.Key("ada")}, {"none", bus.Key([]byte(nil))}, {"binary", bus.Key([]byte{0xff, 1})}} {
		if err := app.PublishRaw(t.Context(), "s", []byte(r.value), r.key); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 3); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, attrs := range []string{
		"[stream=s partition=0 offset=0 key=ada group=%s attempt=1]",
		"[stream=s partition=0 offset=0 key=ada group=%s attempt=2]",
		"[stream=s partition=0 offset=1 group=%s attempt=1]",
		"[stream=s partition=0 offset=2 key=base64:/wE= group=%s attempt=1]",
	} {
		attrs = fmt.Sprintf(attrs, group)
		want = append(want, "middleware "+attrs, attrs)
	}
	if got := seen.get(); !slices.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
	if attrs := bus.LogAttrs(t.Context()); attrs != nil {
		t.Errorf("outside of a handler: %v", attrs)
	}
}

// A batch is named by its first record, with how many there are.
func TestLogAttrsOfABatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 3)...)
	app := w.app()
	group := w.group("g")
	var seen list[[]slog.Attr]
	bus.MustSubscribe(app, "s", func(ctx context.Context, _ []Content) error {
		seen.add(bus.LogAttrs(ctx))
		return nil
	}, bus.Group(group), bus.Batch(3, 10*time.Second))
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 3); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("[[stream=s partition=0 offset=0 group=%s attempt=1 records=3]]", group)
	if got := fmt.Sprint(seen.get()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
