package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/recordid"
	"github.com/kafkaesk/kafkaesk/internal/schema"
	"github.com/kafkaesk/kafkaesk/internal/tracecontext"
)

// PublishOption is an option of one publish. A nil one changes nothing.
type PublishOption func(*publishOptions)

type publishOptions struct {
	key     []byte
	headers []wire.Header
	time    time.Time
	moved   bool // a failed record, on its way to one of the bus's own streams
	aside   bool // nobody waits for the outcome where the record is sent
	bound   produce.Observer
	until   time.Time // the record's deadline; zero: none
	err     error
}

// Key sets the record's key, which may be text or bytes. Records with the same key are in one partition, in the order
// in which they were published. Python's and Java's clients choose the same partition for a key. A nil slice is no
// key; an empty string or slice is one. The bytes are copied.
func Key[K ~string | ~[]byte](key K) PublishOption { return keyOption([]byte(key)) }

func keyOption(key []byte) PublishOption { return func(o *publishOptions) { o.key = key } }

// AddHeader adds a header. Headers keep their order, and the bus never overwrites one. The value has to be UTF-8,
// because a binary one would stop every Python consumer of the stream; [App.PublishBatch] takes any bytes.
func AddHeader(name, value string) PublishOption {
	return func(o *publishOptions) {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			o.err = errors.Join(o.err, fmt.Errorf("header %q is not UTF-8 text", name))
			return
		}
		o.headers = append(o.headers, wire.Header{Name: name, Value: []byte(value)})
	}
}

// Timestamp sets the record's time. Defaults to the time of the call.
func Timestamp(t time.Time) PublishOption { return func(o *publishOptions) { o.time = t } }

// Publish checks data against its type's schema, wraps it in an envelope and sends it to stream. It returns when all
// in-sync replicas have the record (acks=all), when ctx ends, or after [Config.PublishTimeout] where ctx has no
// deadline. A broker that is away is waited for until then.
//
// When the time ends while the record is on its way, the outcome is unknown, and the error wraps [ErrUnacknowledged].
// After any other error the record is not stored. Data that breaks its schema is a *[ValidationError]. An id that the
// stream does not carry is a *[SchemaConflictError]. See also [ErrTooLarge], [ErrAuth] and [ErrClosed].
//
// The App is initialized if it is not, and a stream whose topic does not exist is created.
func (a *App) Publish(ctx context.Context, stream string, data any, opts ...PublishOption) error {
	r := new(Receipt)
	a.publish(ctx, r, stream, data, true, opts)
	return r.end(ctx)
}

// PublishAsync is [App.Publish] without waiting for the broker. Its cost is the check, the encoding and an append to
// a batch. It blocks only while the App's buffer is full or the App is being initialized, and not after ctx has
// ended. The receipt has the outcome when the record is acknowledged, has failed, or ctx has ended (or
// PublishTimeout, where ctx has no deadline). So give it a context that lives as long as the outcome matters.
func (a *App) PublishAsync(ctx context.Context, stream string, data any, opts ...PublishOption) *Receipt {
	r := new(Receipt)
	a.publish(ctx, r, stream, data, false, opts)
	if r.early != nil {
		_ = r.end(ctx)
	}
	return r
}

// PublishRaw sends value as it is, without an envelope and a schema. Everything else is as in [App.Publish].
func (a *App) PublishRaw(ctx context.Context, stream string, value []byte, opts ...PublishOption) error {
	r := &Receipt{stream: stream, watched: a.watch(stream, len(value))}
	c, until, err := a.useFor(ctx, stream)
	if err != nil {
		return r.fail(err).end(ctx)
	}
	w := a.getWorkspace()
	w.until = until
	c.send(ctx, r, w, value, true, opts)
	a.give(w)
	return r.end(ctx)
}

