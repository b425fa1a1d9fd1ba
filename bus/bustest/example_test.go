package bustest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"testing"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/bustest"
)

// t is the argument of the test that an example stands for.
var t *testing.T

// A test of what an App does with a record, from its publish to what its handler publishes.
func Example() {
	app := bustest.NewApp(t)
	bus.MustSchema[Order](app, "Order", bus.Streams("orders"))
	bus.MustSchema[Invoice](app, "Invoice", bus.Streams("invoices"))
	bus.MustSubscribe(app, "orders", func(ctx context.Context, o Order) error {
		return app.Publish(ctx, "invoices", Invoice{Order: o.ID})
	}, bus.Group("billing"))
	bustest.Run(t, app)

	if err := app.Publish(t.Context(), "orders", Order{ID: 7}); err != nil {
		t.Fatal(err)
	}
	if got := bustest.Published[Invoice](t, app, "invoices", 1); got[0].Order != 7 {
		t.Errorf("got an invoice of order %d, want 7", got[0].Order)
	}
}

// Two Apps of the test's own making, as of two services, on one Kafka.
func ExampleServers() {
	servers := bustest.Servers(t)
	shop := bus.New(bus.Config{Servers: servers})
	billing := bus.New(bus.Config{Servers: servers})
	t.Cleanup(func() {
		if err := errors.Join(shop.Close(context.Background()), billing.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	bus.MustSubscribe(billing, "orders", func(context.Context, Order) error { return nil }, bus.Group("billing"))
	bustest.Run(t, billing)
	if err := shop.Publish(t.Context(), "orders", Order{ID: 7}); err != nil {
		t.Fatal(err)
	}
}

// All tests of a package on one Kafka: what a TestMain does. Each test has a topic prefix of its own then.
func ExampleStartKafka() {
	servers, end, err := bustest.StartKafka()
	if err != nil {
		log.Fatal(err)
	}
	app := bus.New(bus.Config{Servers: servers, TopicPrefix: "first-test."})
	if err := app.Initialize(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("connected")
	if err := errors.Join(app.Close(context.Background()), end()); err != nil {
		log.Fatal(err)
	}
	// Output: connected
}

// A mounted Router is tested with a prefix of its topics, as it is in production.
func ExampleConfig() {
	app := bustest.NewApp(t, bustest.Config(bus.Config{TopicPrefix: "staging."}))
	router := bus.NewRouter()
	bus.MustSubscribe(router, "orders", approve, bus.Group("approval"), bus.ManualCommit())
	if err := app.Mount(router); err != nil {
		t.Fatal(err)
	}
	bustest.Run(t, app)
}

// A test of a handler alone, without a Kafka: its outcome, and what it forwards and commits.
func ExampleMessage() {
	m := bustest.NewMessage(t, "orders", Order{ID: 7, Total: 2000})
	if got := bus.OutcomeOf(approve(m.Context(), m.Message)); got != bus.OutcomeHandled {
		t.Errorf("outcome %s", got)
	}
	if got := m.Forwarded(); len(got) != 1 || got[0].Stream != "orders.large" {
		t.Errorf("forwarded %v, want one record to orders.large", got)
	}
	if len(m.Committed()) != 1 {
		t.Error("the order was not committed")
	}
}
