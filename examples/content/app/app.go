// Package app is a small service, which reads whatever happens to content. It is a package and not a program, so that a
// program can run it, as examples/content does, and a worker:
//
//	kafkaesk ./examples/content/app:App --kafka-servers=localhost:9092
package app

import (
	"context"
	"fmt"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// Content is the data of every content stream. The jsonschema tags are checked before anything is sent.
type Content struct {
	Title string `json:"title" jsonschema:"minLength=1"`
}

// App returns the service. It has no servers: who runs it knows them.
func App() *bus.App {
	app := bus.New(bus.Config{})
	bus.MustSchema[Content](app, "Content", bus.Retention(24*time.Hour))
	// The pattern takes in streams that appear later. All members of the group, here and in other processes, share the
	// records; without Group it would be called after the function: printContent.
	bus.MustSubscribe(app, "content.*", printContent, bus.Group("content-printer"))
	return app
}

// printContent is called once for each record, or more often: a record counts as done when it has returned nil, and a
// process that is killed before that was committed leaves it to the next. A handler that needs the data only takes a
// Content.
func printContent(_ context.Context, m *bus.Message[Content]) error {
	_, err := fmt.Printf("handled    %-20s %-6s %q\n", m.Record.Stream, m.Record.Key, m.Data.Title)
	return err
}
