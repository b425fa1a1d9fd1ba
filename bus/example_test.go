package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/devkafka"
)

// Edited is what the examples publish.
type Edited struct {
	Title string `json:"title" jsonschema:"minLength=1"`
}

// broker starts the development broker that the examples talk to.
func broker() (servers []string, stop func()) {
	b, err := devkafka.Start(devkafka.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return b.Addrs(), func() { _ = b.Close() }
}

func ExampleApp_Publish() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()

	app := bus.New(bus.Config{Servers: servers})
	defer func() { _ = app.Close(ctx) }()
	bus.MustSchema[Edited](app, "Content", bus.Streams("content.edited"), bus.Retention(7*24*time.Hour))

	if err := app.Publish(ctx, "content.edited", Edited{Title: "Notes"}, bus.Key([]byte("42"))); err != nil {
		log.Fatal(err)
	}

	err := app.Publish(ctx, "content.edited", Edited{})
	if invalid, ok := errors.AsType[*bus.ValidationError](err); ok {
		fmt.Println(invalid.Schema, invalid.Field, invalid.Rule)
	}

	for record, err := range app.Tail(ctx, "content.*", bus.FromStart(), bus.StopAtEnd()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s %s\n", record.Stream, record.Key, record.Value)
	}
	// Output:
	// Content:1 title minLength
	// content.edited 42 {"schema":"Content:1","data":{"title":"Notes"}}
}

func ExampleApp_PublishAsync() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()

	app := bus.New(bus.Config{Servers: servers})
	defer func() { _ = app.Close(ctx) }()
	bus.MustSchema[Edited](app, "Content")

	receipt := app.PublishAsync(ctx, "content.edited", Edited{Title: "Notes"})
	// ... and later, where the outcome matters:
	if err := receipt.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.Record().Stream, receipt.Record().Offset)
	// Output: content.edited 0
}

func ExampleApp_PublishBatch() {
	servers, stop := broker()
	defer stop()
	ctx := context.Background()

	app := bus.New(bus.Config{Servers: servers})
	defer func() { _ = app.Close(ctx) }()

	batch := []bus.Outgoing{
		{Value: []byte("ready")},
		{Value: make([]byte, 2<<20)}, // more than max_request_size
	}
	err := app.PublishBatch(ctx, "raw", batch)
	fmt.Println(errors.Is(err, bus.ErrTooLarge), batch[0].Err, errors.Is(batch[1].Err, bus.ErrTooLarge))
	// Output: true <nil> true
}
