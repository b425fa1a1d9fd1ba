package lanes

import "time"

// Retry is what Do returns of an item that is to be handled once more, later. Until then the item waits: it holds
// back what would have to wait for its handler too, and no worker.
type Retry struct {
	// At is when Do is to be called again. A time that has passed is due at once.
	At time.Time
	// State is the caller's: what it has to remember of the item until then.
	State any
	// Finish calls Do at once when the partition ends, instead of Dropped: what it waits for is under way, and may
	// finish the item. That call counts as one that runs.
	Finish bool
	// Alone has DoBatch called with this item alone. Other pools ignore it.
	Alone bool
}

// waiting is an item that waits for its time, or whose time has come and which waits for a worker.
type waiting[T any] struct {
	itemOf[T]
	part  *Partition[T]
	timer *time.Timer // guarded by part.mu
	key   string      // ByKey: what it holds back, if keyed
	keyed bool
	// behind are later items of the same key, which wait for this one. Guarded by the lane's mutex.
	behind fifo[itemOf[T]]
	// rest are the items behind it in a batch that wait together with it.
	rest []itemOf[T]
}

// itemOf is one item of a run.
type itemOf[T any] struct {
	run    *run[T]
	index  int
	retry  *Retry // what the last call of Do has returned for it; nil before the first
	handed bool   // it was part of a batch before
}

func (i itemOf[T]) item() *T { return &i.run.items[i.index] }

// heldKey names the items that a waiting one holds back with ByKey: those of its key in its partition.
type heldKey[T any] struct {
	part *Partition[T]
	key  string
}

// park lets an item wait until it is to be handled again; false says that its partition has ended, and the item with
// it.
func (x *Partition[T]) park(l *lane[T], w *waiting[T], retry *Retry) bool {
	x.mu.Lock()
	defer x.unlock()
	w.retry = retry
	if x.ended.Load() {
		x.dropLocked(w.itemOf)
		return false
	}
	if x.waiting == nil {
		x.waiting = make(map[*waiting[T]]struct{})
	}
	x.waiting[w] = struct{}{}
	l.hold(w)
	// The callback takes x.mu first, so that it sees the timer even if the time has come already.
	w.timer = time.AfterFunc(time.Until(retry.At), func() { x.due(l, w) })
	return true
}

// due hands a waiting item back to its lane. Its timer calls it.
func (x *Partition[T]) due(l *lane[T], w *waiting[T]) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.waiting[w]; !ok {
		return // the partition has ended meanwhile
	}
	delete(x.waiting, w)
	wake := l.wakeFor
	if l.batches != nil {
		wake = l.unpark
	}
	if wake(w) {
		x.pool.wake(l)
	}
}

// hold makes a waiting item hold back what has to wait for it.
func (l *lane[T]) hold(w *waiting[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case w.part.pool.opts.Mode == ByPartition:
		l.blocked = true
	case l.batches != nil:
		l.holdKeys(w)
	case w.keyed:
		l.holdKey(heldKey[T]{w.part, w.key}, w)
	}
}

func (l *lane[T]) holdKey(key heldKey[T], w *waiting[T]) {
	if l.held == nil {
		l.held = make(map[heldKey[T]]*waiting[T])
	}
	l.held[key] = w
	l.holding.Store(int64(len(l.held)))
}

// wakeFor queues an item whose time has come, and reports whether the lane has to be woken.
func (l *lane[T]) wakeFor(w *waiting[T]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.due.push(w)
	wake := !l.active
	l.active = true
	return wake
}

// queueBehind puts an item behind the waiting one of its key; false when none waits.
func (l *lane[T]) queueBehind(x *Partition[T], r *run[T], index int) bool {
	if l.holding.Load() == 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queueBehindLocked(x, itemOf[T]{run: r, index: index})
}

func (l *lane[T]) queueBehindLocked(x *Partition[T], i itemOf[T]) bool {
	if len(l.held) == 0 {
		return false
	}
	key := x.pool.opts.Key(i.item())
	if key == nil {
		return false
	}
	w := l.held[heldKey[T]{x, string(key)}]
	if w == nil {
		return false
	}
	w.behind.push(i)
	return true
}

// next makes w stand for the item behind it; false when there is none, and then nothing is held back any more.
func (l *lane[T]) next(w *waiting[T]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.behind.len() > 0 {
		w.itemOf = w.behind.pop()
		return true
	}
	l.blocked = false
	if w.keyed {
		delete(l.held, heldKey[T]{w.part, w.key})
		l.holding.Store(int64(len(l.held)))
	}
	return false
}
