package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol/heartbeat"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// slowTimer is a context whose deadline has passed for a while before it ends, as the timers of a busy machine have it.
type slowTimer struct {
	context.Context // which ends late
	deadline        time.Time
}

func (c slowTimer) Deadline() (time.Time, bool) { return c.deadline, true }

// A connection has the deadline of the caller's context, and may notice it first. Even then it is the context that
// has ended, not the broker that has failed.
func TestTheContextsDeadlineIsNoFailureOfTheBroker(t *testing.T) {
	t.Parallel()
	cluster := fake(t)
	silence(cluster, kmsg.Heartbeat.Int16())
	client := connect(t, quick(), cluster.ListenAddrs()...)
	if _, err := client.AllTopics(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	late, cancel := context.WithDeadline(t.Context(), now.Add(600*time.Millisecond))
	defer cancel()
	ctx := slowTimer{late, now.Add(100 * time.Millisecond)}
	_, err := client.RoundTrip(ctx, &heartbeat.Request{GroupID: "g"}, time.Minute)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
}
