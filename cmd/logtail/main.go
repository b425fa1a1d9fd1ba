// Logtail prints the log records of the streams that match a pattern, and follows them:
//
//	logtail -b localhost:9092 'logs.*'
//
// It joins no consumer group and commits nothing. On a terminal it prints for people, into a pipe one JSON object for
// each record. Standard output contains only records; everything else goes to standard error. No byte of a record can
// control the terminal. docs/logtail.md has the output of --help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // for --tz and TZ where the machine has no zone data: 450 kB
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // restore Go's default, so that a second signal ends the program at once
	os.Exit(Run(ctx, os.Args[1:], streams{out: os.Stdout, err: os.Stderr, getenv: os.Getenv}))
}
