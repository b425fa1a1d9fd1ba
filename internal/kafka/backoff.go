package kafka

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is how long to wait between attempts: a bound that doubles from First up to Max, and a delay drawn evenly
// below it ("full jitter"), so that many clients that lost the same broker do not come back in step. The zero value is
// ready for use.
type Backoff struct {
	// First bounds the delay after the first failed attempt. Defaults to 100ms. Kafka: retry.backoff.ms.
	First time.Duration
	// Max bounds every delay. Defaults to 10s. Kafka: retry.backoff.max.ms.
	Max time.Duration
}

const (
	defaultFirstBackoff = 100 * time.Millisecond
	defaultMaxBackoff   = 10 * time.Second
)

// Delay returns how long to wait after a failed attempt; attempts count from 0. It never returns less than a tenth of
// the bound: a draw near zero would be no pause at all, and a loop that fails at once would spin.
func (b Backoff) Delay(attempt int) time.Duration {
	bound := b.bound(attempt)
	least := bound / 10
	return least + rand.N(bound-least+1)
}

// bound is First doubled attempt times, at most Max.
func (b Backoff) bound(attempt int) time.Duration {
	first, limit := b.First, b.Max
	if first <= 0 {
		first = defaultFirstBackoff
	}
	if limit <= 0 {
		limit = defaultMaxBackoff
	}
	for range attempt {
		if first >= limit/2 {
			return limit
		}
		first *= 2
	}
	return min(first, limit)
}

// Sleep waits for d. It returns early, with the cause, when ctx ends; a context that has ended already is never slept
// for.
func Sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
