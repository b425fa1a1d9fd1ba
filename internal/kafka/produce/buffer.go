package produce

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// room counts what the producer holds against its bounds, and lets in those who wait, first come first served: a large record at the head
// holds back the small ones behind it, else it would never get in. Guarded by Producer.mu.
type room struct {
	records, maxRecords int
	bytes, maxBytes     int64
	waiting             []*waiter
}

// waiter is a Produce that found no room. Whoever lets it in has already counted its record.
type waiter struct {
	size  int64
	ready chan struct{} // closed once in or refused
	in    bool
}

// fits reports whether there is room for a record. One that is larger than all of the room gets in when nothing else
// is there.
func (r *room) fits(size int64) bool {
	return r.records == 0 || r.records < r.maxRecords && r.bytes+size <= r.maxBytes
}

func (r *room) take(size int64) {
	r.records++
	r.bytes += size
}

// release gives back what records held, and lets in who fits now.
func (r *room) release(records int, bytes int64) {
	r.records -= records
	r.bytes -= bytes
	r.admit()
}

func (r *room) admit() {
	n := 0
	for n < len(r.waiting) && r.fits(r.waiting[n].size) {
		w := r.waiting[n]
		r.take(w.size)
		w.in = true
		close(w.ready)
		n++
	}
	r.waiting = slices.Delete(r.waiting, 0, n)
}

// refuse sends everybody away: the producer closes.
func (r *room) refuse() {
	for _, w := range r.waiting {
		close(w.ready)
	}
	r.waiting = nil
}

// reserve takes room for one record, waiting for it until ctx ends or the record's deadline comes. It is called with
// mu held and returns with mu held; in between it may have been released.
func (p *Producer) reserve(ctx context.Context, r *Record, size int64) error {
	if p.closing {
		return fmt.Errorf("produce: to %q: %w", r.Topic, kafka.ErrClosed)
	}
	if len(p.room.waiting) == 0 && p.room.fits(size) {
		p.room.take(size)
		return nil
	}
	w := &waiter{size: size, ready: make(chan struct{})}
	p.room.waiting = append(p.room.waiting, w)
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
	case w.in && !p.closing:
		return nil
	case w.in:
		p.room.release(1, size)
	}
	if p.closing {
		return fmt.Errorf("produce: to %q: %w", r.Topic, kafka.ErrClosed)
	}
	p.room.waiting = slices.DeleteFunc(p.room.waiting, func(o *waiter) bool { return o == w })
	p.room.admit() // it may have held back smaller ones
	why := ErrTimeout
	if ctx.Err() != nil {
		why = ended(ctx)
	}
	return fmt.Errorf("produce: to %q: not sent, the buffer is full (%d records, %d bytes wait for the broker)%s: %w",
		r.Topic, p.room.records, p.room.bytes, p.oldestFault.because(), why)
}
