package consume

import (
	"context"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// The lane of records that a partition no longer has may still be about to say that it is full. Its records are nobody's any more, so nobody
// would ever say that there is room again, and the partition would stand still.
func TestALaneOfThePastDoesNotPauseItsPartition(t *testing.T) {
	t.Parallel()
	c := idle(t, options(func(context.Context, *wire.Record) bool { return true }))
	_, p := assign(c, "topic")
	p.take(chunk("topic", 100, 200, time.Time{}))
	past := p.lane.Load()
	p.take(chunk("topic", 0, 5, time.Time{})) // made anew
	p.setFull(past, true)
	if p.isPaused() {
		t.Error("the partition is paused, and by nobody")
	}
	p.setFull(p.lane.Load(), true)
	if !p.isPaused() {
		t.Error("the partition's own lane does not pause it")
	}
}

// The time of what waited in a retry stream may come when it has been given up: nothing is known then of what the partition has now.
func TestTheTimeOfWhatWasGivenUpMarksNothing(t *testing.T) {
	t.Parallel()
	c := idle(t, options(func(context.Context, *wire.Record) bool { return true }))
	_, p := assign(c, "delayed")
	p.take(chunk("delayed", 100, 200, time.Now().Add(time.Hour)))
	p.rewind(0)
	p.release()
	if mark := c.Marks()[p.tp]; mark != 0 {
		t.Errorf("marked %d", mark)
	}
	p.take(chunk("delayed", 0, 5, time.Time{}))
	eventually(t, func() bool { return c.Marks()[p.tp] == 5 })
}

// What a lane does not take, because a handler has ended it, is not counted as handled.
func TestWhatComesAfterAnUnfinishedItemIsNotCounted(t *testing.T) {
	t.Parallel()
	for _, topic := range []string{"topic", "delayed"} {
		t.Run(topic, func(t *testing.T) {
			t.Parallel()
			begun := make(chan struct{}, 1)
			c := idle(t, options(func(_ context.Context, i *wire.Record) bool {
				if i.Offset < 2 {
					return true
				}
				begun <- struct{}{}
				return false
			}))
			_, p := assign(c, topic)
			p.take(chunk(topic, 0, 5, time.Time{}))
			<-begun
			eventually(t, func() bool { _, _, running := p.lane.Load().Held(); return running == 0 })
			p.take(chunk(topic, 5, 20, time.Time{}))
			if s := c.Status(); s.Handled != 2 || s.Partitions[0].Watermark != 2 {
				t.Errorf("handled %d, watermark %d", s.Handled, s.Partitions[0].Watermark)
			}
			c.Drain(t.Context())
			if s := c.Status(); s.Handled != 2 {
				t.Errorf("handled %d after the drain", s.Handled)
			}
		})
	}
}
