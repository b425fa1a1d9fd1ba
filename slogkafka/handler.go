package slogkafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

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
	// Not by OnFinalize: what was logged about an App that could not be initialized is to go out, too.
	if _, err := app.Shipping().Attach(h.Close); err != nil {
		h.err = errors.Join(h.err, fmt.Errorf("slogkafka: nothing will be shipped: %w", err))
	}
	return h
}

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
	return h.ship(ctx, &e)
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
