package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// A publish that is refused, for whatever reason, leaves the stream free for another schema.
func TestARefusedPublishBindsNoStream(t *testing.T) {
	type other struct{ A string }
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, refused := range map[string]func(app *bus.App) error{
		"invalid data":  func(app *bus.App) error { return app.Publish(t.Context(), "s", Content{}) },
		"ended context": func(app *bus.App) error { return app.Publish(ended, "s", Content{Title: "a"}) },
		"too large": func(app *bus.App) error {
			return app.Publish(t.Context(), "s", Content{Title: strings.Repeat("a", 2<<20)})
		},
		"bad option": func(app *bus.App) error {
			return app.Publish(t.Context(), "s", Content{Title: "a"}, bus.AddHeader("x", "\xff"))
		},
		"receipt": func(app *bus.App) error {
			r := app.PublishAsync(ended, "s", Content{Title: "a"})
			return r.Wait(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			app := start(t)
			bus.MustSchema[Content](app, "Content")
			bus.MustSchema[other](app, "Other")
			if err := app.Initialize(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := refused(app); err == nil {
				t.Fatal("it was not refused")
			}
			if rows := app.Stats().Streams; len(rows) != 0 {
				t.Errorf("Stats shows %v", rows)
			}
			if err := app.Publish(t.Context(), "s", other{"b"}); err != nil {
				t.Errorf("another schema: %v", err)
			}
			var conflict *bus.SchemaConflictError
			if err := app.Publish(t.Context(), "s", Content{Title: "a"}); !errors.As(err, &conflict) {
				t.Errorf("the first schema, which came second: %v, want a conflict", err)
			}
		})
	}
}

// Names that come from outside do not pile up.
func TestRefusedStreamsLeaveNoTrace(t *testing.T) {
	app := start(t)
	bus.MustSchema[Content](app, "Content")
	receipts := make([]*bus.Receipt, 1000)
	for i := range receipts {
		receipts[i] = app.PublishAsync(t.Context(), fmt.Sprintf("not a name %d", i), Content{Title: "a"})
	}
	for _, r := range receipts {
		if err := r.Wait(t.Context()); err == nil {
			t.Fatal("an illegal name was published to")
		}
	}
	if rows := app.Stats().Streams; len(rows) != 0 {
		t.Errorf("Stats shows %d streams, want none", len(rows))
	}
}

func TestTheKeyOfAReceiptIsACopy(t *testing.T) {
	app := start(t)
	bus.MustSchema[Content](app, "Content")
	key := []byte("one")
	r := app.PublishAsync(t.Context(), "s", Content{Title: "a"}, bus.Key(key))
	copy(key, "two")
	if err := r.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := string(r.Record().Key); got != "one" {
		t.Errorf("the receipt's key is %q, the record's is \"one\"", got)
	}
}

// A function of OnInitialize publishes and Initialize fails; the App is then configured with another prefix.
func TestAPublishUsesThePrefixOfToday(t *testing.T) {
	cluster := kafkatest.Start(t)
	prefix := cluster.Prefix(t)
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix + "old."})
	t.Cleanup(func() { closeApp(t, app) })
	fail := errors.New("not yet")
	app.OnInitialize(func(ctx context.Context) error {
		if err := app.PublishRaw(ctx, "things", []byte("v")); err != nil {
			t.Error(err)
		}
		return fail
	})
	if err := app.Initialize(t.Context()); !errors.Is(err, fail) {
		t.Fatal(err)
	}
	app.Configure(bus.Config{TopicPrefix: prefix + "new."})
	fail = nil
	if err := app.PublishRaw(t.Context(), "things", []byte("w")); err != nil {
		t.Fatal(err)
	}
	if got := len(readAll(t, app, "things")); got != 2 {
		t.Errorf("%d records under the new prefix, want 2", got)
	}
}
