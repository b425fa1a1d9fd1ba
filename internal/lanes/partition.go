package lanes

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Partition is a partition while it is ours. All methods may be called at any time from any goroutine, but for Add,
// which has one caller at a time.
type Partition[T any] struct {
	pool   *Pool[T]
	ctx    context.Context
	report func(full bool)
	lanes  []*lane[T]
	idle   chan struct{}
	ended  atomic.Bool // nothing further begins; set under mu

	mu        sync.Mutex // taken before those of lanes, and of the pool
	tracker   tracker[T]
	items     int   // held, as far as they have not been released
	bytes     int64 // of them
	running   int   // workers at it
	stopped   bool
	full      atomic.Bool              // changed under mu
	reported  bool                     // what report was called with last
	reporting bool                     // somebody calls report
	waiting   map[*waiting[T]]struct{} // items with a timer
	dropped   []itemOf[T]              // of which Dropped is to be told

	inBatches atomic.Int64 // items in the hands of DoBatch
}

// Add takes the items of a run, in the order of their offsets and behind all that were added before. They are the
// pool's until they are finished, and must not be changed. next is the offset behind them; without items only that
// moves. Add never blocks. It does nothing, and says so, when the partition has ended, by Stop or by a handler.
func (x *Partition[T]) Add(items []T, next int64) (added bool) {
	var bytes int64
	for i := range items {
		bytes += int64(x.pool.opts.Size(&items[i]))
	}
	shares := x.pool.share(x.lanes, items)

	x.mu.Lock()
	defer x.unlock()
	if x.ended.Load() {
		return false
	}
	r := x.tracker.add(items, next)
	if r == nil {
		return true
	}
	x.items += len(items)
	x.bytes += bytes
	if x.items > x.pool.opts.PartitionItems || x.bytes > x.pool.opts.PartitionBytes {
		x.full.Store(true)
	}
	if x.pool.opts.DoBatch != nil {
		r.arrived = time.Now()
		x.addToBatches(r, shares)
		return true
	}
	if shares == nil {
		x.push(x.lanes[0], &work[T]{part: x, run: r})
		return true
	}
	for i, indexes := range shares {
		if len(indexes) > 0 {
			x.push(x.lanes[i], &work[T]{part: x, run: r, indexes: indexes})
		}
	}
	return true
}

func (x *Partition[T]) push(l *lane[T], w *work[T]) {
	if l.push(w) {
		x.pool.wake(l)
	}
}

// Mark returns the watermark: the lowest offset that is not finished, or the last next when all are. It never falls. It
// is false before the first Add.
func (x *Partition[T]) Mark() (offset int64, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if item := x.tracker.oldest(); item != nil {
		return x.pool.opts.Offset(item), true
	}
	return x.tracker.next, x.tracker.begun
}

// Oldest returns the item at the watermark; false when everything is finished.
func (x *Partition[T]) Oldest() (item T, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if oldest := x.tracker.oldest(); oldest != nil {
		return *oldest, true
	}
	return item, false
}

// MarkWithout is Mark as if the items that own tells of were finished.
func (x *Partition[T]) MarkWithout(own func(*T) bool) (offset int64, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if item := x.tracker.oldestWithout(own); item != nil {
		return x.pool.opts.Offset(item), true
	}
	return x.tracker.next, x.tracker.begun
}

// Handling returns how many items are in the hands of handlers: with batches more than there are handlers that run.
func (x *Partition[T]) Handling() int {
	if x.pool.opts.DoBatch != nil {
		return int(x.inBatches.Load())
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.running
}

// Held returns how many items are not finished, their bytes, and how many handlers run. What a partition has dropped at
// its end is not finished. It goes through all that is held: something to ask every second, not for every item.
func (x *Partition[T]) Held() (items int, bytes int64, running int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	items, bytes = x.tracker.held(x.pool.opts.Size)
	return items, bytes, x.running
}

// Stop ends the partition: what waits is dropped and stays unfinished, handlers that run go on, until their context
// ends. A partition may be stopped more than once.
func (x *Partition[T]) Stop() {
	x.mu.Lock()
	defer x.unlock()
	x.end()
	if !x.stopped {
		x.stopped = true
		x.rest()
	}
}

// Idle returns a channel that is closed once the partition has been stopped and none of its handlers runs.
func (x *Partition[T]) Idle() <-chan struct{} { return x.idle }

// end lets nothing further begin. x.mu is held.
func (x *Partition[T]) end() {
	if x.ended.Swap(true) {
		return
	}
	for w := range x.waiting {
		w.timer.Stop()
		x.dropLocked(w.itemOf)
	}
	x.waiting = nil
	for _, l := range x.lanes {
		for _, i := range l.drop(x) {
			x.dropLocked(i)
		}
	}
}

// dropLocked lets go of an item that waits, when its partition has ended.
func (x *Partition[T]) dropLocked(i itemOf[T]) {
	if i.retry == nil {
		return // it is the next of a key, and has not begun
	}
	if idle := x.stopped && x.running == 0; idle || !i.retry.Finish {
		x.dropped = append(x.dropped, i)
		return
	}
	x.running++
	x.pool.running.Add(1)
	x.pool.workers.Go(func() { x.finish(i) })
}

// finish calls Do a last time for an item whose partition has ended.
func (x *Partition[T]) finish(i itemOf[T]) {
	defer x.leave()
	switch done, retry := x.pool.do(x.ctx, i); {
	case done:
		x.finishWaiting(i)
	case retry != nil:
		x.pool.opts.Dropped(x.ctx, i.item(), retry)
	}
}

// finishWaiting marks an item that has waited as finished.
func (x *Partition[T]) finishWaiting(i itemOf[T]) {
	i.run.finish(i.index)
	x.release(i.run, 1, int64(x.pool.opts.Size(i.item())), false)
}

// dropDue lets go of an item whose time has come after its partition had ended.
func (x *Partition[T]) dropDue(i itemOf[T]) {
	x.mu.Lock()
	defer x.unlock()
	x.dropLocked(i)
}

// rest tells who waits for Idle. x.mu is held.
func (x *Partition[T]) rest() {
	if x.stopped && x.running == 0 {
		close(x.idle)
	}
}

// enter makes the caller a worker of the partition, unless that has ended.
func (x *Partition[T]) enter() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended.Load() {
		return false
	}
	x.running++
	x.pool.running.Add(1)
	return true
}

