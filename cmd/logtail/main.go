// Logtail prints the log records of the streams that match a pattern, and follows them:
//
//	logtail -b localhost:9092 'logs.*'
//
// It joins no consumer group and commits nothing. On a terminal it prints for people, into a pipe one JSON object per line. Standard
// output carries records only; everything else is on standard error. No byte of a record can control the terminal.
//
// It exits with 0 at the end or when a follow is interrupted, 1 after an error while running, 2 for a wrong command line, and 3
// when no broker could be reached at the start.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// SIGPIPE is not in the list, so a reader that goes away (| head) ends the program quietly.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal finds Go's default again and ends the program at once
	os.Exit(Run(ctx, os.Args[1:], streams{out: os.Stdout, err: os.Stderr, getenv: os.Getenv}))
}
