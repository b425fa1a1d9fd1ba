package monitor

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// cacheTime is how long an answer of the brokers is reused.
	cacheTime = 5 * time.Second
	// askTimeout bounds the requests to the brokers for one answer.
	askTimeout = 10 * time.Second
)

// errNotInitialized is the error of a request before the App has connections.
var errNotInitialized = errors.New("the App is not initialized: it has not reached a broker yet")

// cached holds an answer of the brokers. They are asked once in cacheTime, also when they do not answer, however many
// callers there are.
type cached[T any] struct {
	ask func(context.Context) (T, error)

	calls singleflight.Group
	mu    sync.Mutex
	value T
	err   error
	at    time.Time // time of the last request; zero before the first
}

// get returns the answer and when it was given. It waits for it until ctx ends, and at most askTimeout; the question
// does not end with one of those who wait for its answer, but with the App's connections.
func (c *cached[T]) get(ctx context.Context) (T, time.Time, error) {
	if c.fresh() {
		return c.last()
	}
	answered := c.calls.DoChan("", func() (any, error) {
		if c.fresh() { // since the look above
			return nil, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		value, err := c.ask(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.value, c.err, c.at = value, err, time.Now()
		return nil, nil
	})
	select {
	case <-answered:
	case <-ctx.Done():
	}
	return c.last()
}

func (c *cached[T]) fresh() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.at.IsZero() && time.Since(c.at) < cacheTime
}

func (c *cached[T]) last() (T, time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value, c.at, c.err
}
