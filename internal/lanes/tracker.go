package lanes

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// tracker knows which items of a partition are unfinished, and so its watermark. It keeps runs with unfinished items
// only: a slow item keeps the items that came with it in memory, and none that came later. Guarded by Partition.mu,
// except run.finish.
type tracker[T any] struct {
	first, last *run[T] // oldest and newest
	next        int64   // the offset behind everything that was added
	begun       bool    // something was added, if only a next
}

// run is what one Add brought. Its items may finish in any order.
type run[T any] struct {
	before, after *run[T]
	items         []T
	arrived       time.Time // of a pool with batches
	done          []uint64  // a bit per item: finished
	left          int       // items whose end the tracker has not been told
}

// add appends a run; it returns nil when there are no items. next never falls.
func (t *tracker[T]) add(items []T, next int64) *run[T] {
	if !t.begun || next > t.next {
		t.next, t.begun = next, true
	}
	if len(items) == 0 {
		return nil
	}
	r := &run[T]{before: t.last, items: items, done: make([]uint64, (len(items)+63)/64), left: len(items)}
	if t.last == nil {
		t.first = r
	} else {
		t.last.after = r
	}
	t.last = r
	return r
}

// finish marks item i as finished; the watermark knows at once. It may be called at any time, once for an item.
func (r *run[T]) finish(i int) { atomic.OrUint64(&r.done[i/64], 1<<(i%64)) }

// release tells the tracker of n finished items, which lets go of a run that is finished.
func (t *tracker[T]) release(r *run[T], n int) {
	if r.left -= n; r.left > 0 {
		return
	}
	if r.before == nil {
		t.first = r.after
	} else {
		r.before.after = r.after
	}
	if r.after == nil {
		t.last = r.before
	} else {
		r.after.before = r.before
	}
	r.before, r.after = nil, nil
}

// oldest returns the unfinished item with the lowest offset, nil when all are finished.
func (t *tracker[T]) oldest() *T {
	for r := t.first; r != nil; r = r.after {
		for word := range r.done {
			// The bits behind the last item are never set: they look like items that are unfinished.
			if i := word*64 + bits.TrailingZeros64(^atomic.LoadUint64(&r.done[word])); i < min(word*64+64, len(r.items)) {
				return &r.items[i]
			}
		}
	}
	return nil
}

// oldestWithout returns the unfinished item with the lowest offset, without those for which own returns true; nil when
// there is none.
func (t *tracker[T]) oldestWithout(own func(*T) bool) *T {
	for r := t.first; r != nil; r = r.after {
		for i := range r.items {
			open := atomic.LoadUint64(&r.done[i/64])&(1<<(i%64)) == 0
			if open && !own(&r.items[i]) {
				return &r.items[i]
			}
		}
	}
	return nil
}

// held counts the unfinished items and their bytes.
func (t *tracker[T]) held(size func(*T) int) (items int, bytes int64) {
	for r := t.first; r != nil; r = r.after {
		for word := range r.done {
			for open := ^atomic.LoadUint64(&r.done[word]); open != 0; open &= open - 1 {
				i := word*64 + bits.TrailingZeros64(open)
				if i >= len(r.items) {
					break
				}
				items++
				bytes += int64(size(&r.items[i]))
			}
		}
	}
	return items, bytes
}
