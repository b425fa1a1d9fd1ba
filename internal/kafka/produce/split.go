package produce

import (
	"fmt"
	"slices"
)

// split deals with a batch that the broker refused because of its records. A refused batch consumed no sequence, so its
// pieces take its place in the queue, in order: without the records that the broker blames, or in halves, until a bad
// record stands alone and fails alone.
func (p *Producer) split(q *partition, it *item, cause error) {
	b := it.b
	n := len(b.promises)
	if n == 1 {
		p.failFlight(q, cause)
		return
	}
	records, err := b.records()
	if err != nil {
		p.failFlight(q, fmt.Errorf("%w (and the batch could not be split: %w)", cause, err))
		return
	}
	bad := make(map[int]bool, len(it.bad))
	for _, i := range it.bad {
		if i >= 0 && i < n {
			bad[i] = true
		}
	}
	before := b.bytes
	var pieces []*batch
	if len(bad) > 0 && len(bad) < n {
		pieces = []*batch{b.subset(records, 0, n, func(i int) bool { return !bad[i] })}
	} else {
		all := func(int) bool { return true }
		pieces = []*batch{b.subset(records, 0, n/2, all), b.subset(records, n/2, n, all)}
	}
	pieces = slices.DeleteFunc(pieces, func(s *batch) bool { return s == nil })
	p.putFirst(q, pieces...)
	q.flight = nil
	q.fault.clear()
	if b.mayBeWritten {
		p.resetProducerID(q) // an earlier attempt may have been written all the same: nobody knows which sequence is next
	}
	// What is left in b are the blamed records, and those given up by their callers.
	held := n
	for _, s := range pieces {
		held -= len(s.promises)
		before -= s.bytes
	}
	p.fail(b, cause)
	p.quota.release(held, before)
}

// failFlight fails the batch in flight for good.
func (p *Producer) failFlight(q *partition, err error) {
	b := q.flight
	q.flight = nil
	q.fault.clear()
	if b.mayBeWritten {
		p.resetProducerID(q)
		err = fmt.Errorf("%w (of an earlier attempt: %w)", err, ErrUnacknowledged)
	}
	p.drop(b, err)
}

// failUnsent fails everything of the partition that was not sent yet, and returns how many promises that were.
func (p *Producer) failUnsent(q *partition, err error) int {
	n := 0
	for _, b := range p.removeUnsent(q) {
		n += b.pending
		p.drop(b, err)
	}
	return n
}

// failQueued fails what waits for the topic to be known.
func (p *Producer) failQueued(t *topic, err error) int {
	n := len(t.queued)
	for _, c := range t.queued {
		c.promise.fail(err)
		c.group.resolve()
		p.stats.Failed++
		p.quota.release(1, c.size)
	}
	t.queued = nil
	return n
}

// failWaiting fails everything that is not in a request right now: the cluster does not let us in, and no retry helps
// that.
func (p *Producer) failWaiting(err error) {
	for t := range p.unready {
		p.failQueued(t, err)
	}
	p.activate()
	for _, q := range p.active {
		p.failPartition(q, err)
	}
}

// failPartition fails everything of the partition but a batch that is in a request right now: its answer decides.
func (p *Producer) failPartition(q *partition, err error) {
	p.failUnsent(q, err)
	if q.flight != nil && !q.busy {
		p.failFlight(q, err)
	}
}

// drop fails a batch that has left its partition and gives back what it held.
func (p *Producer) drop(b *batch, err error) {
	n := len(b.promises)
	p.fail(b, err)
	p.quota.release(n, b.bytes)
}

// fail resolves the open promises of a batch.
func (p *Producer) fail(b *batch, err error) {
	for i, promise := range b.promises {
		if promise != nil {
			promise.fail(err)
			b.promises[i] = nil
		}
	}
	p.stats.Failed += uint64(b.pending)
	b.resolved(b.pending)
}
