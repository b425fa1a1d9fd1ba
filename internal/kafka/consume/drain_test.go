package consume

import (
	"context"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// stubborn returns a Consumer with a running handler that heeds its context or does not, and what ends the handler in the end.
func stubborn(t *testing.T, heeds bool) (c *Consumer, p *place, release chan struct{}) {
	t.Helper()
	begun := make(chan struct{}, 10)
	release = make(chan struct{})
	c = idle(t, options(func(ctx context.Context, _ *wire.Record) bool {
		begun <- struct{}{}
		if heeds {
			<-ctx.Done()
			return false
		}
		<-release
		return true
	}))
	_, p = assign(c, "topic")
	p.take(chunk("topic", 0, 2, time.Time{}))
	<-begun
	return c, p, release
}

func TestADrainCancelsHandlersWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	c, p, _ := stubborn(t, true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	within(t, 900*time.Millisecond, func() { c.Drain(ctx) })
	if s := c.Status(); s.Abandoned != 0 || s.Running != 0 || c.Marks()[p.tp] != 0 {
		t.Errorf("status %+v, marks %v", s, c.Marks())
	}
	if context.Cause(p.Context()) != errDraining {
		t.Errorf("the context ended because %v", context.Cause(p.Context()))
	}
}

// Hurry ends the time of a drain that is under way or yet to come.
func TestHurryEndsADrain(t *testing.T) {
	t.Parallel()
	for name, heeds := range map[string]bool{"a handler that heeds its context": true, "one that does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, p, release := stubborn(t, heeds)
			defer close(release)
			go func() {
				<-p.Draining()
				c.Hurry()
			}()
			within(t, 5*time.Second, func() { c.Drain(t.Context()) })
		})
	}
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		c, _, _ := stubborn(t, true)
		c.Hurry()
		within(t, 5*time.Second, func() { c.Drain(t.Context()) })
	})
}

// A handler that does not return is given up; its partition is not begun again before it has ended, and waits for nothing when it is taken away
// meanwhile.
func TestAnAbandonedPartitionWaitsForItsHandler(t *testing.T) {
	t.Parallel()
	c, p, release := stubborn(t, false)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	within(t, 5*time.Second, func() { c.Drain(over) })
	if s := c.Status(); s.Abandoned != 1 || s.Running != 1 {
		t.Errorf("status %+v", s)
	}
	start := map[kafka.TopicPartition]group.Start{p.tp: {Committed: 0}, {Topic: "topic", Partition: 1}: {Committed: 0}}
	for generation := range int32(2) {
		c.Assign(group.Assignment{Generation: generation + 2, Partitions: start})
		if n := c.fetcher.Stats().Partitions; n != 1 {
			t.Errorf("%d partitions are read, want the other one alone", n)
		}
		if generation == 0 {
			within(t, time.Second, func() { c.Drain(t.Context()) })
		}
	}
	close(release)
	eventually(t, func() bool { return c.fetcher.Stats().Partitions == 2 && c.Status().Abandoned == 0 })
}
