package group

import (
	"context"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// heartbeater says again and again that the member lives, in whatever state it is. It knows who the member is at the moment, and
// nothing else of it.
type heartbeater struct {
	coordinator *coordinator
	post        func(event)

	mu  sync.Mutex
	who identity // without an id there is nobody to be heard of
}

// be tells who the member is from now on.
func (h *heartbeater) be(who identity) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.who = who
}

func (h *heartbeater) is() identity {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.who
}

// run beats until ctx ends. One that failed is soon repeated: a session has room for few of them.
func (h *heartbeater) run(ctx context.Context) {
	interval := min(h.coordinator.settings.HeartbeatInterval, h.coordinator.settings.SessionTimeout/3)
	backoff := pauses(h.coordinator.settings)
	wait := interval
	for failures := 0; kafka.Sleep(ctx, wait) == nil; {
		wait = interval
		who := h.is()
		if who.id == "" {
			continue
		}
		began := time.Now()
		err := h.coordinator.beat(ctx, who)
		if ctx.Err() != nil {
			return
		}
		switch faultOf(err) {
		case passing:
			wait = min(interval, backoff.Delay(failures))
			failures++
		case denied:
			wait = max(interval, slowly)
		default:
			wait, failures = interval-time.Since(began), 0
		}
		h.post(event{what: beaten, id: who.id, generation: who.generation, err: err})
	}
}
