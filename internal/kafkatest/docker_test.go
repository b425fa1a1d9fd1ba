package kafkatest_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
	"github.com/kafkaesk/kafkaesk/logrecord"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// The whole suite runs on a container with KAFKA=docker. This test is in every suite, wherever there is a daemon, and
// goes once through the product.
func TestTheProductInAContainer(t *testing.T) {
	t.Setenv("KAFKA", "docker")
	product(t, kafkatest.Start(t, kafkatest.Own()))
}

func TestTheProduct(t *testing.T) {
	t.Parallel()
	product(t, kafkatest.Start(t))
}

type note struct {
	Title string `json:"title" jsonschema:"minLength=1"`
}

// product publishes, consumes, logs and tails on a cluster.
func product(t *testing.T, cluster *kafkatest.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: cluster.Prefix(t), Logger: testkit.Logger(t)})
	defer func() {
		if err := app.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	bus.MustSchema[note](app, "Note", bus.Streams("notes"))
	var handled []string
	bus.MustSubscribe(app, "notes", func(_ context.Context, n note) error {
		handled = append(handled, n.Title)
		return nil
	}, bus.Group(cluster.Prefix(t)+"readers"), bus.Concurrency(1, bus.ByPartition))

	if err := app.Publish(ctx, "notes", note{"first"}, bus.Key("k")); err != nil {
		t.Fatalf("publish: %v", err)
	}
	if err := app.Publish(ctx, "notes", note{}); err == nil {
		t.Error("a note that breaks its schema was published")
	}
	if n, err := app.ConsumeFor(ctx, 1); err != nil || n != 1 || len(handled) != 1 || handled[0] != "first" {
		t.Fatalf("consumed %d: %q, %v", n, handled, err)
	}

	handler := slogkafka.NewHandler(app, "logs")
	slog.New(handler).Info("signed in", "user", "ada")
	if err := handler.Close(ctx); err != nil {
		t.Fatalf("log: %v", err)
	}

	lines := make(map[string]string) // by stream
	for r, err := range app.Tail(ctx, "*", bus.FromStart(), bus.StopAtEnd()) {
		if err != nil {
			t.Fatalf("tail: %v", err)
		}
		lines[r.Stream] += string(r.Value)
	}
	if want := `{"schema":"Note:1","data":{"title":"first"}}`; lines["notes"] != want {
		t.Errorf("notes: %s, want %s", lines["notes"], want)
	}
	if r, err := logrecord.Decode([]byte(lines["logs"])); err != nil || r.Message != "signed in" {
		t.Errorf("logs: %s, %v", lines["logs"], err)
	}
}
