package slogkafka

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/ownlog"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// Handler ships log records to a stream of the bus. Make it with [NewHandler]. It may be used concurrently, and so may those
// derived by WithAttrs and WithGroup, which share its queue, its counts and its end.
type Handler struct {
	*core
	encoder *logrecord.Encoder
}

var _ slog.Handler = (*Handler)(nil)

// core is what a handler and those derived from it have in common.
type core struct {
	stream   string
	level    slog.Leveler
	key      func(context.Context, slog.Record) []byte
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

// NewHandler returns a handler that ships to the stream. It does no I/O: the first record starts its worker, which
// initializes the app if need be. It declares the schema of its records with the app, and has App.Close close it.
//
// It never fails. An option that cannot be honoured it does without; [Handler.Err] tells.
func NewHandler(app *bus.App, stream string, opts ...Option) *Handler {
	o := collect(opts)
	if err := declare(app, o.schema, o.version); err != nil {
		o.refuse("declare the schema of log records: %w", err)
	}
	h := newHandler(app, stream, o)
	app.OnFinalize(h.Close)
	return h
}

func newHandler(app publisher, stream string, o options) *Handler {
	if stream == "" {
		o.refuse("no stream given: every record will be refused")
	}
	o.record.MaxBytes = min(maxRecord, o.bytes-itemOverhead)
	encoder := logrecord.NewEncoder(o.record)
	c := &core{
		stream: stream, level: o.level, key: o.key, fallback: o.fallback, err: o.err,
		queue:   newQueue(o),
		stopped: make(chan struct{}), closed: make(chan struct{}),
	}
	c.life, c.end = context.WithCancel(ownlog.Mark(context.Background()))
	c.worker = worker{
		app: app, stream: stream, queue: c.queue, shorten: encoder.Shorten, lost: c.lost,
		report: newReporter(stream, o.fallback, c.queue.snapshot),
	}
	return &Handler{core: c, encoder: encoder}
}

// maxRecord is how long a record may be, in bytes: it fits into the largest that a broker takes by default (1 MiB), with room
// for its key and headers.
const maxRecord = 900 << 10

// declare declares the schema with the app. Another handler may have done so before.
func declare(app *bus.App, name string, version int) error {
	err := bus.Schema[any](app, name, bus.Version(version), bus.SchemaJSON(logrecord.Schema()))
	var conflict *bus.SchemaConflictError
	if errors.As(err, &conflict) {
		for _, s := range app.Schemas() {
			if s.ID == name && s.Version == version && string(s.JSON) == string(logrecord.Schema()) {
				return nil
			}
		}
	}
	return err
}

// Enabled tells whether records of the level are shipped.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithAttrs returns a handler whose records have these attributes too. They are encoded now.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{core: h.core, encoder: h.encoder.WithAttrs(attrs)}
}

// WithGroup returns a handler that puts all further attributes into a group of that name.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{core: h.core, encoder: h.encoder.WithGroup(name)}
}

// Handle encodes the record and queues it. It does not wait for Kafka, and nothing of the record is used after it returns. It
// returns bus.ErrClosed after Close, [ErrFull] when the record found no room, and bus.ErrTooLarge when it never will, because its key is
// too large for the queue; all are counted. Cancelling ctx does not keep the record from being delivered.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	value, result := h.encoder.Append(nil, ctx, r)
	e := entry{value: value, stream: h.stream, level: r.Level, time: r.Time, invalid: result.Invalid, truncated: result.Truncated}
	if ctx != nil {
		e.span = trace.SpanContextFromContext(ctx)
	}
	if h.key != nil {
		e.key = h.keyOf(ctx, r)
		if n := itemOverhead + len(e.key) + len(e.value); n > h.queue.maxBytes { // without its key the record fits
			e.value, _ = h.encoder.Shorten(value, max(len(value)-(n-h.queue.maxBytes), smallest))
			e.truncated = true
		}
	}
	if ownlog.Marked(ctx) {
		e.refused, e.fallback = DroppedOwn, !fallen(ctx)
	}
	return h.ship(&e)
}

// keyOf returns the record's key, a view into the caller's bytes. A record whose key cannot be had goes out without.
func (h *Handler) keyOf(ctx context.Context, r slog.Record) (key []byte) {
	defer func() {
		if recover() != nil {
			key = nil
		}
	}()
	return h.key(ctx, r)
}

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
func (h *Handler) Stats() Stats { return h.queue.snapshot() }

// Err returns what is wrong with the options, nil if nothing is: the handler works, but without them.
func (h *Handler) Err() error { return h.err }
