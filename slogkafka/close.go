package slogkafka

import (
	"context"
	"fmt"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// Waits of Close after its context has ended. Together they stay below the promised 50 ms, with a reserve for a busy
// machine.
const (
	// stopGrace bounds the wait for the worker, whose context has ended.
	stopGrace = 15 * time.Millisecond
	// fallbackGrace bounds the wait for the fallback.
	fallbackGrace = 15 * time.Millisecond
	// spoolGrace bounds the writing of the remaining records to the disk.
	spoolGrace = 10 * time.Millisecond
)

const (
	// fallbackTime bounds the fallback's handling of the remaining records when the context of Close has no deadline.
	fallbackTime = 5 * time.Second
	// summaryTime bounds the delivery of the last record about drops.
	summaryTime = 2 * time.Second
	// maxReserve bounds the part of Close's time that is reserved for the fallback: usually a quarter.
	maxReserve = 2 * time.Second
)

// Close ends the handler, and those derived from it. The handler takes no more records. Close waits until its records
// are delivered, or ctx ends, and returns at most 50 ms after that.
//
// What is left then is dropped, and goes to the fallback. The last quarter of the time, at most 2 s, may be kept for
// that: with a fallback only when nothing at all was delivered before it, with [Spool] always. With Spool what is left
// is written to the disk, which is no error. An *[UndeliveredError] says how many records were left, and how many
// reached neither Kafka, nor the disk, nor the fallback. Further calls wait for the first one, each until its own ctx
// ends, and return the same.
//
// The context of a signal has ended when the signal came. Close needs another one, such as context.WithTimeout of
// context.Background.
func (h *Handler) Close(ctx context.Context) error {
	if h.closing.CompareAndSwap(false, true) {
		h.closeErr = h.shut(ctx)
		h.detach()
		close(h.closed)
		return h.closeErr
	}
	select {
	case <-h.closed:
		return h.closeErr
	case <-ctx.Done():
		return fmt.Errorf("slogkafka: close: %w", context.Cause(ctx))
	}
}

// shut is the first call of Close.
func (c *sharedState) shut(ctx context.Context) error {
	c.queue.close()
	c.startOnce.Do(func() {}) // without a record nothing was started; from here on nothing is
	c.deliver.Do(c.startStore)
	c.queue.addFlushWaiters(1)
	gaveUp := c.drain(ctx)
	cause := c.why(ctx)
	if gaveUp != nil && cause != nil {
		cause = fmt.Errorf("%w: %w", gaveUp, cause)
	} else if gaveUp != nil {
		cause = gaveUp
	}
	c.stop()
	c.save(ctx)
	left := c.queue.abandon()
	lost := c.leave(ctx, left)
	if len(left) == 0 && lost == 0 {
		return nil
	}
	return &UndeliveredError{Records: len(left), Lost: lost, Stream: c.stream, Cause: cause}
}

// drain waits until all records are delivered. It returns an error when nothing was delivered for so long that the
// rest of the time is reserved for the fallback.
func (c *sharedState) drain(ctx context.Context) (gaveUp error) {
	if !c.app.Configured() {
		return nil // the App stays without servers
	}
	start := time.Now()
	last := c.queue.mark()
	giveUp := c.giveUp(ctx)
	before := c.delivered()
	for {
		changed := c.queue.changed.wait()
		if c.queue.upTo(&last) == 0 {
			c.queue.changed.leave()
			c.lastSummary(ctx)
			return nil
		}
		select {
		case <-changed:
		case <-giveUp:
			if c.store != nil || c.delivered() == before {
				c.queue.changed.leave()
				return fmt.Errorf("not all records were delivered within %v, and the rest of the time was reserved for the "+
					"fallback: %w",
					time.Since(start).Round(time.Millisecond), context.DeadlineExceeded)
			}
			giveUp = nil
		case <-ctx.Done():
			c.queue.changed.leave()
			return nil
		}
		c.queue.changed.leave()
	}
}

// lastSummary sends a record about the drops that the stream has not reported yet.
func (c *sharedState) lastSummary(ctx context.Context) {
	if c.app.Connected() {
		ctx, cancel := context.WithTimeout(ctx, summaryTime)
		defer cancel()
		c.worker.summary.last(ctx)
	}
}

// giveUp returns a channel that fires when the time for the spool and the fallback begins; nil without a spool and a
// fallback, or without a deadline.
func (c *sharedState) giveUp(ctx context.Context) <-chan time.Time {
	deadline, ok := ctx.Deadline()
	if !ok || c.fallback.handler == nil && c.store == nil {
		return nil
	}
	left := time.Until(deadline)
	return time.After(left - min(left/4, maxReserve))
}

func (c *sharedState) delivered() uint64 { return c.queue.snapshot().Delivered }

// stop ends the worker, and waits for it within Close's time. Outcomes that have arrived by then are counted.
func (c *sharedState) stop() {
	c.end()
	c.app.Expire()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		c.work.Wait()
	}()
	timer := time.NewTimer(stopGrace)
	defer timer.Stop()
	select {
	case <-stopped:
	case <-timer.C:
	}
	close(c.quit)
	c.collect.Wait()
}

// startStore starts the spool's loop where no record has started the worker. save ends the loop, and waits for it.
func (c *sharedState) startStore() {
	if c.store != nil {
		go c.store.run()
	}
}

// save writes the remaining records to the disk. With a fallback it uses half of the remaining time, and the fallback
// the other half.
func (c *sharedState) save(ctx context.Context) {
	if c.store == nil {
		return
	}
	close(c.store.closing)
	wait, ended := fallbackTime, ctx.Done()
	if ctx.Err() != nil {
		wait, ended = spoolGrace, nil
	} else if deadline, ok := ctx.Deadline(); ok {
		wait = time.Until(deadline)
		if c.fallback.handler != nil {
			wait /= 2
		}
	}
	timer := time.NewTimer(max(wait, spoolGrace))
	defer timer.Stop()
	select {
	case <-c.store.done:
		return
	case <-timer.C:
	case <-ended:
	}
	c.store.late.Store(true)
}

// leave gives the remaining records to the fallback, and waits until it has handled all its records or ctx ends. It
// returns the number of records that reached neither Kafka nor the fallback.
func (c *sharedState) leave(ctx context.Context, left []*queued) int {
	for _, r := range left {
		r.waiter.end(fmt.Errorf("slogkafka: %w", bus.ErrClosed))
	}
	wait := fallbackTime
	if ctx.Err() != nil {
		ctx, wait = context.WithoutCancel(ctx), fallbackGrace
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	lost := 0
	if c.fallback.handler == nil {
		lost = len(left)
	}
	if len(left) > 0 {
		c.fallback.giveAll(left, func() bool { return ctx.Err() != nil })
	}
	c.worker.report.close()
	c.fallback.runner.Close(ctx)
	return lost + c.fallback.end()
}

// why returns the reason for the remaining records.
func (c *sharedState) why(ctx context.Context) error {
	cause, failure := context.Cause(ctx), c.waiting()
	switch {
	case !c.app.Configured():
		return bus.ErrNotConfigured
	case cause == nil:
		return failure
	case failure == nil:
		return cause
	}
	return fmt.Errorf("%w: %w", cause, failure)
}
