package produce

import (
	"context"
	"fmt"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// group counts the open promises of the batches begun between two calls of Flush, so that what Flush waits for is a handful of counters
// however many records there are. A record counts for the group of its batch, which may be older than the record: Flush does not cut
// batches short, and many concurrent calls of it do not make them small. Guarded by Producer.mu.
type group struct {
	number uint64 // rising
	live   int
	ended  bool          // no more batches begin in it
	done   chan struct{} // closed when ended and live is 0: no open batch is left either, so live stays 0
}

func newGroup(number uint64) *group { return &group{number: number, done: make(chan struct{})} }

// resolve counts n promises of the group as resolved.
func (g *group) resolve(n int) {
	if n == 0 {
		return
	}
	if g.live -= n; g.live == 0 && g.ended {
		close(g.done)
	}
}

// endGroup makes everything produced so far due at once and returns the groups that still have open promises.
func (p *Producer) endGroup() []*group {
	p.mu.Lock()
	defer p.mu.Unlock()
	open := p.groups[:0]
	for _, g := range p.groups {
		if g.live > 0 {
			open = append(open, g)
		}
	}
	clear(p.groups[len(open):])
	p.groups = open
	if p.group.live > 0 {
		p.group.ended = true
		p.groups = append(p.groups, p.group)
		p.group = newGroup(p.group.number + 1)
		p.signal()
	}
	return append([]*group(nil), p.groups...)
}

// Flush sends what lingers and waits until every record produced before it has its outcome, whichever it is. It returns the error of ctx
// when that ends first; the records go on. Safe for concurrent use.
func (p *Producer) Flush(ctx context.Context) error {
	for _, g := range p.endGroup() {
		select {
		case <-g.done:
		case <-ctx.Done():
			p.mu.Lock()
			defer p.mu.Unlock()
			return fmt.Errorf("produce: flush: %d records still wait%s: %w", p.room.records, p.oldestFault.because(), ended(ctx))
		}
	}
	return nil
}

// Hurry makes everything produced so far due at once, as if it had been urgent. It does not wait. Safe for concurrent use.
func (p *Producer) Hurry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.active {
		if q.open != nil {
			q.open.urgent = true
		}
	}
	for t := range p.unready {
		for i := range t.parked {
			t.parked[i].urgent = true
		}
	}
	p.signal()
}

// closeGrace is how long Close waits, past its deadline, for its goroutines to notice that it is over.
const closeGrace = 40 * time.Millisecond

// Close takes no more records ([kafka.ErrClosed]), sends what it holds until ctx ends, and fails the rest: the error says how many, and of how
// many it is not known whether the broker has them. It returns by the deadline of ctx (plus 50 ms at most), also when a broker hangs, and
// leaves no goroutine. It may be called again, and concurrently: the call whose context ends first ends the wait of all.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closing = true
	p.room.refuse()
	p.signal()
	p.mu.Unlock()

	_ = p.Flush(ctx) // what is left is counted below
	p.cancel(fmt.Errorf("produce: %w", kafka.ErrClosed))
	p.watch.Close()
	p.abandon()
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-p.stopped:
	case <-grace.C:
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.undelivered == 0 {
		return nil
	}
	err := fmt.Errorf("produce: close: %d records were not delivered, of %d of them it is not known whether the broker has them%s",
		p.undelivered, p.unknown, p.oldestFault.because())
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", err, ended(ctx))
	}
	return err
}

// abandon fails everything that is still held, once the producer's own context has ended: nothing is added any more. It is Close that calls
// it, not the sender, as a logger that blocks could hold that up.
func (p *Producer) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.active {
		if b := q.flight; b != nil {
			p.unknown += b.live
			p.undelivered += b.live
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
		p.undelivered += p.failParked(t, fmt.Errorf("produce: to %q: %w before the topic was ready%s", t.name, kafka.ErrClosed, p.whyUnready(t)))
	}
}