// leave takes back an enter that was true.
func (x *Partition[T]) leave() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.pool.running.Add(-1)
	x.running--
	x.rest()
}

// handle works on the items of w from one place to before another, no more bytes than a stride. It returns the place
// it has come to, and whether the next item may begin: it may not when the partition has ended, or when an item waits
// that holds it back.
func (x *Partition[T]) handle(l *lane[T], w *work[T], from, to int) (at int, more bool) {
	o, finished, bytes := &x.pool.opts, 0, int64(0)
	at, more = from, true
	failed := false
	for at < to && bytes < x.pool.stride.bytes && more {
		i := at
		if w.indexes != nil {
			i = int(w.indexes[i])
		}
		at++
		if l.queueBehind(x, w.run, i) {
			continue
		}
		// Only now: a partition that ends lets go of the keys that its waiting items hold back.
		if x.ended.Load() {
			more = false
			break
		}
		item := &w.run.items[i]
		done, retry := o.Do(x.ctx, item, nil)
		switch {
		case done:
			w.run.finish(i)
			bytes += int64(o.Size(item))
			finished++
		case retry != nil:
			more = x.park(l, x.newWaiting(w.run, i), retry) && o.Mode != ByPartition
		default:
			failed, more = true, false
		}
	}
	if finished > 0 || failed {
		x.release(w.run, finished, bytes, failed)
	}
	return at, more
}

func (x *Partition[T]) newWaiting(r *run[T], index int) *waiting[T] {
	w := &waiting[T]{part: x, itemOf: itemOf[T]{run: r, index: index}}
	if x.pool.opts.Mode == ByKey {
		if key := x.pool.opts.Key(w.item()); key != nil {
			w.key, w.keyed = string(key), true
		}
	}
	return w
}

// handleDue handles an item whose time has come, or one that waited behind it; it reports whether it is finished.
func (x *Partition[T]) handleDue(l *lane[T], w *waiting[T]) bool {
	if x.ended.Load() {
		x.dropDue(w.itemOf)
		return false
	}
	done, retry := x.pool.opts.Do(x.ctx, w.item(), w.retry)
	switch {
	case done:
		x.finishWaiting(w.itemOf)
	case retry != nil:
		x.park(l, w, retry)
	default:
		x.release(w.run, 0, 0, true)
	}
	return done
}

// release gives back the room of n finished items of a run. failed says that another one remains unfinished.
func (x *Partition[T]) release(r *run[T], n int, bytes int64, failed bool) {
	x.mu.Lock()
	defer x.unlock()
	if failed {
		x.end()
	}
	x.tracker.release(r, n)
	x.items -= n
	x.bytes -= bytes
	if x.full.Load() && x.items <= x.pool.opts.PartitionItems/2 && x.bytes <= x.pool.opts.PartitionBytes/2 {
		x.full.Store(false)
	}
}

// unlock unlocks x.mu, and reports first when the partition has become full or is no longer. Whoever reports does it
// for all who change full meanwhile: so reports come in order, the last one is true, and no lock is held. Then it
// tells of the items that have been dropped.
func (x *Partition[T]) unlock() {
	for !x.reporting && x.full.Load() != x.reported && !x.ended.Load() {
		full := x.full.Load()
		x.reported, x.reporting = full, true
		x.mu.Unlock()
		x.report(full)
		x.mu.Lock()
		x.reporting = false
	}
	dropped := x.dropped
	x.dropped = nil
	x.mu.Unlock()
	for _, i := range dropped {
		x.pool.opts.Dropped(x.ctx, i.item(), i.retry)
	}
}
