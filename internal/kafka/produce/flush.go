package produce

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// flushEpoch counts the batches begun between two calls of Flush that have open promises, and the queued record, so
// that what Flush waits for is a handful of counters however many records there are. A record counts for the group
// of its batch, which may be older than the record: Flush does not cut batches short, and many concurrent calls of
// it do not make them small.
type flushEpoch struct {
	number  uint64       // rising
	pending atomic.Int64 // one more until the group has ended
	ended   atomic.Bool  // no more batches begin in it, but of what was queued or in a batch of it
	done    chan struct{}
}

func newGroup(number uint64) *flushEpoch {
	g := &flushEpoch{number: number, done: make(chan struct{})}
	g.pending.Store(1)
	return g
}

// resolve counts one batch or queued record of the group as resolved, or its end.
func (g *flushEpoch) resolve() {
	if g.pending.Add(-1) == 0 {
		close(g.done)
	}
}

// opened is what changes with each batch that is opened.
type opened struct {
	mu         sync.Mutex    // held for a moment only
	group      *flushEpoch   // of the batches opened now
	groups     []*flushEpoch // ended by Flush, with open promises
	partitions []*partition  // those of the batches opened since the sender has looked
	wakes      time.Time     // when the sender looks again by itself
}

// join returns the group of now, which counts a queued record more, that is left in the partition q if it is not
// nil. Once the Producer closes it returns nil.
func (p *Producer) join(q *partition) *flushEpoch {
	o := &p.opened
	o.mu.Lock()
	defer o.mu.Unlock()
	if p.closing.Load() {
		return nil
	}
	if q != nil {
		o.partitions = append(o.partitions, q)
	}
	o.group.pending.Add(1)
	return o.group
}

// openBatch opens a batch of group g for a partition; nil is the group of now, in which none is opened, and nil
// returned, once the Producer closes. It is called with the partition's mutex held.
func (p *Producer) openBatch(q *partition, g *flushEpoch) *batch {
	m := p.stores.Get().(*store)
	m.builder.Reset()
	b := &batch{store: m, promises: m.promises[:0], contexts: m.contexts[:0], group: g, createdAt: time.Now()}
	o := &p.opened
	o.mu.Lock()
	defer o.mu.Unlock()
	if g == nil {
		if p.closing.Load() {
			return nil
		}
		b.group = o.group
	}
	b.group.pending.Add(1)
	o.partitions = append(o.partitions, q)
	if b.group.ended.Load() || p.closing.Load() || p.quota.hasWaiters.Load() ||
		b.createdAt.Add(min(p.linger, sweepInterval)).Before(o.wakes) {
		p.signal()
	}
	return b
}

// activate lists the partitions of the batches opened since the last call in active. It is called with mu held.
func (p *Producer) activate() {
	o := &p.opened
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, q := range o.partitions {
		if !q.active {
			q.active = true
			p.active = append(p.active, q)
		}
	}
	clear(o.partitions)
	o.partitions = o.partitions[:0]
}

// endGroup makes everything produced so far due at once and returns the groups that still have open promises.
func (p *Producer) endGroup() []*flushEpoch {
	o := &p.opened
	o.mu.Lock()
	defer o.mu.Unlock()
	o.groups = slices.DeleteFunc(o.groups, func(g *flushEpoch) bool { return g.pending.Load() == 0 })
	if g := o.group; g.pending.Load() > 1 {
		g.ended.Store(true)
		o.groups = append(o.groups, g)
		o.group = newGroup(g.number + 1)
		g.resolve()
		p.signal()
	}
	return slices.Clone(o.groups)
}

// Flush sends what lingers and waits until every record produced before it has its outcome, whichever it is. It returns
// the error of ctx when that ends first; the records go on. Safe for concurrent use.
func (p *Producer) Flush(ctx context.Context) error {
	for _, g := range p.endGroup() {
		select {
		case <-g.done:
		case <-ctx.Done():
			p.mu.Lock()
			defer p.mu.Unlock()
			return fmt.Errorf("produce: flush: %d records still wait%s: %w", p.quota.records.Load(),
				p.oldestFault.because(), ended(ctx))
		}
	}
	return nil
}

// SendNow makes everything produced so far due at once, as if it had been urgent. It does not wait. Safe for concurrent
// use.
func (p *Producer) SendNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.activate()
	for _, q := range p.active {
		if b, _ := p.waiting(q); b != nil {
			b.urgent.Store(true)
		}
	}
	for t := range p.unready {
		for _, c := range t.queued {
			c.urgent = true
		}
	}
	p.signal()
}

// closeReserve is how long Close waits, past its deadline, for its goroutines to notice that it is over.
const closeReserve = 40 * time.Millisecond

// Close takes no more records ([kafka.ErrClosed]), sends what it holds until ctx ends, and fails the rest: the error
// says how many, and of how many it is not known whether the broker has them. It returns by the deadline of ctx (plus
// 50 ms at most), also when a broker hangs, and leaves no goroutine. It may be called again, and concurrently: the call
// whose context ends first ends the wait of all.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
	p.opened.mu.Lock()
	p.closing.Store(true)
	p.opened.mu.Unlock()
	p.quota.refuse()
	p.signal()
	p.mu.Unlock()

	_ = p.Flush(ctx) // what is left is counted below
	p.cancel(fmt.Errorf("produce: %w", kafka.ErrClosed))
	p.watch.Close()
	p.failPending()
	timer := time.NewTimer(closeReserve)
	defer timer.Stop()
	select {
	case <-p.stopped:
	case <-timer.C:
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.undelivered == 0 {
		return nil
	}
	err := fmt.Errorf("produce: close: %d records were not delivered, of %d of them it is not known whether the broker "+
		"has them%s",
		p.undelivered, p.unknown, p.oldestFault.because())
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", err, ended(ctx))
	}
	return err
}

// failPending fails everything that is still held, once the producer's own context has ended: nothing is added any
// more. It is Close that calls it, not the sender, as a logger that blocks could hold that up.
func (p *Producer) failPending() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.activate()
	for _, q := range p.active {
		if b := q.flight; b != nil {
			p.unknown += b.pending
			p.undelivered += b.pending
			p.drop(b, fmt.Errorf("produce: to %q: %w before %s answered, %w%s",
				q.topic.name, kafka.ErrClosed, p.brokerName(q.leader), ErrUnacknowledged, p.why(q)))
			q.flight = nil
		}
		p.undelivered += p.failUnsent(q, fmt.Errorf("produce: to %q: %w before the record was sent%s", q.topic.name,
			kafka.ErrClosed, p.why(q)))
		q.active = false
	}
	p.active = nil
	for t := range p.unready {
		p.undelivered += p.failQueued(t, fmt.Errorf("produce: to %q: %w before the topic was ready%s", t.name,
			kafka.ErrClosed, p.whyUnready(t)))
	}
}
