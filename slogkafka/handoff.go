package slogkafka

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// entry is one finished log record, as Handle hands it over to the queue. The memory of text and key serves the next
// record: ship copies what it keeps.
type entry struct {
	text   []byte             // what no other record has; the envelope, where the form is that of a whole record
	form   logrecord.Form     // makes the envelope of the text
	key    []byte             // nil: none
	stream string             // where it goes; "": to that of the handler
	level  slog.Level         // for the policy of the level
	time   time.Time          // of the log call; zero: none
	span   *trace.SpanContext // of the call's context, for the headers traceparent and tracestate; nil: none

	invalid   bool // it has schema_errors
	truncated bool // values were shortened

	cell *cell // of the memory that the record was encoded in

	// refused is why the record is not queued: DroppedOwn or DroppedInvalid. It is counted as accepted and dropped.
	refused string
	// fallback tells that a refused record goes to the fallback all the same.
	fallback bool
}

// ship hands a record over: it is the only way from Handle to the queue. ctx is that of the log call. It copies what it
// keeps of e, and returns what Handle returns: nil when the record is queued, else why it never will be.
func (c *core) ship(ctx context.Context, e *entry) error {
	if e.refused != "" {
		c.refuse(e, reasonOf(e.refused), e.fallback)
		return nil
	}
	if c.whenConfigured && !c.isConfigured() {
		c.refuse(e, notConfigured, false)
		return nil
	}
	c.begin.Do(c.start)
	charge := e.charge()
	if !c.queue.reserve(e, charge) {
		if why, ok := c.makeRoom(e, charge); !ok {
			return c.reject(e, why)
		}
	}
	w := c.waiterFor(e.level)
	if !c.queue.push(e, w, charge) {
		c.queue.release(1, charge)
		return c.reject(e, closed)
	}
	if c.store != nil {
		c.store.pushed()
	}
	if w == nil {
		c.queue.pushed()
		return nil
	}
	return c.await(ctx, w)
}

func (c *core) isConfigured() bool {
	if !c.configured.Load() {
		c.configured.Store(c.app.Configured())
	}
	return c.configured.Load()
}

// makeRoom takes room for a record that found none, as the policy of its level says. What the fallback logs never
// waits: the fallback would be blocked by itself.
func (c *core) makeRoom(e *entry, charge int64) (why reason, ok bool) {
	_, blocks := c.queue.policyOf(e).(block)
	if blocks && c.fallback.callsUs() || !blocks && c.fallback.mayCallUs() {
		return own, false
	}
	return c.queue.makeRoom(e, charge, func(r *queued) {
		r.waiter.end(ErrFull)
		c.lost(r, full)
	})
}

// refuse counts a record that is not even tried.
func (c *core) refuse(e *entry, why reason, fallback bool) {
	c.queue.refuse(e, why)
	if fallback && c.fallback.handler != nil {
		r := newQueued(e)
		if c.fallback.reserve(r.charge) {
			c.fallback.give(r, why)
		}
	}
}

// reject drops a record that did not get in, and returns what Handle returns.
func (c *core) reject(e *entry, why reason) error {
	if why == closed && c.fallback.callsUs() {
		why = own
	}
	c.queue.refuse(e, why)
	switch why {
	case own:
		return nil
	case full, tooLarge, closed:
		c.worker.report.drop()
		if c.fallback.reserve(e.charge()) {
			c.fallback.give(newQueued(e), why)
		}
	}
	switch why {
	case closed:
		return fmt.Errorf("slogkafka: %w", bus.ErrClosed)
	case tooLarge:
		return fmt.Errorf("slogkafka: %w", bus.ErrTooLarge)
	}
	return ErrFull
}

// lost takes a record that was accepted, has been counted as dropped, and is out of the queue. It goes to the fallback.
func (c *core) lost(r *queued, why reason) {
	c.worker.report.drop()
	if c.fallback.reserve(r.charge) {
		c.fallback.give(r, why)
	}
}

// missing takes the number of records that were spooled and cannot be read any more. They are counted as dropped.
func (c *core) missing(n uint64) {
	c.worker.report.drop()
	c.fallback.miss(n)
}

// waiterFor returns what FlushOn makes a call of the level wait for; nil if it does not.
func (c *core) waiterFor(level slog.Level) *waiter {
	if c.flushOn == nil || level < c.flushOn.Level() || c.fallback.callsUs() {
		return nil
	}
	return &waiter{done: make(chan struct{})}
}

// await waits until the record has its outcome, the time of FlushOn is over, or ctx ends.
func (c *core) await(ctx context.Context, w *waiter) error {
	c.queue.hurry(1)
	defer c.queue.hurry(-1)
	timer := time.NewTimer(c.flushTime)
	defer timer.Stop()
	var ended <-chan struct{}
	if ctx != nil {
		ended = ctx.Done()
	}
	select {
	case <-w.done:
		return w.err
	case <-ended:
		return fmt.Errorf("slogkafka: the log record is queued, and not acknowledged yet: %w", context.Cause(ctx))
	case <-timer.C:
		return fmt.Errorf("slogkafka: the log record is queued, and not acknowledged within %v%s: %w", c.flushTime,
			because(c.waiting()), os.ErrDeadlineExceeded)
	}
}

// because is the part of an error that says what else is known.
func because(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf(" (%v)", err)
}
