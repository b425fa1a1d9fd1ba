package consume

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/lanes"
)

// The lane of records that a partition no longer has may still be about to say that it is full. Its records are
// nobody's any more, so nobody would ever say that there is room again, and the partition would stand still.
func TestALaneOfThePastDoesNotPauseItsPartition(t *testing.T) {
	t.Parallel()
	c := idle(t, options(func(context.Context, *wire.Record) bool { return true }))
	_, p := assign(c, "topic")
	p.enqueue(chunk("topic", 100, 200, time.Time{}))
	past := p.lane.Load()
	p.enqueue(chunk("topic", 0, 5, time.Time{})) // made anew
	p.setFull(past, true)
	if p.isPaused() {
		t.Error("the partition is paused, and by nobody")
	}
	p.setFull(p.lane.Load(), true)
	if !p.isPaused() {
		t.Error("the partition's own lane does not pause it")
	}
}

// The time of what waited in a retry stream may come when it has been given up: nothing is known then of what the
// partition has now.
func TestTheTimeOfWhatWasGivenUpMarksNothing(t *testing.T) {
	t.Parallel()
	c := idle(t, options(func(context.Context, *wire.Record) bool { return true }))
	_, p := assign(c, "delayed")
	p.enqueue(chunk("delayed", 100, 200, time.Now().Add(time.Hour)))
	p.rewind(0)
	p.release()
	if mark := c.Marks()[p.tp]; mark != 0 {
		t.Errorf("marked %d", mark)
	}
	p.enqueue(chunk("delayed", 0, 5, time.Time{}))
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
			p.enqueue(chunk(topic, 0, 5, time.Time{}))
			<-begun
			eventually(t, func() bool { _, _, running := p.lane.Load().Held(); return running == 0 })
			p.enqueue(chunk(topic, 5, 20, time.Time{}))
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

// A rewind drops the record that waits to be handled again. Who is told of it, a function of OnConsumed in the end,
// may ask for the figures.
func TestARewindDropsWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c *Consumer
		var dropped, handled atomic.Int64
		o := options(nil)
		o.Do = func(_ context.Context, r *wire.Record, again *lanes.Retry) (bool, *lanes.Retry) {
			if r.Offset < 100 {
				return handled.Add(1) > 0, nil
			}
			if again != nil {
				t.Errorf("offset %d is handled again", r.Offset)
			}
			return false, &lanes.Retry{At: time.Now().Add(time.Hour)}
		}
		o.Dropped = func(_ context.Context, r *wire.Record, _ *lanes.Retry) {
			dropped.Add(1)
			if s := c.Status(); s.Handled != 0 {
				t.Errorf("%d are said to be finished when %d is dropped", s.Handled, r.Offset)
			}
		}
		c = idle(t, o)
		g, p := assign(c, "topic")
		g.halt()
		g.wg.Wait() // the test is the dispatcher
		p.enqueue(chunk("topic", 100, 105, time.Time{}))
		synctest.Wait()
		p.enqueue(chunk("topic", 0, 5, time.Time{}))
		synctest.Wait()
		if s := c.Status(); dropped.Load() != 1 || handled.Load() != 5 || s.Handled != 5 || c.Marks()[p.tp] != 5 {
			t.Errorf("%d dropped, %d handled, marks %v, status %+v", dropped.Load(), handled.Load(), c.Marks(), s)
		}
		time.Sleep(2 * time.Hour) // the time of what was dropped comes
	})
}

// However often a partition begins anew, it remembers only those lanes of the past in which a handler runs.
func TestARewindForgetsLanesThatAreIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		c := idle(t, options(func(_ context.Context, r *wire.Record) bool {
			if r.Offset == 1000 {
				<-release
			}
			return true
		}))
		g, p := assign(c, "topic")
		g.halt()
		g.wg.Wait() // the test is the dispatcher
		for offset := int64(1000); offset > 900; offset-- {
			p.enqueue(chunk("topic", offset, offset+1, time.Time{}))
			synctest.Wait()
		}
		if n := len(p.past); n > 2 {
			t.Errorf("%d lanes of the past are remembered, and in one of them a handler runs", n)
		}
	})
}
