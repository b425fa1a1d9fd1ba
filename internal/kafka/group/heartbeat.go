package group

import (
	"context"
	"sync"
	"time"
)

// heartbeater sends the member's heartbeats, in whatever state the member is. It knows who the member is at the
// moment, and nothing else of it.
type heartbeater struct {
	beat     func(ctx context.Context, who identity) error
	interval time.Duration
	backoff  func(attempt int) time.Duration
	post     func(event)
	anew     chan struct{} // has a value when the interval is to begin anew

	mu  sync.Mutex
	who identity // without an id no heartbeat is sent
}

func newHeartbeater(c *coordinator, post func(event)) *heartbeater {
	return &heartbeater{
		beat:     c.beat,
		interval: min(c.settings.HeartbeatInterval, c.settings.SessionTimeout/3),
		backoff:  pauses(c.settings).Delay,
		post:     post,
		anew:     make(chan struct{}, 1),
	}
}

// setIdentity says who the member is from now on.
func (h *heartbeater) setIdentity(who identity) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.who = who
}

func (h *heartbeater) identity() identity {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.who
}

// beginAnew lets the interval begin now. The coordinator gives all members of a generation their partitions at one
// moment. As each of them begins its interval then, all of them hear of the next rebalance at one moment too, and
// none waits for the others.
func (h *heartbeater) beginAnew() {
	select {
	case h.anew <- struct{}{}:
	default: // it is to begin anew already
	}
}

// run sends heartbeats until ctx ends. One that failed is soon repeated: a session has room for few of them.
func (h *heartbeater) run(ctx context.Context) {
	timer := time.NewTimer(h.interval)
	defer timer.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-h.anew:
			timer.Reset(h.interval)
			continue
		case <-timer.C:
		}
		wait := h.interval
		who := h.identity()
		if who.id == "" {
			timer.Reset(wait)
			continue
		}
		began := time.Now()
		err := h.beat(ctx, who)
		if ctx.Err() != nil {
			return
		}
		switch faultOf(err) {
		case passing:
			wait = min(h.interval, h.backoff(failures))
			failures++
		case denied:
			wait = max(h.interval, slowly)
		default:
			wait, failures = h.interval-time.Since(began), 0
		}
		h.post(event{what: beaten, id: who.id, generation: who.generation, err: err})
		timer.Reset(wait)
	}
}