// PublishBatch sends ready values, without schemas, and returns when each has its outcome, which is in its Err.
// Records with the same key keep the order of the batch. The error joins what went wrong, each kind once; it is nil
// when all records are acknowledged.
func (a *App) PublishBatch(ctx context.Context, stream string, batch []Outgoing) error {
	watched := a.watch(stream, 0)
	c, until, err := a.useFor(ctx, stream)
	if err != nil {
		err = publishError(stream, err)
		for i := range batch {
			batch[i].Err = err
			watched.notifyOf(&batch[i], -1, -1)
		}
		return err
	}
	ctx, span := c.startBatch(ctx, stream, len(batch))
	promises := make([]produce.Promise, len(batch))
	now, trace := time.Now(), tracecontext.Headers(ctx)
	w := a.getWorkspace()
	for i := range batch {
		o := &batch[i]
		w.headers = w.headers[:0]
		w.headers = append(w.headers, o.Headers...)
		w.headers = withoutFailure(w.headers, stream)
		w.complete(trace, now)
		at := o.Time
		if at.IsZero() {
			at = now
		}
		c.producer.Produce(ctx, produce.Record{
			Topic: c.prefix + stream, Key: o.Key, Value: o.Value, Headers: w.headers, Time: at, Deadline: until,
		}, false, &promises[i])
	}
	a.give(w)
	c.producer.SendNow()
	err = await(ctx, c.producer, stream, batch, promises)
	for i := range batch {
		partition, offset := promises[i].Position()
		watched.notifyOf(&batch[i], partition, offset)
	}
	if span != nil {
		endSend(span, -1, -1, err)
	}
	return err
}

// await sets each record's outcome and joins the kinds of error.
func await(ctx context.Context, p *produce.Producer, stream string, batch []Outgoing,
	promises []produce.Promise) error {
	const most = 10 // kinds of error that are worth reading
	var kinds []error
	seen := make(map[string]bool)
	failed := 0
	for i := range batch {
		batch[i].Err = outcome(ctx, p, &promises[i])
		if err := batch[i].Err; err != nil {
			failed++
			if text := err.Error(); !seen[text] && len(kinds) < most {
				seen[text] = true
				kinds = append(kinds, err)
			}
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("bus: publish %q: %d of %d records failed: %w", stream, failed, len(batch), errors.Join(kinds...))
}

// outcome waits for a record. A known outcome wins over a context that is over, and the record's own context is such
// an outcome: the producer knows whether the record was sent.
func outcome(ctx context.Context, producer *produce.Producer, p *produce.Promise) error {
	select {
	case <-p.Done():
		return p.Err()
	default:
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		producer.Expire(p)
	}
	select {
	case <-p.Done():
		return p.Err()
	default:
		return fmt.Errorf("waiting for the broker, %w: %w", ErrUnacknowledged, context.Cause(ctx))
	}
}

// defaultPublishTimeout is that of Config.PublishTimeout.
const defaultPublishTimeout = 2 * time.Minute

// useFor is use for a publish to stream. Where ctx has no deadline it also returns the one that PublishTimeout sets.
func (a *App) useFor(ctx context.Context, stream string) (*connection, time.Time, error) {
	var until time.Time
	switch {
	case a == nil:
		return nil, until, errNilApp
	case stream == "":
		return nil, until, errors.New("a stream needs a name")
	}
	if timeout := time.Duration(a.publishTimeout.Load()); timeout > 0 {
		if _, ok := ctx.Deadline(); !ok {
			until = time.Now().Add(timeout)
		}
	}
	if !until.IsZero() && a.opened(ctx) == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, until, produce.ErrTimeout)
		defer cancel()
	}
	c, err := a.use(ctx)
	return c, until, err
}

