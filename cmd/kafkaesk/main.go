// Command kafkaesk runs applications on the bus, by `kafkaesk ./pkg:App`, and helps to develop them. Its broker command
// runs a development Kafka that needs nothing installed.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // restore Go's default, so that a second signal ends the program at once
	os.Exit(Run(ctx, os.Args[1:], Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
