package slogkafka

import (
	"cmp"
	"context"
	"errors"
	"log/slog"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/ownlog"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// Handler ships log records to a stream of the bus. Create it with [NewHandler]. It may be used concurrently, and so
// may the handlers derived by WithAttrs and WithGroup, which share its queue, its counts and its Close.
type Handler struct {
	*sharedState
	*call
	encoder *logrecord.Encoder
}

var _ slog.Handler = (*Handler)(nil)

// NewHandler returns a handler that ships to the stream. It declares the schema of its records with the app, and
// App.Close closes it. It does no I/O, except to open the directory of [Spool]. Its first record starts a worker,
// which initializes the app if it is not. Records that an earlier process left in a spool are delivered without a
// first record.
//
// It never fails. A wrong option has no effect: the error is logged once, to the handler of [Fallback], else on
// standard error, and [Handler.Err] returns it.
func NewHandler(app *bus.App, stream string, opts ...Option) *Handler {
	o := collect(opts)
	if app == nil {
		o.refuse("the App is nil: create it with bus.New")
		app = closedApp()
	} else if err := declare(app, o.schema, o.version); err != nil {
		o.refuse("declare the schema of log records: %w", err)
	}
	return newHandler(app.Shipping(), stream, o)
}

// closedApp returns an App for a nil one: the handler refuses every record, as after Close.
func closedApp() *bus.App {
	app := bus.New(bus.Config{})
	_ = app.Close(context.Background()) // nothing was started
	return app
}

// declare declares the schema with the app. An earlier handler may have declared it already.
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

// Enabled reports whether records of the level are shipped.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// WithAttrs returns a handler whose records also have these attributes. They are encoded now.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{h.sharedState, h.call, h.encoder.WithAttrs(attrs)}
}

// WithGroup returns a handler that puts all further attributes into a group of that name.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{h.sharedState, h.call, h.encoder.WithGroup(name)}
}

// call holds what Handle does with a record before the queue. A handler and the handlers derived from it share it.
type call struct {
	sampler   *sampler // nil: all records are logged
	key       func(context.Context, slog.Record) []byte
	stream    func(context.Context, slog.Record) string
	onInvalid func(context.Context, InvalidRecord) string
}

// Handle encodes the record and queues it. It does not wait for Kafka, and uses nothing of the record after it has
// returned. It returns bus.ErrClosed after Close, [ErrFull] when the queue had no room for the record, and
// bus.ErrTooLarge when the record's key is too large for the queue. All of these are counted. Cancelling ctx does not
// keep the record from being delivered.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if ctx == nil {
		ctx = context.Background()
	}
	if h.sampler != nil && !h.sampler.keep(&r) {
		return nil
	}
	return h.encoder.EncodeParts(ctx, &r, func(text []byte, result *logrecord.Result) error {
		return h.enqueue(ctx, &r, text, result)
	})
}

// enqueue applies the options to a record and queues it.
func (h *Handler) enqueue(ctx context.Context, r *slog.Record, text []byte, result *logrecord.Result) error {
	e := entry{
		text: text, form: result.Form, stream: result.Route, level: r.Level, time: r.Time, span: result.Span,
		invalid: result.Invalid, truncated: result.Truncated, cell: h.queue.cellOf(result.Local),
	}
	if h.call.stream != nil {
		e.stream = cmp.Or(h.streamOf(ctx, r), e.stream)
	}
	if h.call.key != nil {
		e.key = h.keyOf(ctx, r)
		if n := len(e.key) + e.length(); n > h.largest { // the record fits without its key
			value := e.whole()
			e.text, _ = h.encoder.Shorten(value, max(len(value)-(n-h.largest), smallest))
			e.form, e.truncated = logrecord.Form{}, true
		}
	}
	if result.Invalid && h.onInvalid != nil {
		e.stream = h.judge(ctx, InvalidRecord{Stream: cmp.Or(e.stream, h.sharedState.stream), Value: e.whole(),
			Errors: result.SchemaErrors})
		if e.stream == "" {
			e.refused = DroppedInvalid
		}
	}
	if ownlog.Marked(ctx) {
		e.refused, e.fallback = DroppedOwn, !fallen(ctx)
	}
	return h.ship(ctx, &e)
}

// streamOf returns the stream that the option Stream returns for the record; "" after a panic.
func (h *Handler) streamOf(ctx context.Context, r *slog.Record) (stream string) {
	defer func() {
		if recover() != nil {
			stream = ""
		}
	}()
	return h.call.stream(ctx, *r)
}

// judge returns the stream of an invalid record, "" to drop it. After a panic it is the record's own stream.
func (h *Handler) judge(ctx context.Context, r InvalidRecord) (stream string) {
	defer func() {
		if p := recover(); p != nil {
			h.worker.report.panicked(p)
			stream = r.Stream
		}
	}()
	return h.onInvalid(ctx, r)
}

// keyOf returns the record's key, a view into the caller's bytes. After a panic the record has no key.
func (h *Handler) keyOf(ctx context.Context, r *slog.Record) (key []byte) {
	defer func() {
		if recover() != nil {
			key = nil
		}
	}()
	return h.call.key(ctx, *r)
}
