package group

import (
	"context"
	"sync"
	"time"
)

// heartbeater sends the member's heartbeats, in whatever state the member is. It knows who the member is at the
// moment, and nothing else of it.
type heartbeater struct {
	send     func(ctx context.Context, member identity) error
	interval time.Duration
	backoff  func(attempt int) time.Duration
	post     func(event)
	restart  chan struct{} // has a value when the interval is to begin anew

	mu     sync.Mutex
	member identity // without an id no heartbeat is sent
}

func newHeartbeater(c *coordinator, post func(event)) *heartbeater {
	return &heartbeater{
		send:     c.heartbeat,
		interval: min(c.settings.HeartbeatInterval, c.settings.SessionTimeout/3),
		backoff:  pauses(c.settings).Delay,
		post:     post,
		restart:  make(chan struct{}, 1),
	}
}

// setIdentity says who the member is from now on.
func (h *heartbeater) setIdentity(member identity) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.member = member
}

func (h *heartbeater) identity() identity {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.member
}

// restartInterval lets the interval begin now. The coordinator gives all members of a generation their partitions at
// one moment. As each of them begins its interval then, all of them hear of the next rebalance at one moment too, and
// none waits for the others.
func (h *heartbeater) restartInterval() {
	select {
	case h.restart <- struct{}{}:
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
		case <-h.restart:
			timer.Reset(h.interval)
			continue
		case <-timer.C:
		}
		wait := h.interval
		member := h.identity()
		if member.id == "" {
			timer.Reset(wait)
			continue
		}
		began := time.Now()
		err := h.send(ctx, member)
		if ctx.Err() != nil {
			return
		}
		switch faultOf(err) {
		case transient:
			wait = min(h.interval, h.backoff(failures))
			failures++
		case denied:
			wait = max(h.interval, deniedBackoff)
		default:
			wait, failures = h.interval-time.Since(began), 0
		}
		h.post(event{kind: beaten, id: member.id, generation: member.generation, sent: began, err: err})
		timer.Reset(wait)
	}
}
