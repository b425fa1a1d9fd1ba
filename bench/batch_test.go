package bench

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// perCall is what a call of the handler takes.
const perCall = time.Millisecond

// BenchmarkBatch handles records of 200 bytes, one call at a time, with a handler that needs a millisecond for a call
// and nothing for a record, as a sink does that writes to a database: single records, and batches of up to 500. The
// time is that from the first call to the end of the last one.
func BenchmarkBatch(b *testing.B) {
	cluster := kafkatest.Start(b)
	c := cell{servers: cluster.Servers(), prefix: cluster.Prefix(b)}
	name := c.prefix + "content"
	topic(b, c.servers, name)
	fill(b, c.servers, name, 1_000_000, content())
	b.Run("single", func(b *testing.B) {
		sink(b, c, 2_000, func(app *bus.App, called func(int)) {
			bus.MustSubscribe(app, "content", func(context.Context, Content) error {
				time.Sleep(perCall)
				called(1)
				return nil
			}, bus.Group(newGroup()), bus.Concurrency(1, bus.ByPartition))
		})
	})
	b.Run("batch-500", func(b *testing.B) {
		sink(b, c, 1_000_000, func(app *bus.App, called func(int)) {
			bus.MustSubscribe(app, "content", func(_ context.Context, batch []Content) error {
				time.Sleep(perCall)
				called(len(batch))
				return nil
			}, bus.Group(newGroup()), bus.Concurrency(1, bus.ByPartition),
				bus.Batch(500, 100*time.Millisecond))
		})
	})
}

// sink runs a subscription until its handler has had so many records, b.N times, and reports the rate.
func sink(b *testing.B, c cell, records int64, subscribe func(app *bus.App, called func(n int))) {
	var total time.Duration
	handled := int64(0)
	for range b.N {
		ctx, cancel := context.WithTimeout(b.Context(), 3*time.Minute)
		var seen atomic.Int64
		var first, last time.Time
		app := bus.New(bus.Config{Servers: c.servers, TopicPrefix: c.prefix})
		subscribe(app, func(n int) {
			before := seen.Add(int64(n)) - int64(n)
			if before == 0 {
				first = time.Now().Add(-perCall)
			}
			if after := before + int64(n); before < records && after >= records {
				last = time.Now()
				handled += after
				cancel()
			}
		})
		if err := app.Run(ctx); err != nil {
			b.Fatal(err)
		}
		cancel()
		if err := app.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		if seen.Load() < records {
			b.Fatalf("%d records handled, want %d", seen.Load(), records)
		}
		total += last.Sub(first)
	}
	b.ReportMetric(float64(handled)/total.Seconds(), "records/s")
}
