// Package app is a small service that handles changes of content. It is a package and not a program, so that a
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

// Content is the data of every content stream. The constraints in the jsonschema tags are checked before a record is
// sent.
type Content struct {
	Title string `json:"title" jsonschema:"minLength=1"`
}

// App returns the service. It has no servers: the caller configures them.
func App() *bus.App {
	app := bus.New(bus.Config{})
	bus.MustSchema[Content](app, "Content", bus.Retention(24*time.Hour))
	// The pattern also matches streams that appear later. All members of the group, here and in other processes,
	// share the records. Without the option Group the group has the name of the function: printContent.
	bus.MustSubscribe(app, "content.*", printContent, bus.Group("content-printer"))
	return app
}

// printContent is called at least once for each record. A record is finished when printContent has returned nil. If
// the process is killed before the offset is committed, another member handles the record again. A handler that needs
// only the data takes a Content.
func printContent(_ context.Context, m *bus.Message[Content]) error {
	_, err := fmt.Printf("handled    %-20s %-6s %q\n", m.Record.Stream, m.Record.Key, m.Data.Title)
	return err
}
