package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// Job is a piece of work. Its fields determine how it ends, which only jobs of an example do.
type Job struct {
	Name     string        `json:"name" jsonschema:"minLength=1"`
	Customer string        `json:"customer" jsonschema:"minLength=1"`
	Takes    time.Duration `json:"takes"`
	Fails    int           `json:"fails,omitempty"` // number of failures before it succeeds
	Broken   bool          `json:"broken,omitempty"`
}

const always = 1000

// morning returns the jobs of one morning.
func morning() []Job {
	var jobs []Job
	for i := range 20 {
		jobs = append(jobs, Job{Name: fmt.Sprintf("label %d", i+1), Customer: fmt.Sprintf("customer %d", i%5),
			Takes: 10 * time.Millisecond})
	}
	return append(jobs,
		Job{Name: "catalogue", Customer: "customer 1", Takes: 400 * time.Millisecond},
		Job{Name: "yearbook", Customer: "customer 2", Takes: 500 * time.Millisecond},
		Job{Name: "book without an end", Customer: "customer 3", Takes: time.Hour},
		Job{Name: "invoice", Customer: "customer 0", Takes: 10 * time.Millisecond, Fails: 1},
		Job{Name: "letter to nobody", Customer: "customer 4", Takes: 10 * time.Millisecond, Fails: always},
		Job{Name: "torn page", Customer: "customer 4", Takes: 10 * time.Millisecond, Broken: true},
	)
}

// do does the job. attempts is the number of earlier attempts.
func (j Job) do(ctx context.Context, attempts int) error {
	switch {
	case j.Broken:
		return bus.Reject(errors.New("it cannot be read")) // a retry would not help
	case attempts < j.Fails:
		return errors.New("the printer is out of paper")
	}
	select {
	case <-time.After(j.Takes):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Limits of a job's duration with the quick workers and with the slow ones.
const (
	shortest = 300 * time.Millisecond
	longest  = 1500 * time.Millisecond
)

// newApp returns an App with the two subscriptions.
func newApp(servers []string, t *tally) *bus.App {
	app := bus.New(bus.Config{Servers: servers})
	bus.MustSchema[Job](app, "Job", bus.Streams("jobs", "jobs.slow"), bus.Retention(24*time.Hour))

	// Eight handlers run at once; records with one key stay in order. A failed record is handled again after 200 ms
	// and after 500 ms, from retry streams, so that it does not block others; then it becomes a dead letter in
	// jobs.quick-workers.dead.
	bus.MustSubscribe(app, "jobs", t.quick, bus.Group("quick-workers"),
		bus.Concurrency(8, bus.ByKey), bus.RetryTopics(200*time.Millisecond, 500*time.Millisecond))

	// Two handlers run at once, in any order. Timeout bounds all attempts at a record.
	bus.MustSubscribe(app, "jobs.slow", t.slow, bus.Group("slow-workers"),
		bus.Concurrency(2, bus.Unordered), bus.Timeout(longest), bus.DeadLetter())

	app.OnConsumed(func(_ context.Context, c bus.Consumed) {
		if c.Outcome == bus.OutcomeDeadLetter {
			t.end(c.Record, "given up")
		}
	})
	return app
}

// quick does a job, or forwards it to the slow workers when it takes too long.
func (t *tally) quick(ctx context.Context, m *bus.Message[Job]) error {
	limited, cancel := context.WithTimeout(ctx, shortest)
	defer cancel()
	attempts := attemptsAt(m.Record)
	err := m.Data.do(limited, attempts)
	switch {
	case err == nil && attempts > 0:
		t.end(m.Record, "done at another attempt")
	case err == nil:
		t.end(m.Record, "done")
	case limited.Err() != nil && ctx.Err() == nil: // our limit has passed, not the program's context
		// Forward keeps value, key and headers. This record is finished when the forwarded one is acknowledged.
		return m.Forward(ctx, "jobs.slow")
	}
	return err
}

// slow does a job without the limit of quick.
func (t *tally) slow(ctx context.Context, m *bus.Message[Job]) error {
	err := m.Data.do(ctx, attemptsAt(m.Record))
	if err == nil {
		t.end(m.Record, "done by the slow workers")
	}
	return err
}

// attemptsAt returns how often a record was tried before it came to its current stream.
func attemptsAt(r *bus.Record) int {
	n, err := strconv.Atoi(header(r, bus.AttemptsHeader))
	if err != nil {
		return 0 // the record is in its first stream
	}
	return n
}
