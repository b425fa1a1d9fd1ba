package lanes

import (
	"sync"
	"sync/atomic"
	"time"
)

// lane is a queue of work. Its items are handled one after another by one worker at a time, but for Unordered, where as many workers as
// there are take from it.
type lane[T any] struct {
	load atomic.Int64 // items of the queue, those of the work that is being done included

	mu     sync.Mutex
	queue  fifo[*work[T]]
	active bool // a worker will look at it: it waits in Pool.ready, or is served by a worker that looks at it again
}

// work is the items of a run that go through one lane.
type work[T any] struct {
	part    *Partition[T]
	run     *run[T]
	places  []int32      // of the items in the run; nil = all of them
	claimed atomic.Int64 // items from the beginning that are finished, or in a worker's hands
}

func (w *work[T]) len() int {
	if w.places == nil {
		return len(w.run.items)
	}
	return len(w.places)
}

// push appends work and reports whether the lane has to be woken.
func (l *lane[T]) push(w *work[T]) bool {
	l.load.Add(int64(w.len()))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue.push(w)
	wake := !l.active
	l.active = true
	return wake
}

// drop removes what waits of a partition.
func (l *lane[T]) drop(x *Partition[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue.drop(func(w *work[T]) bool {
		if w.part != x {
			return false
		}
		l.load.Add(-int64(w.len()))
		return true
	})
}

// front returns the oldest work that has unclaimed items, nil when there is none: then the lane is no longer active.
func (l *lane[T]) front() *work[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.queue.len() > 0 {
		w := l.queue.front()
		if w.claimed.Load() < int64(w.len()) {
			return w
		}
		l.load.Add(-int64(w.len()))
		l.queue.pop()
	}
	l.active = false
	return nil
}

// serve gives a lane a turn and reports whether it is for this worker to have it served again.
func (p *Pool[T]) serve(l *lane[T]) bool {
	w := l.front()
	if w == nil {
		return false
	}
	if !w.part.enter() {
		return true // it has just ended: its work is dropped
	}
	defer w.part.leave()
	began, turn := time.Now(), p.turn.Load()
	defer func() { p.pace(turn, time.Since(began)) }()
	if p.opts.Mode == Unordered {
		p.serveShared(l, w, turn)
		return false
	}
	// The worker has the lane, and the work at its front, for itself.
	from := int(w.claimed.Load())
	to := min(w.len(), from+int(turn))
	for from < to {
		n := w.part.handle(w, from, min(to, from+p.stride.items))
		if n == 0 {
			break
		}
		from += n
	}
	w.claimed.Store(int64(from))
	return true
}

// serveShared claims items one by one, while other workers do the same.
func (p *Pool[T]) serveShared(l *lane[T], w *work[T], turn int64) {
	size := int64(w.len())
	for n := range turn {
		i := w.claimed.Add(1) - 1
		if n == 0 && l.front() != nil {
			p.wake(l) // there is more than this worker has in its hands: another one looks at the lane now
		}
		if i >= size || w.part.handle(w, int(i), int(i)+1) == 0 {
			break
		}
	}
}

// pace sets the length of the next turns, after one that took so long.
func (p *Pool[T]) pace(turn int64, took time.Duration) {
	next := min(2*turn, longTurn)
	if took > slowTurn {
		next = 1
	}
	if next != turn {
		p.turn.Store(next)
	}
}
