package lanes

import (
	"sync"
	"sync/atomic"
	"time"
)

// lane is a queue of work. Its items are handled one after another by one worker at a time, but for Unordered, where as
// many workers as there are take from it.
type lane[T any] struct {
	load atomic.Int64 // items of the queue, those of the work that is being done included

	// holding counts held, so that a worker need not lock to see that no key is held back.
	holding atomic.Int64

	mu      sync.Mutex
	queue   fifo[*work[T]]
	due     fifo[*waiting[T]]          // whose time has come
	blocked bool                       // ByPartition: an item waits, and holds back the queue
	held    map[heldKey[T]]*waiting[T] // ByKey: keys that an item which waits, or is due, holds back
	// a worker will look at it: it waits in Pool.ready, or is served by a worker that looks at it again
	active bool

	batches *batches[T] // nil in a pool without batches; in place of queue and due
}

// work is the items of a run that go through one lane.
type work[T any] struct {
	part    *Partition[T]
	run     *run[T]
	indexes []int32      // of the items in the run; nil = all of them
	claimed atomic.Int64 // items from the beginning that are finished, or in a worker's hands
}

func (w *work[T]) len() int {
	if w.indexes == nil {
		return len(w.run.items)
	}
	return len(w.indexes)
}

// push appends work and reports whether the lane has to be woken.
func (l *lane[T]) push(w *work[T]) bool {
	l.load.Add(int64(w.len()))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue.push(w)
	if l.active || l.blocked {
		return false
	}
	l.active = true
	return true
}

// drop removes what the lane has of a partition, and returns the items whose time has come.
func (l *lane[T]) drop(x *Partition[T]) (due []itemOf[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.batches != nil {
		return l.batches.drop()
	}
	l.due.drop(func(w *waiting[T]) bool {
		if w.part != x {
			return false
		}
		due = append(due, w.itemOf)
		return true
	})
	for key := range l.held {
		if key.part == x {
			delete(l.held, key)
		}
	}
	l.holding.Store(int64(len(l.held)))
	l.queue.drop(func(w *work[T]) bool {
		if w.part != x {
			return false
		}
		l.load.Add(-int64(w.len()))
		return true
	})
	return due
}

// front returns what a worker has to do next: an item whose time has come, which it takes, or the oldest work that
// has unclaimed items. When there is neither the lane is no longer active.
func (l *lane[T]) front() (*waiting[T], *work[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.due.len() > 0 {
		return l.due.pop(), nil
	}
	return nil, l.frontLocked()
}

// more reports whether another worker finds something to do. When there is nothing the lane is no longer active.
func (l *lane[T]) more() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.due.len() > 0 || l.frontLocked() != nil
}

func (l *lane[T]) frontLocked() *work[T] {
	for !l.blocked && l.queue.len() > 0 {
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
	if l.batches != nil {
		return p.serveBatch(l)
	}
	due, w := l.front()
	var part *Partition[T]
	switch {
	case due != nil:
		part = due.part
	case w != nil:
		part = w.part
	default:
		return false
	}
	if !part.enter() {
		if due != nil {
			part.dropDue(due.itemOf)
		}
		return true // it has just ended: its work is dropped
	}
	defer part.leave()
	began, turn := time.Now(), p.turn.Load()
	defer func() { p.setTurn(turn, time.Since(began)) }()
	switch {
	case p.opts.Mode == Unordered:
		p.serveShared(l, due, w, turn)
		return false
	case due != nil:
		p.serveDue(l, due, turn)
		return true
	}
	// The worker has the lane, and the work at its front, for itself.
	from, more := int(w.claimed.Load()), true
	to := min(w.len(), from+int(turn))
	for from < to && more {
		from, more = part.handle(l, w, from, min(to, from+p.stride.items))
	}
	w.claimed.Store(int64(from))
	return true
}

// serveShared claims items one by one, while other workers do the same.
func (p *Pool[T]) serveShared(l *lane[T], due *waiting[T], w *work[T], turn int64) {
	if due != nil {
		if l.more() {
			p.wake(l)
		}
		due.part.handleDue(l, due)
		return
	}
	size := int64(w.len())
	for n := range turn {
		i := w.claimed.Add(1) - 1
		if n == 0 && l.more() {
			p.wake(l) // there is more than this worker has in its hands: another one looks at the lane now
		}
		if i >= size {
			break
		}
		if _, more := w.part.handle(l, w, int(i), int(i)+1); !more {
			break
		}
	}
}

// serveDue handles an item whose time has come, and then those that waited behind it for their key. The worker has
// the lane for itself.
func (p *Pool[T]) serveDue(l *lane[T], w *waiting[T], turn int64) {
	for range turn {
		if !w.part.handleDue(l, w) || !l.next(w) {
			return
		}
	}
	l.wakeFor(w) // others have their turn; the lane is active, and will be served again
}

// setTurn sets the length of the next turns, after one that took so long.
func (p *Pool[T]) setTurn(turn int64, took time.Duration) {
	next := min(2*turn, longTurn)
	if took > slowTurn {
		next = 1
	}
	if next != turn {
		p.turn.Store(next)
	}
}
