package bus

import (
	"context"
	"reflect"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/kafkaesk/kafkaesk/internal/tracecontext"
)

// tracerName is the instrumentation scope of the bus's spans.
const tracerName = "github.com/kafkaesk/kafkaesk/bus"

// newTracer returns nil for a provider that makes no spans.
func newTracer(provider trace.TracerProvider) trace.Tracer {
	if isNoop(provider) {
		return nil
	}
	return provider.Tracer(tracerName)
}

// withProducerSpan gives a handler the producer's span context, so that what it publishes and logs belongs to the
// trace of the record.
func withProducerSpan(ctx context.Context, r *Record) context.Context {
	if _, ok := r.Header(tracecontext.Parent); ok {
		if producer := tracecontext.Of(r.Header); producer.IsValid() {
			return trace.ContextWithRemoteSpanContext(ctx, producer)
		}
	}
	return ctx
}

// startSpan begins the span of a record, which lasts until its outcome is known. It is a child of the producer's
// span, and linked to it. Without an OpenTelemetry SDK there is none.
func (x *runner) startSpan(ctx context.Context, r *Record) trace.Span {
	if x.tracer == nil {
		return nil
	}
	options := make([]trace.SpanStartOption, 0, 3)
	options = append(options, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(x.attributes(r)...))
	if producer := tracecontext.Of(r.Header); producer.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, producer)
		options = append(options, trace.WithLinks(trace.Link{SpanContext: producer}))
	}
	_, span := x.tracer.Start(ctx, "process "+r.Stream, options...)
	return span
}

// startBatchSpan begins the span of a call for many records, which is linked to the producer's span of each.
func (x *runner) startBatchSpan(ctx context.Context, records []*Record) (context.Context, trace.Span) {
	first := records[0]
	var links []trace.Link
	for _, r := range records {
		if producer := tracecontext.Of(r.Header); producer.IsValid() {
			links = append(links, trace.Link{SpanContext: producer})
		}
	}
	attributes := append(x.positionAttributes(first), attribute.Int("messaging.batch.message_count", len(records)))
	return x.tracer.Start(ctx, "process "+first.Stream, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithLinks(links...),
		trace.WithAttributes(attributes...))
}

// endSpan ends the span of a record. A dead letter, too, is a failure to whoever looks for one.
func endSpan(span trace.Span, outcome Outcome, err error) {
	if err != nil && outcome != OutcomeUnfinished {
		span.SetStatus(codes.Error, brief(err))
		span.RecordError(err)
	}
	span.End()
}

// attributes are those that OpenTelemetry's conventions for messaging have.
func (x *runner) attributes(r *Record) []attribute.KeyValue {
	attributes := append(x.positionAttributes(r),
		attribute.Int64("messaging.kafka.offset", r.Offset),
		attribute.Int("messaging.message.body.size", len(r.Value)))
	if r.Value == nil {
		attributes = append(attributes, attribute.Bool("messaging.kafka.message.tombstone", true))
	}
	if id, ok := r.Header(IDHeader); ok {
		attributes = append(attributes, attribute.String("messaging.message.id", string(id)))
	}
	return attributes
}

// positionAttributes are those that all records of a partition have.
func (x *runner) positionAttributes(r *Record) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("messaging.system", "kafka"),
		attribute.String("messaging.operation.name", "process"),
		attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", r.Topic),
		attribute.String("messaging.destination.partition.id", strconv.Itoa(r.Partition)),
		attribute.String("messaging.consumer.group.name", x.group),
	}
}

// isNoop reports whether a provider makes no spans: none was given, or OpenTelemetry's global one has never been set.
// It only saves what spans that nobody sees would cost.
func isNoop(p trace.TracerProvider) bool {
	switch p.(type) {
	case nil, noop.TracerProvider, *noop.TracerProvider:
		return true
	}
	t := reflect.TypeOf(p)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() == "go.opentelemetry.io/otel/internal/global"
}
