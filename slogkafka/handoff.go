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

// entry is an encoded log record on its way from Handle to the queue. The memory of text and key is used again for the
// next record, so that ship copies what it keeps.
type entry struct {
	// the part of the record that form does not have; the envelope if the form is that of a whole record
	text   []byte
	form   logrecord.Form     // makes the envelope of the text
	key    []byte             // nil: none
	stream string             // "": that of the handler
	level  slog.Level         // for the policy of the level
	time   time.Time          // of the log call; zero: none
	span   *trace.SpanContext // of the call's context; nil: none

	invalid   bool // it has schema_errors
	truncated bool // values were shortened

	cell *cell // of the memory that the record was encoded in

	// refused is the reason why the record is not queued, DroppedOwn or DroppedInvalid; "": it is. A refused record is
	// counted as accepted and dropped.
	refused string
	// fallback reports whether the fallback gets the record although it is refused.
	fallback bool
}

// ship adds the record of a log call, with its context ctx, to the queue; nothing else does. It copies what it keeps of
// e. It returns the result of Handle: nil when the record is queued or refused, else the reason why the record is
// dropped. With FlushOn it also waits for the outcome of the record.
func (c *sharedState) ship(ctx context.Context, e *entry) error {
	if e.refused != "" {
		c.refuse(e, reasonOf(e.refused), e.fallback)
		return nil
	}
	if c.whenConfigured && !c.isConfigured() {
		c.refuse(e, notConfigured, false)
		return nil
	}
	c.startOnce.Do(c.start)
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

func (c *sharedState) isConfigured() bool {
	if !c.configured.Load() {
		c.configured.Store(c.app.Configured())
	}
	return c.configured.Load()
}

// makeRoom applies the policy of the record's level when the queue is full. A record that the fallback itself logs is
// dropped instead: if it waited, the fallback would wait for itself.
func (c *sharedState) makeRoom(e *entry, charge int64) (why reason, ok bool) {
	_, blocks := c.queue.policyOf(e).(block)
	if blocks && c.fallback.callsUs() || !blocks && c.fallback.mayCallUs() {
		return own, false
	}
	return c.queue.makeRoom(e, charge, func(r *queued) {
		r.waiter.end(ErrFull)
		c.lost(r, full)
	})
}

// refuse counts a record as dropped that is not queued whatever room the queue has.
func (c *sharedState) refuse(e *entry, why reason, fallback bool) {
	c.queue.refuse(e, why)
	if fallback && c.fallback.handler != nil {
		c.giveCopy(e, why)
	}
}

// giveCopy passes a copy of e to the fallback, if the fallback has room.
func (c *sharedState) giveCopy(e *entry, why reason) {
	if c.fallback.reserve(e.charge()) {
		c.fallback.give(newQueued(e), why)
	}
}

// reject drops a record that the queue did not accept, and returns the result of Handle.
func (c *sharedState) reject(e *entry, why reason) error {
	if why == closed && c.fallback.callsUs() {
		why = own
	}
	c.queue.refuse(e, why)
	switch why {
	case own:
		return nil
	case full, tooLarge, closed:
		c.worker.report.drop()
		c.giveCopy(e, why)
	}
	switch why {
	case closed:
		return fmt.Errorf("slogkafka: %w", bus.ErrClosed)
	case tooLarge:
		return fmt.Errorf("slogkafka: %w", bus.ErrTooLarge)
	}
	return ErrFull
}

// lost reports the drop of a record that was in the queue, and passes the record to the fallback. The caller has
// removed it from the queue and counted it.
func (c *sharedState) lost(r *queued, why reason) {
	c.worker.report.drop()
	if c.fallback.reserve(r.charge) {
		c.fallback.give(r, why)
	}
}

// missing reports the drop of n spooled records that cannot be read any more. The caller has counted them.
func (c *sharedState) missing(n uint64) {
	c.worker.report.drop()
	c.fallback.miss(n)
}

// waiterFor returns the waiter for a call of the level; nil if FlushOn does not make it wait.
func (c *sharedState) waiterFor(level slog.Level) *waiter {
	if c.flushOn == nil || level < c.flushOn.Level() || c.fallback.callsUs() {
		return nil
	}
	return &waiter{done: make(chan struct{})}
}

// await waits until the record has its outcome, the time limit of FlushOn has passed, or ctx ends.
func (c *sharedState) await(ctx context.Context, w *waiter) error {
	c.queue.addFlushWaiters(1)
	defer c.queue.addFlushWaiters(-1)
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

// because formats err, which may be nil, as the end of another error's text.
func because(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf(" (%v)", err)
}
