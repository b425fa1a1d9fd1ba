// Package tracecontext encodes and decodes the OpenTelemetry context of a record: the W3C headers traceparent and
// tracestate.
package tracecontext

import (
	"context"
	"encoding/hex"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Header is one header of the trace context.
type Header struct {
	Name  string
	Value []byte
}

// Headers returns the headers of ctx; none without a valid span or for a nil ctx.
func Headers(ctx context.Context) []Header {
	if ctx == nil || !trace.SpanContextFromContext(ctx).IsValid() {
		return nil
	}
	var c carrier
	propagation.TraceContext{}.Inject(ctx, &c)
	return c
}

// Of returns the span context of a record's last traceparent and tracestate; it is invalid without them.
func Of(header func(name string) (value []byte, ok bool)) trace.SpanContext {
	parent, ok := header(Parent)
	if !ok {
		return trace.SpanContext{}
	}
	vendors, _ := header(State)
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{Parent: string(parent),
		State: string(vendors)})
	return trace.SpanContextFromContext(ctx)
}

// Parent is the header that names the span.
const Parent = "traceparent"

// State is the header with vendor-specific data of the span.
const State = "tracestate"

// carrier collects the headers that the propagator writes.
type carrier []Header

func (c *carrier) Get(string) string      { return "" }
func (c *carrier) Keys() []string         { return nil }
func (c *carrier) Set(name, value string) { *c = append(*c, Header{name, []byte(value)}) }

// ParentLength is the length of a traceparent.
const ParentLength = 55

// AppendParent appends the value of the traceparent header for a valid span, as Headers writes it.
func AppendParent(dst []byte, span trace.SpanContext) []byte {
	id, parent := span.TraceID(), span.SpanID()
	flags := span.TraceFlags() & (trace.FlagsSampled | trace.FlagsRandom)
	dst = hex.AppendEncode(append(dst, "00-"...), id[:])
	dst = hex.AppendEncode(append(dst, '-'), parent[:])
	return hex.AppendEncode(append(dst, '-'), []byte{byte(flags)})
}
