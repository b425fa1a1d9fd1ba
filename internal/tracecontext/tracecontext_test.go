package tracecontext_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/internal/tracecontext"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		headers map[string]string
		valid   bool
		state   string
	}{
		{name: "none"},
		{name: "parent", headers: map[string]string{"traceparent": parent}, valid: true},
		{name: "parent and state", headers: map[string]string{"traceparent": parent, "tracestate": "a=1,b=2"}, valid: true,
			state: "a=1,b=2"},
		{name: "state alone", headers: map[string]string{"tracestate": "a=1"}},
		{name: "broken state", headers: map[string]string{"traceparent": parent, "tracestate": "="}, valid: true},
		{name: "broken parent", headers: map[string]string{"traceparent": "00-x-y-01"}},
		{name: "zero trace",
			headers: map[string]string{"traceparent": "00-00000000000000000000000000000000-00f067aa0ba902b7-01"}},
		{name: "empty", headers: map[string]string{"traceparent": ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := tracecontext.Of(func(name string) ([]byte, bool) {
				v, ok := tt.headers[name]
				return []byte(v), ok
			})
			if got.IsValid() != tt.valid || got.TraceState().String() != tt.state {
				t.Errorf("got %v with state %q, want valid %v with state %q", got, got.TraceState(), tt.valid, tt.state)
			}
			if tt.valid && got.TraceID().String() != "4bf92f3577b34da6a3ce929d0e0e4736" {
				t.Errorf("trace %s", got.TraceID())
			}
		})
	}
}

// What is written is what is read.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	state, err := trace.ParseTraceState("vendor=1")
	if err != nil {
		t.Fatal(err)
	}
	want := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2},
		TraceFlags: trace.FlagsSampled, TraceState: state})
	headers := tracecontext.Headers(trace.ContextWithSpanContext(t.Context(), want))
	got := tracecontext.Of(func(name string) ([]byte, bool) {
		for _, h := range headers {
			if h.Name == name {
				return h.Value, true
			}
		}
		return nil, false
	})
	if !got.Equal(want.WithRemote(true)) {
		t.Errorf("read %v, written %v", got, want)
	}
	if h := tracecontext.Headers(context.Background()); h != nil {
		t.Errorf("headers %v without a span", h)
	}
}

// AppendParent writes what OpenTelemetry's propagator does, whatever the flags.
func TestAppendParent(t *testing.T) {
	t.Parallel()
	for flags := range 256 {
		span := trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1, 0xab}, SpanID: trace.SpanID{2, 0xcd}, TraceFlags: trace.TraceFlags(flags),
		})
		want := tracecontext.Headers(trace.ContextWithSpanContext(t.Context(), span))[0].Value
		if got := tracecontext.AppendParent(nil, span); string(got) != string(want) || len(got) != tracecontext.ParentLength {
			t.Fatalf("flags %x: %s, want %s", flags, got, want)
		}
	}
}
