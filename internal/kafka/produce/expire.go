package produce

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// sweepInterval is how soon the end of a record's context is noticed while the record waits.
const sweepInterval = 100 * time.Millisecond

// minSweepInterval is the least time between two sweeps: each of them costs a look at every batch.
const minSweepInterval = 10 * time.Millisecond

// ended returns why a context is over: its error, and its cause where that says more.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || cause == err {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// Expire resolves the promise of a record whose own context has ended, without waiting for the sender's next sweep. A
// caller whose wait for the promise has ended calls it.
func (p *Producer) Expire(promise *Promise) {
	for {
		p.mu.Lock()
		wait := minSweepInterval - time.Since(p.swept)
		if wait <= 0 {
			p.sweep()
		}
		p.mu.Unlock()
		if wait <= 0 {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-promise.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// ExpireNow resolves the promises of all records whose own context has ended.
func (p *Producer) ExpireNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
}

// sweep resolves the promises whose context or deadline is over.
func (p *Producer) sweep() {
	p.swept = time.Now()
	now := p.swept.Sub(p.started)
	for t := range p.unready {
		t.queued = slices.DeleteFunc(t.queued, func(c *queuedRecord) bool {
			why := c.promise.expired(now)
			if why == nil {
				return false
			}
			c.promise.fail(fmt.Errorf("produce: to %q: not sent, the topic is not ready%s: %w", t.name, p.whyUnready(t), why))
			c.group.resolve()
			p.stats.Failed++
			p.quota.release(1, c.size)
			return true
		})
		p.forget(t)
	}
	p.activate()
	for _, q := range p.active {
		if b := q.flight; b != nil {
			p.expire(q, b)
			if b.pending == 0 && !q.busy && q.leader < 0 {
				p.failFlight(q, kafka.CodeErr(unknownTopic)) // nobody waits for it, and there is nowhere to send it
			}
		}
		p.sweepUnsent(q)
	}
}

func (p *Producer) sweepUnsent(q *partition) {
	q.mu.Lock()
	defer p.unlock(q)
	for i := 0; i < len(q.queue); {
		if b := p.expireUnsent(q, q.queue[i]); b != nil {
			q.queue[i] = b
			i++
		} else {
			q.queue = slices.Delete(q.queue, i, i+1)
		}
	}
	if q.open != nil {
		q.setOpen(p.expireUnsent(q, q.open))
	}
}

// expire resolves the promises of a batch whose context or deadline is over. A batch that was sent keeps its records:
// the broker may have them, so it goes on until it is answered, and its sequence with it. Of one that was not sent
// the records are left out later.
func (p *Producer) expire(q *partition, b *batch) {
	now := time.Since(p.started)
	if !b.expires(now) {
		return
	}
	b.until = 0
	clear(b.contexts)
	b.contexts = b.contexts[:0]
	for i, promise := range b.promises {
		if promise == nil {
			continue
		}
		why := promise.expired(now)
		if why == nil {
			b.mayExpire(promise)
			continue
		}
		if b == q.flight {
			promise.fail(fmt.Errorf("produce: to %q, partition %d: no answer yet from %s, %w%s: %w",
				q.topic.name, q.id, p.brokerName(q.leader), ErrUnacknowledged, p.why(q), why))
		} else {
			promise.fail(fmt.Errorf("produce: to %q, partition %d: not sent%s: %w", q.topic.name, q.id, p.why(q), why))
		}
		b.promises[i] = nil
		b.resolved(1)
		p.stats.Failed++
	}
}

// expireUnsent is expire for a batch that was never sent. It returns the batch to go on with: the same, one without the
// dead records once they are the larger part (so that rebuilding costs little, however often contexts end), or nil when
// nothing is left.
func (p *Producer) expireUnsent(q *partition, b *batch) *batch {
	p.expire(q, b)
	if 2*b.pending > len(b.promises) {
		return b
	}
	return p.compact(q, b)
}

// compact returns the unsent batch without the records whose promise is resolved; nil when nothing is left.
func (p *Producer) compact(q *partition, b *batch) *batch {
	if b.pending == len(b.promises) {
		return b
	}
	if b.pending == 0 {
		p.quota.release(len(b.promises), b.bytes)
		return nil
	}
	n, bytes := len(b.promises), b.bytes
	records, err := b.records()
	if err != nil {
		p.drop(b, fmt.Errorf("produce: to %q: take expired records out of a batch: %w", q.topic.name, err))
		return nil
	}
	s := b.subset(records, 0, n, func(int) bool { return true })
	p.quota.release(n-len(s.promises), bytes-s.bytes)
	return s
}

// brokerName names a broker, with its address where that is known, for an error message.
func (p *Producer) brokerName(id int32) string {
	if id < 0 {
		return "the partition's leader"
	}
	if address := p.addresses[id]; address != "" {
		return fmt.Sprintf("broker %d at %s", id, address)
	}
	return fmt.Sprintf("broker %d", id)
}

// whyUnready is the reason a topic's records wait for it, for an error message.
func (p *Producer) whyUnready(t *topic) string {
	f := t.fault
	if f.err == nil {
		f.err = p.client.LastConnError()
	}
	return f.because()
}

// why is the reason a partition's records wait, for an error message.
func (p *Producer) why(q *partition) string {
	f := q.fault
	if br := p.brokers[q.leader]; br != nil {
		f = f.older(br.fault)
	}
	if f.err == nil {
		f = p.oldestFault
	}
	if f.err == nil {
		f.err = p.client.LastConnError()
	}
	return f.because()
}
