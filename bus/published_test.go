package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kafkaesk/kafkaesk/bus"
)

// watched adds a function that keeps all that it is told.
func watched(app *bus.App) *list[bus.Published] {
	var all list[bus.Published]
	app.OnPublished(func(p bus.Published) { all.add(p) })
	return &all
}

func TestOnPublishedTellsEachPublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	app := w.app()
	all := watched(app)
	bus.MustSchema[Content](app, "Content")
	ctx := t.Context()
	const size = len(`{"schema":"Content:1","data":{"title":"t","n":0}}`)
	for name, test := range map[string]struct {
		publish func() error
		want    []bus.Published // without Duration; Err is that of publish
	}{
		"Publish": {func() error { return app.Publish(ctx, "s", Content{Title: "t"}) },
			[]bus.Published{{Schema: "Content:1", Size: size}}},
		"PublishAsync": {func() error { return app.PublishAsync(ctx, "s", Content{Title: "t"}).Wait(ctx) },
			[]bus.Published{{Schema: "Content:1", Size: size}}},
		"PublishRaw": {func() error { return app.PublishRaw(ctx, "s", []byte("abc")) }, []bus.Published{{Size: 3}}},
		"PublishBatch": {func() error { return app.PublishBatch(ctx, "s", []bus.Outgoing{{Value: []byte("a")}, {}}) },
			[]bus.Published{{Size: 1}, {}}},
		"against its schema": {func() error { return app.Publish(ctx, "s", Content{}) },
			[]bus.Published{{Schema: "Content:1", Partition: -1, Offset: -1}}},
		"async, against its schema": {func() error { return app.PublishAsync(ctx, "s", Content{}).Wait(ctx) },
			[]bus.Published{{Schema: "Content:1", Partition: -1, Offset: -1}}},
		"without a schema": {func() error { return app.Publish(ctx, "s", 1) }, []bus.Published{{Partition: -1, Offset: -1}}},
		"too large": {func() error { return app.PublishRaw(ctx, "s", make([]byte, 2<<20)) },
			[]bus.Published{{Size: 2 << 20, Partition: -1, Offset: -1}}},
		"with a wrong option": {func() error {
			return app.Publish(ctx, "s", Content{Title: "t"}, bus.AddHeader("h", "\xff"))
		},
			[]bus.Published{{Schema: "Content:1", Size: size, Partition: -1, Offset: -1}}},
	} {
		before, end := len(all.get()), int64(len(readAll(t, app, "s")))
		err := test.publish()
		if !strings.HasPrefix(name, "PublishAsync") && len(all.get()) != before+len(test.want) {
			t.Errorf("%s: %d outcomes when it returned, want %d", name, len(all.get())-before, len(test.want))
		}
		eventually(t, func() bool { return len(all.get()) >= before+len(test.want) }, func() string { return name })
		got := slices.Clone(all.get()[before:])
		for i := range test.want {
			test.want[i].Stream = "s"
			if test.want[i].Partition == 0 {
				test.want[i].Offset = end + int64(i)
			}
			if (got[i].Err == nil) != (err == nil) || err != nil && got[i].Err.Error() != err.Error() {
				t.Errorf("%s: told %v, returned %v", name, got[i].Err, err)
			}
			if got[i].Duration <= 0 {
				t.Errorf("%s: it took %v", name, got[i].Duration)
			}
		}
		if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(bus.Published{}, "Err", "Duration")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// The size is that of the value also when an App that is closed takes none.
func TestOnPublishedTellsTheSizeOfWhatIsNotSent(t *testing.T) {
	t.Parallel()
	app := bus.New(bus.Config{})
	all := watched(app)
	bus.MustSchema[Content](app, "Content")
	ctx := t.Context()
	closeApp(t, app)
	_ = app.PublishRaw(ctx, "s", []byte("abc"))
	_ = app.PublishBatch(ctx, "s", []bus.Outgoing{{Value: []byte("abc")}})
	_ = app.Publish(ctx, "s", Content{Title: "t"})
	_ = app.PublishAsync(ctx, "s", Content{Title: "t"}).Wait(ctx)
	_ = app.Publish(ctx, "s", Content{})
	var sizes []int
	for _, p := range all.get() {
		sizes = append(sizes, p.Size)
	}
	const size = len(`{"schema":"Content:1","data":{"title":"t","n":0}}`)
	if want := []int{3, 3, size, size, 0}; !slices.Equal(sizes, want) {
		t.Errorf("the sizes are %d, want %d", sizes, want)
	}
}

// What subscriptions publish is told, too: what a handler sends on, and what is moved to other streams.
func TestOnPublishedTellsWhatSubscriptionsPublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.app()
	all := watched(app)
	group := w.group("g")
	bus.MustSubscribe(app, "s", func(ctx context.Context, m *bus.Message[Content]) error {
		if m.Record.Stream != "s" {
			return bus.Reject(errors.New("given up"))
		}
		if err := m.Forward(ctx, "other"); err != nil {
			return err
		}
		return errors.New("broken")
	}, bus.Group(group), bus.RetryTopics(time.Millisecond))
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 2); err != nil {
		t.Fatal(err)
	}
	want := []string{"other", "s." + group + ".retry.1", "s." + group + ".dead"}
	var streams []string
	eventually(t, func() bool {
		streams = nil
		for _, p := range all.get() {
			streams = append(streams, p.Stream)
			if p.Err != nil || p.Offset != 0 || p.Size == 0 {
				t.Errorf("%+v", p)
			}
		}
		return len(streams) >= len(want)
	}, func() string { return fmt.Sprint(streams) })
	if !slices.Equal(streams, want) {
		t.Errorf("told of %q, want %q", streams, want)
	}
}

// A panic of a function changes no outcome, keeps no other function from being called, and is one line in the log.
func TestAPanicOfAFunctionOfOnPublishedChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	log := new(logged)
	app := w.app(bus.Config{Logger: log.logger()})
	app.OnPublished(func(bus.Published) { panic("no metrics today") })
	all := watched(app)
	for range 3 {
		if err := app.PublishRaw(t.Context(), "s", []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	bus.MustSchema[Content](app, "Content")
	if err := app.PublishAsync(t.Context(), "s", Content{Title: "t"}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeApp(t, app) // which waits for what it has not told yet
	if n := len(all.get()); n != 4 {
		t.Errorf("the other function was called %d times, want 4", n)
	}
	if n := strings.Count(log.String(), "no metrics today"); n != 1 {
		t.Errorf("%d lines, want 1:\n%s", n, log)
	}
}
