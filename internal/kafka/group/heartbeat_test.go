package group

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Two members that began at different moments get their partitions of a generation at one moment. From then on their
// heartbeats come together, so that they hear of the next rebalance together.
func TestHeartbeatsBeginAnewWithEachGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const interval = 3 * time.Second
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		sent := make(chan time.Duration, 100)
		h := &heartbeater{
			send: func(_ context.Context, who identity) error {
				sent <- time.Since(start)
				return nil
			},
			interval: interval,
			post:     func(event) {},
			restart:  make(chan struct{}, 1),
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			h.run(ctx)
		}()
		h.setIdentity(identity{id: "a", generation: 1})
		for _, want := range []time.Duration{
			3 * time.Second, 6 * time.Second, // the member's own rhythm
			10 * time.Second, 13 * time.Second, // a generation began at 7 s
			16500 * time.Millisecond, // one began at 13.5 s
		} {
			switch want {
			case 10 * time.Second:
				time.Sleep(time.Second)
				h.setIdentity(identity{id: "a", generation: 2})
				h.restartInterval()
			case 16500 * time.Millisecond:
				time.Sleep(500 * time.Millisecond)
				h.restartInterval()
				h.restartInterval()
			}
			if got := <-sent; got != want {
				t.Errorf("a heartbeat after %s, want %s", got, want)
			}
		}
		cancel()
		<-ended
	})
}
