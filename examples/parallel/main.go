// Parallel has workers do jobs concurrently. Slow jobs are forwarded to workers with more time. Failed jobs are tried
// again later without blocking others, and finally become dead letters:
//
//	go run ./examples/parallel
//
// It needs only Go: without KAFKAESK_KAFKA_SERVERS=host:port in the environment, it runs a small Kafka of its own. It
// exits when every job has ended, and prints the results.
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
	// The bus waits for an unreachable Kafka until the context ends, so set a deadline.
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
		// Jobs of one customer have one key, so they start in this order.
		if err := app.Publish(ctx, "jobs", j, bus.Key([]byte(j.Customer)), bus.AddHeader(runHeader, t.run)); err != nil {
			return err
		}
	}

	// Run handles records until its context ends, here when the last job has ended. Then running handlers may finish,
	// finished records are committed, and the members leave their groups.
	if err := app.Run(running); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%d jobs have not ended: %w", t.left(), context.Cause(ctx))
	}
	t.print(os.Stdout)
	return readDeadLetters(ctx, app, began, t.run)
}

// readDeadLetters prints the dead letters of a run that started at began. Their stream can be read like any other.
func readDeadLetters(ctx context.Context, app *bus.App, began time.Time, run string) error {
	var letters []string
	for r, err := range app.Tail(ctx, "jobs*.dead", bus.FromTime(began), bus.StopAtEnd()) {
		if err != nil {
			return err
		}
		if header(r, runHeader) != run {
			continue
		}
		// The record is unchanged. Its headers describe the failure.
		letters = append(letters, fmt.Sprintf("%s\n    %s\n    first in %s, attempts %s: %s\n",
			r.Stream, r.Value, header(r, bus.FirstTopicHeader), header(r, bus.AttemptsHeader), header(r, bus.ErrorHeader)))
	}
	slices.Sort(letters) // records of several partitions have no order
	fmt.Printf("\n%d dead letters:\n%s", len(letters), strings.Join(letters, ""))
	return nil
}

func header(r *bus.Record, name string) string {
	value, _ := r.Header(name)
	return string(value)
}
