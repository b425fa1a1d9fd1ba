//go:build !race

// The race detector makes sync.Pool forget on purpose.

package logrecord

import (
	"fmt"
	"log/slog"
	"runtime"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

// A record of plain attributes allocates nothing, however many they are, up to 64 KiB: not with the ids of a span, nor
// with the place of the call.
func TestNoAllocations(t *testing.T) {
	e := NewEncoder(Options{Base: fixedBase(), AddSource: true, SchemaID: "LogRecord:1"}).WithAttrs(attrs("a",
		1, "b", "c"))
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := trace.ContextWithSpanContext(t.Context(), span)
	pc, _, _, _ := runtime.Caller(0)
	for _, n := range []int{0, 5, 40, 3000} {
		r := slog.NewRecord(at, 0, "hello", pc)
		for i := range n {
			r.AddAttrs(slog.Int(fmt.Sprint("number", i), i))
		}
		size := 0
		use := func(text []byte, _ *Result) error { size = len(text); return nil }
		// A collection may empty the pool, once or twice in all these calls.
		if allocs := testing.AllocsPerRun(200, func() { _ = e.Encode(ctx, &r, use) }); allocs >= 1 {
			t.Errorf("%d attributes, %d bytes: %v allocations", n, size, allocs)
		}
		if size > 64<<10 {
			t.Errorf("%d bytes are more than is meant", size)
		}
	}
}
