// Package tracecontext writes the OpenTelemetry context of a record, for all who send records: the headers traceparent and tracestate
// of the W3C.
package tracecontext

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Header is one header of the trace context.
type Header struct {
	Name  string
	Value []byte
}

// Headers returns the context's headers, none without a valid span. A nil ctx has none.
func Headers(ctx context.Context) []Header {
	if ctx == nil || !trace.SpanContextFromContext(ctx).IsValid() {
		return nil
	}
	var c carrier
	propagation.TraceContext{}.Inject(ctx, &c)
	return c
}

// carrier collects what the propagator writes.
type carrier []Header

func (c *carrier) Get(string) string      { return "" }
func (c *carrier) Keys() []string         { return nil }
func (c *carrier) Set(name, value string) { *c = append(*c, Header{name, []byte(value)}) }
