package bus_test

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/kafkaesk/kafkaesk/bus"
)

// brokenTracer is a provider whose spans cannot be started.
type brokenTracer struct{ noop.TracerProvider }

func (brokenTracer) Tracer(string, ...trace.TracerOption) trace.Tracer { return brokenStart{} }

type brokenStart struct{ noop.Tracer }

func (brokenStart) Start(context.Context, string, ...trace.SpanStartOption) (context.Context, trace.Span) {
	panic("no span today")
}

// A panic of a tracer, which the bus calls outside of the handler, ends Run and not the program.
func TestAPanicOfATracerEndsRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.app(bus.Config{TracerProvider: brokenTracer{}})
	var got numbers
	bus.MustSubscribe(app, "s", got.handle, bus.Group(w.group("g")))
	if err := runs(t, app); err == nil || !strings.Contains(err.Error(), "no span today") || got.len() != 0 {
		t.Errorf("Run: %v, handled %v", err, got.get())
	}
}
