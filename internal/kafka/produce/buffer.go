package produce

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// room counts what the producer holds against its bounds, and lets in those who wait, first come first served: a
// large record at the head holds back the small ones behind it, else it would never get in.
type room struct {
	maxRecords, maxBytes int64
	waiting              []*waiter // guarded by Producer.mu

	_              [64]byte // every record changes the counts: nothing else shall lie in their cache line
	records, bytes atomic.Int64
	full           atomic.Bool // somebody waits
	_              [64]byte
}

// waiter is a Produce that found no room. Whoever lets it in has already counted its record.
type waiter struct {
	size  int64
	ready chan struct{} // closed once in or refused
	in    bool
}

// take counts a record, if it fits and nobody waits. It needs no lock. Where it fails, the caller has to call
// admit: while its record was counted, one that waits and fits may have been held back.
func (r *room) take(size int64) bool { return !r.full.Load() && r.count(size) }

// count counts a record, if it fits. One that is larger than all of the room gets in when nothing else is there.
func (r *room) count(size int64) bool {
	records, bytes := r.records.Add(1), r.bytes.Add(size)
	if records == 1 || records <= r.maxRecords && bytes <= r.maxBytes {
		return true
	}
	r.records.Add(-1)
	r.bytes.Add(-size)
	return false
}

// release gives back what records held, and lets in who fits now. It is called with Producer.mu held, as is admit.
func (r *room) release(records int, bytes int64) {
	r.records.Add(-int64(records))
	r.bytes.Add(-bytes)
	r.admit()
}

func (r *room) admit() {
	n := 0
	for n < len(r.waiting) && r.count(r.waiting[n].size) {
		w := r.waiting[n]
		w.in = true
		close(w.ready)
		n++
	}
	r.setWaiting(slices.Delete(r.waiting, 0, n))
}

func (r *room) setWaiting(waiting []*waiter) {
	r.waiting = waiting
	r.full.Store(len(waiting) > 0)
}

// refuse sends everybody away: the producer closes.
func (r *room) refuse() {
	for _, w := range r.waiting {
		close(w.ready)
	}
	r.setWaiting(nil)
}

// reserve takes room for one record that has none, waiting for it until ctx ends or the record's deadline comes. It
// is called with mu held and returns with mu held; in between it may have been released.
func (p *Producer) reserve(ctx context.Context, r *Record, size int64, reserved bool) error {
	if p.closing.Load() {
		if reserved {
			p.room.release(1, size)
		}
		return fmt.Errorf("produce: to %q: %w", r.Topic, kafka.ErrClosed)
	}
	if reserved {
		return nil
	}
	p.room.admit()
	if p.room.take(size) {
		return nil
	}
	w := &waiter{size: size, ready: make(chan struct{})}
	p.room.setWaiting(append(p.room.waiting, w))
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
		p.room.release(1, size)
	}
	if p.closing.Load() {
		return fmt.Errorf("produce: to %q: %w", r.Topic, kafka.ErrClosed)
	}
	p.room.setWaiting(slices.DeleteFunc(p.room.waiting, func(o *waiter) bool { return o == w }))
	p.room.admit() // it may have held back smaller ones
	why := ErrTimeout
	if ctx.Err() != nil {
		why = ended(ctx)
	}
	return fmt.Errorf("produce: to %q: not sent, the buffer is full (%d records, %d bytes wait for the broker)%s: %w",
		r.Topic, p.room.records.Load(), p.room.bytes.Load(), p.oldestFault.because(), why)
}
