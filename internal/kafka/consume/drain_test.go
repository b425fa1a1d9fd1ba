package consume

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/lanes"
)

// stubborn returns a Consumer with a running handler that heeds its context or does not, and what ends the handler in
// the end.
func stubborn(t *testing.T, heeds bool) (c *Consumer, p *partition, release chan struct{}) {
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
	p.enqueue(chunk("topic", 0, 2, time.Time{}))
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

// CancelHandlers ends the time of a drain that is under way or yet to come.
func TestCancelHandlersEndsADrain(t *testing.T) {
	t.Parallel()
	for name, heeds := range map[string]bool{"a handler that heeds its context": true, "one that does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, p, release := stubborn(t, heeds)
			defer close(release)
			go func() {
				<-p.Revoked()
				c.CancelHandlers()
			}()
			within(t, 5*time.Second, func() { c.Drain(t.Context()) })
		})
	}
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		c, _, _ := stubborn(t, true)
		c.CancelHandlers()
		within(t, 5*time.Second, func() { c.Drain(t.Context()) })
	})
}

// A handler that does not return is given up; its partition is not begun again before it has ended, and waits for
// nothing when it is taken away meanwhile.
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

// After a rewind a partition has handlers of records that it no longer has beside those of its own. Each that has not
// returned counts, and keeps the partition from beginning again, whichever returns first.
func TestAnAbandonedPartitionWaitsForTheHandlersBeforeARewindToo(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][]int64{"the one before the rewind first": {100, 0},
		"the one after it first": {0, 100}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := map[int64]chan struct{}{0: make(chan struct{}), 100: make(chan struct{})}
				c := idle(t, options(func(_ context.Context, r *wire.Record) bool {
					<-release[r.Offset]
					return true
				}))
				g, p := assign(c, "topic")
				g.halt()
				g.wg.Wait() // the test is the dispatcher
				p.enqueue(chunk("topic", 100, 101, time.Time{}))
				synctest.Wait()
				p.enqueue(chunk("topic", 0, 1, time.Time{}))
				synctest.Wait()
				c.CancelHandlers()
				c.Drain(t.Context())
				for i, offset := range order {
					if n := c.Status().Abandoned; n != 2-i {
						t.Errorf("%d handlers are abandoned, want %d", n, 2-i)
					}
					c.Assign(group.Assignment{
						Generation: int32(i + 2), Partitions: map[kafka.TopicPartition]group.Start{p.tp: {Committed: 0}},
					})
					if n := c.fetcher.Stats().Partitions; n != 0 {
						t.Errorf("the partition is read while %d of its handlers run", 2-i)
					}
					close(release[offset])
					synctest.Wait()
					if n := c.fetcher.Stats().Partitions; n != i {
						t.Errorf("%d partitions are read after %d of 2 handlers have returned", n, i+1)
					}
					c.Drain(t.Context())
				}
				if n := c.Status().Abandoned; n != 0 {
					t.Errorf("%d handlers are abandoned after all have returned", n)
				}
			})
		})
	}
}

// All handlers have the same second to return, counted from when their contexts end together, however many do not:
// those that make use of it are not abandoned, and those that do not are counted one by one.
func TestAllPartitionsHaveTheSameGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const partitions = 20
		late := func(partition int32) bool { return partition%2 == 0 }
		var mu sync.Mutex
		begun := 0
		o := options(nil)
		o.Lanes, o.Limit = lanes.Unordered, 2*partitions
		o.Do = func(ctx context.Context, r *wire.Record, _ *lanes.Retry) (bool, *lanes.Retry) {
			mu.Lock()
			begun++
			mu.Unlock()
			<-ctx.Done()
			returns := cancelGrace - time.Millisecond
			if late(PartitionOf(ctx).(*partition).tp.Partition) {
				returns = cancelGrace + time.Millisecond
			}
			time.Sleep(returns)
			return false, nil
		}
		c := idle(t, o)
		starts := make(map[kafka.TopicPartition]group.Start)
		for i := range int32(partitions) {
			starts[kafka.TopicPartition{Topic: "topic", Partition: i}] = group.Start{Committed: 0}
		}
		c.Assign(group.Assignment{Generation: 1, Partitions: starts})
		g := c.current
		g.halt()
		g.wg.Wait() // the test is the dispatcher
		for _, p := range g.partitions {
			p.enqueue(chunk("topic", 0, 2, time.Time{}))
		}
		synctest.Wait()
		if begun != 2*partitions {
			t.Fatalf("%d handlers run", begun)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		c.Drain(ctx)
		if took := time.Since(began); took != time.Minute+cancelGrace {
			t.Errorf("the drain took %v", took)
		}
		for tp := range starts {
			if held := c.heldBy(tp) != nil; held != late(tp.Partition) {
				t.Errorf("partition %d is abandoned: %v", tp.Partition, held)
			}
		}
		if s := c.Status(); s.Abandoned != partitions || s.Running != partitions {
			t.Errorf("%d handlers are abandoned and %d run, want %d", s.Abandoned, s.Running, partitions)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if s := c.Status(); s.Abandoned != 0 || s.Running != 0 {
			t.Errorf("%d handlers are abandoned and %d run after all have returned", s.Abandoned, s.Running)
		}
	})
}
