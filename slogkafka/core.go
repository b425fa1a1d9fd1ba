package slogkafka

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/ownlog"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// core is what a handler and those derived from it have in common.
type core struct {
	stream   string
	level    slog.Leveler
	fallback slog.Handler
	err      error
	queue    *queue
	worker   worker

	begin   sync.Once // starts the worker, unless Close came first
	life    context.Context
	end     context.CancelFunc // the worker's life
	stopped chan struct{}      // closed when the worker has returned, or never will start

	closing  atomic.Bool
	closed   chan struct{} // closed when Close is over
	closeErr error         // valid after closed
}

func newHandler(app publisher, stream string, o options) *Handler {
	if stream == "" {
		o.refuse("no stream given: every record will be refused")
	}
	o.record.MaxBytes = min(maxRecord, o.bytes-itemOverhead)
	encoder := logrecord.NewEncoder(o.record)
	c := &core{
		stream: stream, level: o.level, fallback: o.fallback, err: o.err,
		queue:   newQueue(o),
		stopped: make(chan struct{}), closed: make(chan struct{}),
	}
	c.life, c.end = context.WithCancel(ownlog.Mark(context.Background()))
	c.worker = worker{
		app: app, stream: stream, queue: c.queue, shorten: encoder.Shorten, lost: c.lost,
		report: newReporter(stream, o.fallback, c.queue.snapshot),
	}
	return &Handler{c, o.newCall(), encoder}
}

// maxRecord is how long a record may be, in bytes: it fits into the largest that a broker takes by default (1 MiB), with room
// for its key and headers.
const maxRecord = 900 << 10

// unbounded is a deadline that no handler lives to see.
const unbounded = 100 * 365 * 24 * time.Hour

// start runs the worker. Close ends it and waits for it.
func (c *core) start() {
	go func() {
		defer close(c.stopped)
		// Config.PublishTimeout is for contexts without a deadline: log records wait for their broker as long as the
		// handler lives.
		ctx, cancel := context.WithDeadline(c.life, time.Now().Add(unbounded))
		defer cancel()
		c.worker.run(ctx)
	}()
}

// Flush returns when all records that were accepted before it have their outcome, delivered or dropped; or, with an error,
// when ctx ends.
func (h *Handler) Flush(ctx context.Context) error { return h.queue.flush(ctx) }

// Stats returns the counts of one moment. They are of the handler and all that are derived from it, or it from.
func (h *Handler) Stats() Stats {
	s := h.queue.snapshot()
	if h.sampler != nil {
		s.Sampled = h.sampler.omitted.Load()
	}
	return s
}

// Err returns what is wrong with the options, nil if nothing is: the handler works, but without them.
func (h *Handler) Err() error { return h.err }