// publish encodes and sends one value. Every outcome is in r.
func (a *App) publish(ctx context.Context, r *Receipt, stream string, data any, urgent bool, opts []PublishOption) {
	r.stream, r.watched = stream, a.watch(stream, 0)
	if a == nil {
		r.fail(errNilApp)
		return
	}
	d, err := a.schemas.of(reflect.TypeOf(data), stream)
	if err != nil {
		r.fail(err)
		return
	}
	w := a.getWorkspace()
	defer a.give(w)
	if r.watched != nil {
		r.watched.published.Schema = d.name()
	}
	if err = d.encode(&w.writer, data); err != nil {
		r.fail(err)
		return
	}
	if r.watched != nil {
		r.watched.published.Size = len(w.writer.Buf)
	}
	c, until, err := a.useFor(ctx, stream)
	if err != nil {
		r.fail(err)
		return
	}
	w.until = until
	ended, err := a.schemas.bind(stream, d)
	if err != nil {
		r.fail(err)
		return
	}
	if ended != nil {
		w.bound = ended
	}
	w.aside = !urgent
	if c.send(ctx, r, w, w.writer.Buf, urgent, opts); r.early != nil && ended != nil {
		ended(r.early)
	}
}

// encode writes data's envelope, after it was validated.
func (d *declaration) encode(w *schema.Writer, data any) error {
	w.Buf = append(w.Buf, d.head...)
	if err := d.schema.Encode(w, data); err != nil {
		return d.refusal(err)
	}
	w.Buf = append(w.Buf, '}')
	return nil
}

// refusal says why data was not encoded.
func (d *declaration) refusal(err error) error {
	if invalid, ok := errors.AsType[*schema.Invalid](err); ok {
		return newValidationError(d.name(), invalid)
	}
	return fmt.Errorf("encode %s: %w", d.name(), err)
}

// send hands one value to the producer, which copies it.
func (c *connection) send(ctx context.Context, r *Receipt, w *workspace, value []byte, urgent bool,
	opts []PublishOption) {
	apply(&w.publishOptions, opts)
	now := time.Now()
	if w.time.IsZero() {
		w.time = now
	}
	if w.stream != r.stream || w.prefix != c.prefix {
		w.stream, w.prefix, w.topic = r.stream, c.prefix, c.prefix+r.stream
	}
	if c.tracer != nil && !w.moved { // what is moved belongs to the span of its handler
		ctx = c.traceSend(ctx, r, w.topic, len(value))
	}
	w.headers = withoutFailure(w.headers, r.stream)
	w.complete(tracecontext.Headers(ctx), now)
	r.topic, r.time = w.topic, w.time
	if !urgent { // else nobody sees the receipt
		r.key = bytes.Clone(w.key)
	}
	if w.err != nil {
		r.fail(w.err)
		return
	}
	r.producer = c.producer
	observer := w.bound
	if p := r.watched; p != nil && w.aside {
		p.conn, p.receipt, p.bound = c, r, w.bound
		observer = p
	}
	if observer != nil {
		r.promise.OnEnd(observer)
	}
	c.producer.Produce(ctx, produce.Record{
		Topic: r.topic, Key: w.key, Value: value, Headers: w.headers, Time: r.time, Deadline: w.until, Moved: w.moved,
	}, urgent, &r.promise)
}

// workspace is what one publish needs until the producer has copied the record. It serves again.
type workspace struct {
	publishOptions
	writer schema.Writer // of the value
	id     [recordid.Length]byte

	stream, prefix, topic string // of the publish before, mostly of this one too
}

func (a *App) getWorkspace() *workspace {
	if w, ok := a.workspaces.Get().(*workspace); ok {
		return w
	}
	return new(workspace)
}

// give takes a workspace back, with its memory and nothing of the caller's.
func (a *App) give(w *workspace) {
	const most = 64 << 10 // one large value shall not stay in memory for ever
	clear(w.headers[:cap(w.headers)])
	w.publishOptions = publishOptions{headers: w.headers[:0]}
	if w.writer.Reset(); cap(w.writer.Buf) > most {
		w.writer.Buf = nil
	}
	a.workspaces.Put(w)
}

func (r *Receipt) fail(err error) *Receipt {
	r.early = publishError(r.stream, err)
	return r
}

func publishError(stream string, err error) error {
	return fmt.Errorf("bus: publish %q: %w", stream, err)
}
