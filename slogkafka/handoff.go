package slogkafka

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/tracecontext"
)

// entry is one finished log record, as Handle hands it over to the queue. The memory of value and key serves the next record:
// ship copies what it keeps.
type entry struct {
	value  []byte            // the envelope
	key    []byte            // nil: none
	stream string            // where it goes
	level  slog.Level        // for the policy of the level
	time   time.Time         // of the log call; zero: none
	span   trace.SpanContext // of the call's context, for the headers traceparent and tracestate; not valid: none

	invalid   bool // it has schema_errors
	truncated bool // values were shortened

	// refused is why the record is not queued: DroppedOwn or DroppedInvalid. It is counted as accepted and dropped.
	refused string
	// fallback tells that a refused record goes to the fallback all the same.
	fallback bool
}

// ship hands a record over: it is the only way from Handle to the queue. ctx is that of the log call. It copies what it keeps of e, and returns what
// Handle returns: nil when the record is queued, else why it never will be.
func (c *core) ship(_ context.Context, e *entry) error {
	it := item{value: bytes.Clone(e.value), key: bytes.Clone(e.key), time: e.time, headers: headersOf(e.span)}
	c.queue.note(e.invalid, e.truncated)
	if e.refused != "" {
		c.queue.refuse(e.refused)
		if e.fallback {
			c.lost([]item{it})
		}
		return nil
	}
	c.begin.Do(c.start)
	dropped, reason := c.queue.push(it)
	if len(dropped) == 0 {
		return nil
	}
	c.lost(dropped)
	switch own := &dropped[len(dropped)-1].value[0] == &it.value[0]; {
	case !own: // older ones made room for it
		return nil
	case reason == DroppedClosed:
		return fmt.Errorf("slogkafka: %w", bus.ErrClosed)
	case reason == DroppedTooLarge:
		return fmt.Errorf("slogkafka: %w", bus.ErrTooLarge)
	default:
		return ErrFull
	}
}

// headersOf returns the headers of a span: the worker that publishes has another context.
func headersOf(span trace.SpanContext) []bus.Header {
	if !span.IsValid() {
		return nil
	}
	var h []bus.Header
	for _, t := range tracecontext.Headers(trace.ContextWithSpanContext(context.Background(), span)) {
		h = append(h, bus.Header(t))
	}
	return h
}
