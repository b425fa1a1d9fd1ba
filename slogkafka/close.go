package slogkafka

import (
	"context"
	"fmt"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// What Close may still do after its context has ended. Together it stays below the 50 ms that it promises, with room
// for a busy machine.
const (
	// stopGrace is how long it waits for the worker, which has been told to stop.
	stopGrace = 15 * time.Millisecond
	// fallbackGrace is how long it waits for the fallback.
	fallbackGrace = 15 * time.Millisecond
	// spoolGrace is how long it waits for what is left to be written to the disk.
	spoolGrace = 10 * time.Millisecond
)

const (
	// fallbackTime is how long the fallback has for what is left where the context of Close has no deadline.
	fallbackTime = 5 * time.Second
	// summaryTime is how long the last record about drops in the stream may take.
	summaryTime = 2 * time.Second
	// maxReserve bounds what is kept of the deadline of Close for the fallback: a quarter of it, as a rule.
	maxReserve = 2 * time.Second
)

// Close ends the handler, and those derived from it. The handler takes no more records. Close waits until its records
// are delivered, or ctx ends, and returns at most 50 ms after that.
//
// What is left then is dropped, and goes to the fallback; while nothing at all is delivered, the last quarter of the
// time, at most 2 s, is kept for that. With [Spool] that time is always kept, and what is left is written to the
// disk, which is no error. An *[UndeliveredError] says how many records were left, and how many reached neither
// Kafka, nor the disk, nor the fallback. Further calls wait for the first one, each until its own ctx ends, and
// return the same.
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

// shut is the first Close.
func (c *core) shut(ctx context.Context) error {
	c.queue.close()
	c.begin.Do(func() {}) // no record ever came: nothing is to be started any more
	c.deliver.Do(c.startNothing)
	c.queue.hurry(1)
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

// drain waits until all records are delivered, or nothing is delivered for so long that the rest of the time is better
// left to the fallback: then it returns an error that says so.
func (c *core) drain(ctx context.Context) (gaveUp error) {
	if !c.app.Configured() {
		return nil // nobody will configure it any more
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
				return fmt.Errorf("not all was delivered within %v, and the rest of the time was for the records left: %w",
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

// lastSummary has the stream say what was dropped since it said so last.
func (c *core) lastSummary(ctx context.Context) {
	if c.app.Connected() {
		ctx, cancel := context.WithTimeout(ctx, summaryTime)
		defer cancel()
		c.worker.summary.last(ctx)
	}
}

// giveUp returns a channel that says when the time for the spool and the fallback begins; nil where there is neither,
// or no deadline.
func (c *core) giveUp(ctx context.Context) <-chan time.Time {
	deadline, ok := ctx.Deadline()
	if !ok || c.fallback.handler == nil && c.store == nil {
		return nil
	}
	left := time.Until(deadline)
	return time.After(left - min(left/4, maxReserve))
}

func (c *core) delivered() uint64 { return c.queue.snapshot().Delivered }

// stop ends the worker, and waits for it as long as Close has time. Outcomes that are known by then are counted.
func (c *core) stop() {
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

// startNothing starts what has to end in its own way.
func (c *core) startNothing() {
	if c.store != nil {
		go c.store.run()
	}
}

// save has what is left written to the disk. It takes half of the time that is left where there is a fallback, which
// needs the other half.
func (c *core) save(ctx context.Context) {
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

// leave gives the records that are left to the fallback, and has it take all that it has got, until ctx ends. It
// returns how many reached neither Kafka nor the fallback.
func (c *core) leave(ctx context.Context, left []*queued) int {
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

// why says why records are left when ctx is over, or Close did not wait any longer.
func (c *core) why(ctx context.Context) error {
	over, failure := context.Cause(ctx), c.waiting()
	switch {
	case !c.app.Configured():
		return bus.ErrNotConfigured
	case over == nil:
		return failure
	case failure == nil:
		return over
	}
	return fmt.Errorf("%w: %w", over, failure)
}
