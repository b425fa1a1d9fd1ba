package bus_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestMain(m *testing.M) {
	if config := os.Getenv(consumerVariable); config != "" {
		if err := consume(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	kafkatest.Main(m)
}

// start returns an App with topics of its own on the test's broker. It is closed when the test ends.
func start(t *testing.T, config ...bus.Config) *bus.App {
	t.Helper()
	cluster := kafkatest.Start(t)
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: cluster.Prefix(t), Logger: testkit.Logger(t)})
	for _, more := range config {
		app.Configure(more)
	}
	t.Cleanup(func() { closeApp(t, app) })
	return app
}

func closeApp(t *testing.T, app *bus.App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := app.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// readAll returns what the streams that match pattern hold.
func readAll(t *testing.T, app *bus.App, pattern string, opts ...bus.TailOption) []*bus.Record {
	t.Helper()
	var all []*bus.Record
	for r, err := range app.Tail(t.Context(), pattern, append(opts, bus.FromStart(), bus.StopAtEnd())...) {
		if err != nil {
			t.Fatalf("tail %s: %v", pattern, err)
		}
		all = append(all, r)
	}
	return all
}

// within bounds a context of a test that might hang.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Content is the schema that most tests publish.
type Content struct {
	Title string   `json:"title" jsonschema:"minLength=1"`
	N     int      `json:"n" jsonschema:"minimum=0"`
	Tags  []string `json:"tags,omitempty" jsonschema:"maxItems=3"`
}
