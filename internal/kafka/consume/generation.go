package consume

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
)

// generation is the work of one assignment, from Assign until Drain has returned.
type generation struct {
	c          *Consumer
	number     int32
	partitions map[kafka.TopicPartition]*partition
	revoked    chan struct{} // closed when nothing further is to begin
	drained    atomic.Bool

	ctx    context.Context // of the handlers; ends when the time to finish is over
	cancel context.CancelCauseFunc

	reading context.Context // of the dispatcher and all that feeds lanes
	halt    context.CancelFunc
	wg      sync.WaitGroup
}

// cancelGrace is how long all handlers of a generation may take to return when their context has ended, before they are
// given up.
const cancelGrace = time.Second

func newGeneration(c *Consumer, a group.Assignment) *generation {
	g := &generation{
		c: c, number: a.Generation, revoked: make(chan struct{}),
		partitions: make(map[kafka.TopicPartition]*partition, len(a.Partitions)),
	}
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	g.reading, g.halt = context.WithCancel(context.Background())
	for tp, start := range a.Partitions {
		g.partitions[tp] = newPartition(g, tp, start)
	}
	return g
}

func (g *generation) start() {
	if len(g.partitions) == 0 {
		return
	}
	free := make([]*partition, 0, len(g.partitions))
	for tp, p := range g.partitions {
		if held := g.c.heldBy(tp); held != nil {
			g.c.log.Warn("consume: a handler of this partition has not returned yet; the partition waits for it",
				"group", g.c.opts.Group, "partition", name(tp))
			g.wg.Go(func() {
				for _, lane := range held {
					select {
					case <-lane.Idle():
					case <-g.reading.Done():
						return
					}
				}
				g.startReading(p)
			})
			continue
		}
		free = append(free, p)
	}
	g.startReading(free...)
	g.wg.Go(g.dispatch)
}

// dispatch moves chunks from the fetcher to their lanes. It never waits for a lane: a full one pauses its partition.
func (g *generation) dispatch() {
	for {
		chunk, err := g.c.fetcher.Next(g.reading)
		switch {
		case err == nil:
			if p := g.partitions[kafka.TopicPartition{Topic: chunk.Topic, Partition: chunk.Partition}]; p != nil {
				p.enqueue(chunk)
			}
		case g.reading.Err() != nil || errors.Is(err, fetch.ErrClosed):
			return
		default:
			g.handleReadError(err)
		}
	}
}

// handleReadError deals with what the fetcher says is wrong. It goes on with all else by itself.
func (g *generation) handleReadError(err error) {
	c := g.c
	c.recordError(err)
	bad, ok := errors.AsType[*fetch.PartitionError](err)
	if !ok {
		c.log.Error("consume: reading fails; trying again", "group", c.opts.Group, "error", err)
		return
	}
	p := g.partitions[kafka.TopicPartition{Topic: bad.Topic, Partition: bad.Partition}]
	switch {
	case p == nil:
	case bad.Next >= 0:
		// Nobody can read these records, today or later: waiting for them would stop the partition for ever.
		c.corrupt.Add(1)
		c.log.Error("consume: a batch is broken and cannot be handled", "group", c.opts.Group, "partition", name(p.tp),
			"offset", bad.Offset, "next", bad.Next, "error", bad.Err)
		p.skipTo(bad.Next)
	case errors.Is(err, fetch.ErrOutOfRange):
		p.resetOffset(bad)
	default:
		c.log.Error("consume: a partition cannot be read; trying again", "group", c.opts.Group, "partition", name(p.tp),
			"error", bad.Err)
		p.rereadLater()
	}
}

// rereadDelay is the pause before a partition is tried once more that we may not read, say: an operator has to repair
// that.
const rereadDelay = 10 * time.Second

// drain ends the generation: nothing begins any more, and what runs has until ctx ends, or CancelHandlers is called.
func (g *generation) drain(ctx context.Context) {
	ctx, cancelWait := context.WithCancel(ctx)
	defer cancelWait()
	defer context.AfterFunc(g.ctx, cancelWait)()
	close(g.revoked)
	g.halt()
	g.wg.Wait() // the dispatcher: from here on nobody feeds the lanes
	for tp, p := range g.partitions {
		g.c.fetcher.Remove(tp)
		p.stop()
	}
	for _, p := range g.partitions {
		p.waitIdle(ctx)
	}
	g.cancel(errDraining)
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelGrace)
	defer cancel()
	for _, p := range g.partitions {
		if stuck := p.waitIdle(limited); len(stuck) > 0 {
			g.c.log.Error("consume: a handler has not returned although its context ended; it is left alone, and its record "+
				"will be handled again",
				"group", g.c.opts.Group, "partition", name(p.tp), "offset", p.oldest())
			g.c.recordAbandoned(p.tp, stuck)
		}
	}
	g.c.mu.Lock()
	defer g.c.mu.Unlock()
	g.c.handled += g.finished()
	g.drained.Store(true)
}

// finished counts the items that have been handled.
func (g *generation) finished() (n uint64) {
	for _, p := range g.partitions {
		n += p.finished()
	}
	return n
}
