package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// worthTelling is the failed attempt, counted from 0, that is logged as a warning: a few failures are usual in a
// cluster. For all loops of a Client, and the rest of an outage, one line says it.
const worthTelling = 3

// retry calls attempt until it succeeds, fails with what no retry can make succeed, or ctx ends. The error then says
// both that it ended and what the last attempt had met.
func (c *Client) retry(ctx context.Context, attempt func() error) error {
	backoff := c.settings.Backoff()
	var last error
	for n := 0; ; n++ {
		err := attempt()
		switch {
		case err == nil:
			c.warnedPassword.Store(false)
			return nil
		case ctx.Err() != nil:
			return c.ended(ctx, err, last)
		case !Classify(err).Retriable():
			return err
		}
		last = err
		level := slog.LevelDebug
		if n == worthTelling && c.warnedPassword.CompareAndSwap(false, true) {
			level = slog.LevelWarn
		}
		c.logger.Log(ctx, level, "kafka: a request failed and is sent again", "error", err, "attempts", n+1)
		if Sleep(ctx, backoff.Delay(n)) != nil {
			return c.ended(ctx, nil, last)
		}
	}
}

// ended is the error of a loop whose context has ended: the context's cause, then the last thing that went wrong
// before it; where the first attempt was still under way, that is the last connection error, or who was asked.
func (c *Client) ended(ctx context.Context, err, last error) error {
	cause := context.Cause(ctx)
	if err == nil || !errors.Is(err, cause) {
		err = cause
	}
	if last == nil {
		last = c.LastConnError()
	}
	if last == nil {
		return fmt.Errorf("%w; %w", err, c.Unanswered())
	}
	return fmt.Errorf("%w; before that: %w", err, last)
}
