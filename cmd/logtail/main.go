// Logtail prints the log records of the streams that match a pattern, and follows them:
//
//	logtail -b localhost:9092 'logs.*'
//
// It joins no consumer group and commits nothing. On a terminal it prints for people, into a pipe one JSON object per
// line. Standard output carries records only; everything else is on standard error. No byte of a record can control
// the terminal. docs/logtail.md is what --help prints.
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
	context.AfterFunc(ctx, stop) // the second signal finds Go's default again and ends the program at once
	os.Exit(Run(ctx, os.Args[1:], streams{out: os.Stdout, err: os.Stderr, getenv: os.Getenv}))
}
