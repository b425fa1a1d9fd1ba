package bus

import (
	"context"
	"errors"
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

// traced gives the handler a context with a span in it, so that what the handler publishes and logs belongs to the trace of the record. The
// span is a child of the producer's, and linked to it. Without an OpenTelemetry SDK there is no span of our own, and the producer's goes on.
func (x *runner) traced(next Handler, provider trace.TracerProvider) Handler {
	if isNoop(provider) {
		return func(ctx context.Context, r *Record) error {
			if _, ok := r.Header(tracecontext.Parent); ok {
				if producer := tracecontext.Of(r.Header); producer.IsValid() {
					ctx = trace.ContextWithRemoteSpanContext(ctx, producer)
				}
			}
			return next(ctx, r)
		}
	}
	tracer := provider.Tracer(tracerName)
	return func(ctx context.Context, r *Record) error {
		options := make([]trace.SpanStartOption, 0, 3)
		options = append(options, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(x.attributes(r)...))
		if producer := tracecontext.Of(r.Header); producer.IsValid() {
			ctx = trace.ContextWithRemoteSpanContext(ctx, producer)
			options = append(options, trace.WithLinks(trace.Link{SpanContext: producer}))
		}
		ctx, span := tracer.Start(ctx, "process "+r.Stream, options...)
		defer span.End()
		err := next(ctx, r)
		if err != nil && !errors.Is(err, errUnfinished) { // a dead letter, too, is a failure to whoever looks for one
			span.SetStatus(codes.Error, brief(err))
			span.RecordError(err)
		}
		return err
	}
}

// attributes are those that OpenTelemetry's conventions for messaging have.
func (x *runner) attributes(r *Record) []attribute.KeyValue {
	attributes := []attribute.KeyValue{
		attribute.String("messaging.system", "kafka"),
		attribute.String("messaging.operation.name", "process"),
		attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", r.Topic),
		attribute.String("messaging.destination.partition.id", strconv.Itoa(r.Partition)),
		attribute.String("messaging.consumer.group.name", x.group),
		attribute.Int64("messaging.kafka.offset", r.Offset),
		attribute.Int("messaging.message.body.size", len(r.Value)),
	}
	if r.Value == nil {
		attributes = append(attributes, attribute.Bool("messaging.kafka.message.tombstone", true))
	}
	if id, ok := r.Header(IDHeader); ok {
		attributes = append(attributes, attribute.String("messaging.message.id", string(id)))
	}
	return attributes
}

// isNoop tells whether a provider makes no spans: none was given, or OpenTelemetry's global one has never been set. It only saves what spans
// that nobody sees would cost.
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
