package slogkafka

import (
	"context"
	"fmt"
	"time"
)

// What Close may still do after its context has ended. Together it stays below the 50 ms that it promises.
const (
	// stopGrace is how long it waits for the worker, which has been told to stop.
	stopGrace = 20 * time.Millisecond
	// fallbackGrace is how long it hands the records that are left to the fallback.
	fallbackGrace = 15 * time.Millisecond
)

// Close ends the handler, and those derived from it: it takes no more records, and waits until those it has are delivered, or
// ctx ends. It returns at most 50 ms after that. What is left then is dropped, and an [*UndeliveredError] says how many records
// that are. Calls after the first wait for it, each until its own ctx ends, and return the same.
func (h *Handler) Close(ctx context.Context) error {
	if h.closing.CompareAndSwap(false, true) {
		h.closeErr = h.shut(ctx)
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
	c.begin.Do(func() { close(c.stopped) }) // no record ever came
	select {
	case <-c.stopped:
	case <-ctx.Done():
	}
	c.end()
	timer := time.NewTimer(stopGrace)
	defer timer.Stop()
	select {
	case <-c.stopped:
	case <-timer.C:
	}
	left, why := c.queue.abandon(ctx)
	if len(left) == 0 {
		return nil
	}
	c.lostUntil(time.Now().Add(fallbackGrace), left)
	return &UndeliveredError{Records: len(left), Stream: c.stream, Cause: why}
}
