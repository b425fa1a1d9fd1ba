// Content publishes a few records, handles them with a subscription, and exits:
//
//	go run ./examples/content
//
// It needs only Go: without KAFKAESK_KAFKA_SERVERS=host:port in the environment, it runs a small Kafka of its own. On
// a permanent Kafka, run it twice: the group continues at its committed offset. (A worker of the same app would
// handle a part of the records, and this program would wait for the rest.)
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/bustest"
	"github.com/kafkaesk/kafkaesk/examples/content/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "content:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	// The bus waits for an unreachable Kafka until the context ends, so set a deadline.
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()

	servers := strings.Split(os.Getenv("KAFKAESK_KAFKA_SERVERS"), ",")
	if servers[0] == "" {
		own, end, err := bustest.StartKafka()
		if err != nil {
			return err
		}
		defer func() { _ = end() }()
		servers = own
	}

	service := app.App()
	service.Configure(bus.Config{Servers: servers})
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, service.Close(ctx))
	}()

	published, err := publish(ctx, service)
	if err != nil {
		return err
	}

	// ConsumeFor handles this many records, commits them and leaves the group. A service uses Run, or worker.Main,
	// which adds flags and signals, and handles records until it is ended.
	handled, err := service.ConsumeFor(ctx, published)
	if err != nil {
		return err
	}
	fmt.Printf("%d records published, %d handled\n", published, handled)
	return nil
}

// publish publishes content, and returns the number of records.
func publish(ctx context.Context, service *bus.App) (published int, err error) {
	for _, c := range []struct{ stream, page, title string }{
		// Records with one key are in order within a stream. Different streams or keys have no common order.
		{"content.created.Page", "home", "Welcome"},
		{"content.edited.Page", "home", "Welcome!"},
		{"content.edited.Page", "about", "Who we are"},
		{"content.edited.Page", "home", "Welcome back"},
		{"content.edited.Page", "about", ""}, // violates the schema, and is not sent
		{"content.deleted.Page", "about", "Who we are"},
	} {
		// A nil error means that all in-sync replicas have the record. A missing stream is created before the first
		// record.
		err := service.Publish(ctx, c.stream, app.Content{Title: c.title}, bus.Key([]byte(c.page)))
		if invalid, ok := errors.AsType[*bus.ValidationError](err); ok {
			fmt.Printf("refused    %-20s %-6s %s: %s\n", c.stream, c.page, invalid.Field, invalid.Rule)
			continue
		}
		if err != nil {
			return published, err
		}
		fmt.Printf("published  %-20s %-6s %q\n", c.stream, c.page, c.title)
		published++
	}
	return published, nil
}
