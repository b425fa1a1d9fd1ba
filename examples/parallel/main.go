// Parallel has workers do jobs side by side. Slow jobs are sent on to workers that have more time; jobs that fail are
// tried again later, out of the way of the others, and at last become dead letters:
//
//	go run ./examples/parallel
//
// It needs nothing but Go: without KAFKAESK_KAFKA_SERVERS=host:port in the environment, it runs a small Kafka of its
// own. It ends when every job has come to an end, and tells how.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/bustest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "parallel:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	// A Kafka that cannot be reached is waited for until the context ends, so give it a deadline.
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
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

	began := time.Now()
	jobs := morning()
	running, stop := context.WithCancel(ctx)
	defer stop()
	t := newTally(rand.Text(), len(jobs), stop)
	app := newApp(servers, t)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, app.Close(ctx))
	}()
	for _, j := range jobs {
		// Jobs of one customer have one key, and are begun in this order.
		if err := app.Publish(ctx, "jobs", j, bus.Key([]byte(j.Customer)), bus.AddHeader(runHeader, t.run)); err != nil {
			return err
		}
	}

	// Run handles records until its context ends: here when the last job has come to an end. What runs then may finish,
	// what is done is committed, and the groups are left.
	if err := app.Run(running); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%d jobs have not come to an end: %w", t.left(), context.Cause(ctx))
	}
	t.print(os.Stdout)
	return readDeadLetters(ctx, app, began, t.run)
}

// readDeadLetters prints the dead letters of a run that began then. They are streams like any other.
func readDeadLetters(ctx context.Context, app *bus.App, began time.Time, run string) error {
	var letters []string
	for r, err := range app.Tail(ctx, "jobs*.dead", bus.FromTime(began), bus.StopAtEnd()) {
		if err != nil {
			return err
		}
		if header(r, runHeader) != run {
			continue
		}
		// The record is what it was, and headers tell what happened to it.
		letters = append(letters, fmt.Sprintf("%s\n    %s\n    first in %s, attempts %s: %s\n",
			r.Stream, r.Value, header(r, bus.FirstTopicHeader), header(r, bus.AttemptsHeader), header(r, bus.ErrorHeader)))
	}
	slices.Sort(letters) // they come from several partitions
	fmt.Printf("\n%d dead letters:\n%s", len(letters), strings.Join(letters, ""))
	return nil
}

func header(r *bus.Record, name string) string {
	value, _ := r.Header(name)
	return string(value)
}
