package bus

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// IDHeader is the header that names a record for consumers that deduplicate: a UUIDv7, made once per publish. A record written
// twice, which an idempotent producer does only when the broker has forgotten it, carries the same one.
const IDHeader = "kafkaesk-id"

// traceHeaders are the OpenTelemetry headers of one publish, in the W3C form.
type traceHeaders []wire.Header

func newTraceHeaders(ctx context.Context) traceHeaders {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return nil
	}
	var c carrier
	propagation.TraceContext{}.Inject(ctx, &c)
	return traceHeaders(c)
}

// complete appends the headers the bus sets to those that are there, which it never overwrites.
func (w *workspace) complete(t traceHeaders, now time.Time) {
	set := len(w.headers)
	for _, h := range t {
		if !has(w.headers[:set], h.Name) {
			w.headers = append(w.headers, h)
		}
	}
	if !has(w.headers[:set], IDHeader) {
		newID(&w.id, now)
		w.headers = append(w.headers, wire.Header{Name: IDHeader, Value: w.id[:]})
	}
}

func has(headers []wire.Header, name string) bool {
	for i := range headers {
		if headers[i].Name == name {
			return true
		}
	}
	return false
}

// carrier collects what the propagator writes.
type carrier []wire.Header

func (c *carrier) Get(string) string { return "" }
func (c *carrier) Keys() []string    { return nil }
func (c *carrier) Set(name, value string) {
	*c = append(*c, wire.Header{Name: name, Value: []byte(value)})
}
