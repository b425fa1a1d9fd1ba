package bus_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// The broker goes away after a first publish. Health and the errors of a publish say so with its address; before, they
// said that the partition has no leader.
func TestAPublishNamesABrokerThatHasGone(t *testing.T) {
	cluster := kafkatest.Start(t, kafkatest.Own())
	if !cluster.CanKill() {
		t.Skip("the broker given by KAFKA cannot be killed by a test")
	}
	app := bus.New(bus.Config{Servers: cluster.Servers(), Logger: testkit.Logger(t)})
	t.Cleanup(func() { _ = app.Close(ctxEnded()) })
	bus.MustSchema[Content](app, "Content")
	stream := cluster.Prefix(t) + "s"
	if err := app.Publish(t.Context(), stream, Content{Title: "first"}); err != nil {
		t.Fatal(err)
	}
	cluster.Kill(0)
	app.PublishAsync(t.Context(), stream, Content{Title: "second"})
	testkit.Until(t, "the record was tried again", func() bool { return app.Stats().Producer.Retries > 3 })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	publish := app.Publish(ctx, stream, Content{Title: "third"})
	for what, err := range map[string]error{"Health": app.Health(t.Context()), "Publish": publish} {
		for _, part := range []string{cluster.Servers()[0], "connection refused"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %v\ndoes not say %q", what, err, part)
			}
		}
	}
}
