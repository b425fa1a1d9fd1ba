package produce

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// bufferQuota counts what the producer holds against its bounds, and lets in those who wait, first come first served: a
// large record at the head holds back the small ones behind it, else it would never get in.
type bufferQuota struct {
	maxRecords, maxBytes int64
	waiting              []*waiter // guarded by Producer.mu

	_              [64]byte // every record changes the counts: nothing else shall lie in their cache line
	records, bytes atomic.Int64
	hasWaiters     atomic.Bool // somebody waits
	_              [64]byte
}

// waiter is a Produce that found no free quota. Whoever lets it in has already counted its record.
type waiter struct {
	size  int64
	ready chan struct{} // closed once in or refused
	in    bool
}

// reserve counts a record, if it fits and nobody waits. It needs no lock. Where it fails, the caller has to call
// admit: while its record was counted, one that waits and fits may have been held back.
func (r *bufferQuota) reserve(size int64) bool { return !r.hasWaiters.Load() && r.count(size) }

// count counts a record, if it fits. One that is larger than the whole quota gets in when nothing else is there.
func (r *bufferQuota) count(size int64) bool {
	records, bytes := r.records.Add(1), r.bytes.Add(size)
	if records == 1 || records <= r.maxRecords && bytes <= r.maxBytes {
		return true
	}
	r.records.Add(-1)
	r.bytes.Add(-size)
	return false
}

// release gives back what records held, and lets in who fits now. It is called with Producer.mu held, as is admit.
func (r *bufferQuota) release(records int, bytes int64) {
	r.records.Add(-int64(records))
	r.bytes.Add(-bytes)
	r.admit()
}

func (r *bufferQuota) admit() {
	n := 0
	for n < len(r.waiting) && r.count(r.waiting[n].size) {
		w := r.waiting[n]
		w.in = true
		close(w.ready)
		n++
	}
	r.setWaiting(slices.Delete(r.waiting, 0, n))
}

func (r *bufferQuota) setWaiting(waiting []*waiter) {
	r.waiting = waiting
	r.hasWaiters.Store(len(waiting) > 0)
}

// refuse sends everybody away: the producer closes.
func (r *bufferQuota) refuse() {
	for _, w := range r.waiting {
		close(w.ready)
	}
	r.setWaiting(nil)
}

// reserve reserves quota for one record, waiting for it until ctx ends or the record's deadline comes. It
// is called with mu held and returns with mu held; in between it may have been released.
func (p *Producer) reserve(ctx context.Context, r *Record, size int64, reserved bool) error {
	if p.closing.Load() {
		if reserved {
			p.quota.release(1, size)
		}
		return fmt.Errorf("produce: to %q: %w", r.Topic, kafka.ErrClosed)
	}
	if reserved {
		return nil
	}
	p.quota.admit()
	if p.quota.reserve(size) {
		return nil
	}
	w := &waiter{size: size, ready: make(chan struct{})}
	p.quota.setWaiting(append(p.quota.waiting, w))
	p.signal() // what lingers goes now
	p.mu.Unlock()
	var deadline <-chan time.Time
	if !r.Deadline.IsZero() {
		timer := time.NewTimer(time.Until(r.Deadline))
		defer timer.Stop()
		deadline = timer.C
	}
	select {
	case <-w.ready:
	case <-deadline:
	case <-ctx.Done():
	}
	p.mu.Lock()
	switch {
	case w.in && !p.closing.Load():
		return nil
	case w.in:
		p.quota.release(1, size)
	}
	if p.closing.Load() {
		return fmt.Errorf("produce: to %q: %w", r.Topic, kafka.ErrClosed)
	}
	p.quota.setWaiting(slices.DeleteFunc(p.quota.waiting, func(o *waiter) bool { return o == w }))
	p.quota.admit() // it may have held back smaller ones
	why := ErrTimeout
	if ctx.Err() != nil {
		why = ended(ctx)
	}
	return fmt.Errorf("produce: to %q: not sent, the buffer is full (%d records, %d bytes wait for the broker)%s: %w",
		r.Topic, p.quota.records.Load(), p.quota.bytes.Load(), p.oldestFault.because(), why)
}
