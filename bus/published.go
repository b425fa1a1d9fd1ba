package bus

import (
	"context"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/ownlog"
)

// Published describes one publish and its outcome.
type Published struct {
	// Stream is the stream that it was for.
	Stream string
	// Schema is the schema's name, such as "Content:1"; empty for ready values.
	Schema string
	// Partition and Offset are where the record is. Both are -1 when Err is not nil. Offset is also -1 when the
	// broker had the record already and does not say where.
	Partition int
	Offset    int64
	// Size is the number of bytes of the record's value; 0 when there is none because the data was refused.
	Size int
	// Duration is the time from the call to the outcome. [App.PublishBatch] looks at the outcomes one after another: for
	// its records it is the time until it came to this one's.
	Duration time.Duration
	// Err is why the publish failed, as the caller gets it; nil when the record is acknowledged.
	Err error
}

const (
	// maxOutcomes is how many outcomes may wait for the functions of OnPublished and the ends of spans.
	maxOutcomes = 100_000
	// panicPause is how long the panics of functions are not logged again.
	panicPause = time.Minute
)

// OnPublished adds a function that is called after each publish, with its outcome. It is for metrics. It gets each
// record of [App.Publish], [App.PublishAsync], [App.PublishRaw], [App.PublishBatch] and [Message.Forward], and each
// that a subscription moves to a retry stream or the dead letters. Log handlers (package slogkafka) are left out:
// they have counts of their own. Data that breaks its schema, and other errors before the record is sent, are
// outcomes, too.
//
// The goroutine that publishes calls it before the publish returns. Where no goroutine waits, for PublishAsync,
// retries and dead letters, a goroutine of the App calls it, which [App.Close] waits for; at most 100,000 outcomes
// wait for that goroutine, and more are left out. The function may be called concurrently, has to be quick, and must
// not publish, because that would call it again. No lock is held meanwhile. A panic of it is logged, at most once a
// minute, and changes nothing else. It may be added at any time, and gets the publishes that begin later.
func (a *App) OnPublished(f func(Published)) {
	switch {
	case a == nil:
		return
	case f == nil:
		a.misused("OnPublished", errNoFunction)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []func(Published)
	if before := a.published.Load(); before != nil {
		all = append(all, *before...)
	}
	all = append(all, f)
	a.published.Store(&all)
}

// publication is what a publish is watched with: nil for most.
type publication struct {
	app       *App
	functions []func(Published)
	span      trace.Span // nil = none
	published Published  // what is known of it so far
	began     time.Time

	// Of one that nobody waits for:
	conn    *connection
	receipt *Receipt
	bound   produce.Observer // of the registry; nil for most
}

// watch returns what the publish of a value of this size is watched with; nil where nobody has asked for it.
func (a *App) watch(stream string, size int) *publication {
	if a == nil {
		return nil
	}
	functions := a.published.Load()
	if functions == nil {
		return nil
	}
	return &publication{app: a, functions: *functions, published: Published{Stream: stream, Size: size}, began: time.Now()}
}

// notifyOf is notify for a record of a batch. It may be called without a publication.
func (p *publication) notifyOf(o *Outgoing, partition int32, offset int64) {
	if p != nil {
		p.published.Size = len(o.Value)
		p.notify(partition, offset, o.Err)
	}
}

// Resolved implements produce.Observer, for a publish that nobody waits for.
func (p *publication) Resolved(err error) {
	if p.bound != nil {
		p.bound.Resolved(err)
	}
	p.conn.outcomes.Do(func() {
		<-p.receipt.Done() // which is closed after this was called
		_ = p.receipt.end(context.Background())
	})
}

// end is Wait, and tells those who watch the publish.
func (r *Receipt) end(ctx context.Context) error {
	err := r.Wait(ctx)
	if r.watched != nil {
		partition, offset := int32(-1), int64(-1)
		if err == nil {
			partition, offset = r.promise.Position()
		}
		r.watched.notify(partition, offset, err)
	}
	return err
}

// notify ends the span and calls the functions.
func (p *publication) notify(partition int32, offset int64, err error) {
	if p.span != nil {
		endSend(p.span, partition, offset, err)
	}
	p.published.Partition, p.published.Offset, p.published.Err = int(partition), offset, err
	p.published.Duration = time.Since(p.began)
	for _, f := range p.functions {
		p.app.call(f, p.published)
	}
}

// call calls a function of OnPublished. A record is acknowledged whatever the function does.
func (a *App) call(f func(Published), p Published) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		now, last := time.Now().UnixNano(), a.panicked.Load()
		if (last == 0 || now-last > int64(panicPause)) && a.panicked.CompareAndSwap(last, now) {
			ownlog.Logger(a.Logger()).Error("bus: a function of OnPublished panicked; others are not logged for a minute",
				"stream", p.Stream, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	f(p)
}

// startSend begins the span of a publish, in which ctx then is. The record's headers name it as its parent, unless the
// caller has set other ones.
func (c *connection) startSend(ctx context.Context, topic, stream string,
	more ...attribute.KeyValue) (context.Context, trace.Span) {
	attributes := append([]attribute.KeyValue{
		attribute.String("messaging.system", "kafka"),
		attribute.String("messaging.operation.name", "send"),
		attribute.String("messaging.operation.type", "send"),
		attribute.String("messaging.destination.name", topic),
	}, more...)
	return c.tracer.Start(ctx, "send "+stream, trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(attributes...))
}

// traceSend begins the span of one record, which ends with its outcome.
func (c *connection) traceSend(ctx context.Context, r *Receipt, topic string, size int) context.Context {
	if r.watched == nil {
		r.watched = new(publication)
	}
	ctx, r.watched.span = c.startSend(ctx, topic, r.stream, attribute.Int("messaging.message.body.size", size))
	return ctx
}

// startBatch begins the span of a batch. Where ctx belongs to no trace there is none: the batch is a pump's, not a
// request's.
func (c *connection) startBatch(ctx context.Context, stream string, records int) (context.Context, trace.Span) {
	if c.tracer == nil || !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, nil
	}
	return c.startSend(ctx, c.prefix+stream, stream, attribute.Int("messaging.batch.message_count", records))
}

// endSend ends it. The place is that of a record that is acknowledged; -1 for a batch.
func endSend(span trace.Span, partition int32, offset int64, err error) {
	if partition >= 0 {
		span.SetAttributes(attribute.String("messaging.destination.partition.id", strconv.Itoa(int(partition))),
			attribute.Int64("messaging.kafka.offset", offset))
	}
	if err != nil {
		span.SetStatus(codes.Error, brief(err))
		span.RecordError(err)
	}
	span.End()
}
