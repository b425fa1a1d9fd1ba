package worker_test

import (
	"context"
	"fmt"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/worker"
)

type Order struct {
	ID string `json:"id"`
}

// A program that handles orders. Its servers come from the command line, as orders --kafka-servers=localhost:9092, or
// from KAFKAESK_KAFKA_SERVERS.
func ExampleMain() {
	app := bus.New(bus.Config{})
	bus.MustSubscribe(app, "orders.*", func(_ context.Context, o Order) error {
		fmt.Println("order", o.ID)
		return nil
	}, bus.Group("billing"))
	worker.Main(app) // does not return
}
