package lanes

import (
	"context"
	"time"
)

// Batches says when the items that wait in a lane are handed to DoBatch: as soon as there are Max of them or they have
// Bytes, when the first of them has waited for Wait, or when their partition is full, because then no more come. A lane
// has items of one partition only; with ByKey each partition has as many lanes as Limit says.
//
// A batch never has more than Max items. It has more than Bytes only when its first item has.
type Batches struct {
	Max   int
	Bytes int64
	Wait  time.Duration
}

// Item is an item that DoBatch is called with.
type Item[T any] struct {
	Value *T
	// Retry is what DoBatch returned for the item before; nil if there is nothing to remember. Only the first item of
	// a batch has one.
	Retry *Retry
}

// Result is how far DoBatch has come with a batch.
type Result struct {
	// Finished counts the items that are finished, from the first one on. Those behind them are handed over again, at
	// once and before all that came later.
	Finished int
	// Retry has the first unfinished item wait, as one of Do does. Others, which it does not hold back, go on.
	Retry *Retry
	// Together has all unfinished items of the batch wait, each of which holds back what it would alone.
	Together bool
	// Suspect says that the batch has failed, and that it is not known because of which item. The lane's next batch
	// has one item, and each after it at most twice as many as the one before.
	Suspect bool
	// Leave leaves the unfinished items for good, and nothing further of their partition begins.
	Leave bool
}

// batches is what a lane of a pool with batches has. It is guarded by the lane's mutex.
type batches[T any] struct {
	part  *Partition[T]
	items fifo[itemOf[T]] // that wait to be handed out
	bytes int64           // of them
	most  int             // items that the next batch may have
	timer *time.Timer     // until the first item has waited long enough; nil before it is needed for the first time
	armed bool            // the timer runs
}

// newBatchLanes returns the lanes of a partition.
func (x *Partition[T]) newBatchLanes() []*lane[T] {
	lanes := make([]*lane[T], 1)
	if x.pool.opts.Mode == ByKey {
		lanes = make([]*lane[T], x.pool.opts.Limit)
	}
	for i := range lanes {
		lanes[i] = &lane[T]{batches: &batches[T]{part: x, most: x.pool.opts.Batches.Max}}
	}
	return lanes
}

// addToBatches gives the items of a run to their lanes. x.mu is held.
func (x *Partition[T]) addToBatches(r *run[T], shares [][]int32) {
	if shares == nil {
		x.wakeBatches(x.lanes[0], func(b *batches[T]) {
			for i := range r.items {
				b.push(itemOf[T]{run: r, index: i})
			}
		})
		return
	}
	for i, l := range x.lanes { // all of them: the partition may be full now
		l.load.Add(int64(len(shares[i])))
		x.wakeBatches(l, func(b *batches[T]) {
			for _, index := range shares[i] {
				b.push(itemOf[T]{run: r, index: int(index)})
			}
		})
	}
}

// wakeBatches changes what a lane has, and wakes it when there is a batch.
func (x *Partition[T]) wakeBatches(l *lane[T], change func(*batches[T])) {
	l.mu.Lock()
	change(l.batches)
	wake := l.activate()
	l.mu.Unlock()
	if wake {
		x.pool.wake(l)
	}
}

func (b *batches[T]) push(i itemOf[T]) {
	b.items.push(i)
	b.bytes += b.size(i)
}

// putBack puts items that were handed out, or held back, before all others.
func (b *batches[T]) putBack(items ...itemOf[T]) {
	for i := range items {
		items[i].handed = true
		b.bytes += b.size(items[i])
	}
	b.items.pushFront(items...)
}

func (b *batches[T]) pop() itemOf[T] {
	i := b.items.pop()
	b.bytes -= b.size(i)
	return i
}

func (b *batches[T]) size(i itemOf[T]) int64 { return int64(b.part.pool.opts.Size(i.item())) }

// drop removes all items, and returns those that have been handled before.
func (b *batches[T]) drop() (retry []itemOf[T]) {
	if b.timer != nil {
		b.timer.Stop()
	}
	for b.items.len() > 0 {
		if i := b.pop(); i.retry != nil {
			retry = append(retry, i)
		}
	}
	return retry
}

// due returns in how long the first item has to be handed out, whatever else there is; zero or less is now.
func (b *batches[T]) due() time.Duration {
	o := &b.part.pool.opts.Batches
	first := b.items.front()
	if first.handed || b.items.len() >= min(o.Max, b.most) || b.bytes >= o.Bytes || b.part.full.Load() {
		return 0
	}
	return time.Until(first.run.arrived.Add(o.Wait))
}

// activate reports whether the lane has to be woken, because it has a batch and no worker looks at it. If it will have
// one later, a timer looks again. l.mu is held.
func (l *lane[T]) activate() (wake bool) {
	b := l.batches
	if l.active || l.blocked || b.items.len() == 0 {
		return false
	}
	due := b.due()
	if due <= 0 {
		l.active = true
		return true
	}
	if b.armed {
		return false // for this item, or for one before it
	}
	b.armed = true
	if b.timer == nil {
		b.timer = time.AfterFunc(due, func() { l.ripen() })
	} else {
		b.timer.Reset(due)
	}
	return false
}

// ripen is called by the timer.
func (l *lane[T]) ripen() {
	l.batches.part.wakeBatches(l, func(b *batches[T]) { b.armed = false })
}

// unpark puts an item whose time has come before all others, and behind it what it has held back. It reports whether
// the lane has to be woken.
func (l *lane[T]) unpark(w *waiting[T]) (wake bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocked = false
	for key, held := range l.held {
		if held == w {
			delete(l.held, key)
		}
	}
	l.holding.Store(int64(len(l.held)))
	first := w.itemOf
	if first.retry.State == nil {
		first.retry = nil
	}
	l.batches.putBack(w.behind.all()...)
	l.batches.putBack(w.rest...)
	l.batches.putBack(first)
	return l.activate()
}

// holdKeys makes the items that wait together hold back the later ones of their keys.
func (l *lane[T]) holdKeys(w *waiting[T]) {
	if w.part.pool.opts.Mode != ByKey {
		return
	}
	for _, i := range append([]itemOf[T]{w.itemOf}, w.rest...) {
		if key := w.part.pool.opts.Key(i.item()); key != nil {
			l.holdKey(heldKey[T]{w.part, string(key)}, w)
		}
	}
}

// nextBatch returns the next batch, nil when there is none, and whether there is another one for another worker.
func (l *lane[T]) nextBatch() (batch []itemOf[T], another bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.batches
	for len(batch) == 0 && !l.blocked && b.items.len() > 0 && b.due() <= 0 {
		batch = l.collect()
	}
	if len(batch) == 0 || b.part.pool.opts.Mode == Unordered {
		l.active = false
		another = l.activate()
	}
	return batch, another
}

// collect removes the items of the next batch: none when a waiting item holds back all that are there. l.mu is held.
func (l *lane[T]) collect() (batch []itemOf[T]) {
	b, bytes := l.batches, int64(0)
	o := &b.part.pool.opts.Batches
	for most := min(o.Max, b.most); b.items.len() > 0 && len(batch) < most; {
		i := b.items.front()
		if l.queueBehindLocked(b.part, i) {
			b.pop()
			continue
		}
		bytes += b.size(i)
		if len(batch) > 0 && (i.retry != nil || bytes > o.Bytes) {
			break
		}
		batch = append(batch, b.pop())
		if i.retry != nil && i.retry.Alone {
			break
		}
	}
	return batch
}

// serveBatch gives a lane a turn, which is one batch, and reports whether it is for this worker to have it served
// again.
func (p *Pool[T]) serveBatch(l *lane[T]) bool {
	x := l.batches.part
	if !x.enter() {
		return false // the partition has ended, and the lane has nothing
	}
	defer x.leave()
	batch, another := l.nextBatch()
	if another {
		p.wake(l)
	}
	if len(batch) == 0 {
		return false
	}
	items := make([]Item[T], len(batch))
	for i := range batch {
		items[i] = Item[T]{Value: batch[i].item(), Retry: batch[i].retry}
	}
	x.inBatches.Add(int64(len(batch)))
	result := Result{}
	if !x.ended.Load() {
		result = p.opts.DoBatch(x.ctx, items)
	}
	x.inBatches.Add(-int64(len(batch)))
	x.finishBatch(l, batch, result)
	return p.opts.Mode != Unordered
}

// finishBatch does what the result of a batch says.
func (x *Partition[T]) finishBatch(l *lane[T], batch []itemOf[T], r Result) {
	done, rest := batch[:r.Finished], batch[r.Finished:]
	l.load.Add(-int64(len(done)))
	x.releaseItems(done)
	l.pace(r.Suspect, len(rest) == 0)
	switch {
	case len(rest) == 0:
	case r.Leave:
		x.release(rest[0].run, 0, 0, true)
	case r.Retry == nil:
		x.putBack(l, rest)
	default:
		w := &waiting[T]{part: x, itemOf: rest[0]}
		if rest = rest[1:]; r.Together {
			w.rest, rest = rest, nil
		}
		// First those behind it: when its time has come it goes before them.
		x.putBack(l, rest)
		x.park(l, w, r.Retry)
	}
}

// pace sets how many items the next batch may have.
func (l *lane[T]) pace(suspect, finished bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch most, all := &l.batches.most, l.batches.part.pool.opts.Batches.Max; {
	case suspect:
		*most = 1
	case finished && *most > all/2: // not 2*most: it overflows where Max is as large as an int can be
		*most = all
	case finished:
		*most *= 2
	}
}

// releaseItems marks items as finished, and gives back their room.
func (x *Partition[T]) releaseItems(done []itemOf[T]) {
	for len(done) > 0 {
		r, n, bytes := done[0].run, 0, int64(0)
		for n < len(done) && done[n].run == r {
			r.finish(done[n].index)
			bytes += int64(x.pool.opts.Size(done[n].item()))
			n++
		}
		x.release(r, n, bytes, false)
		done = done[n:]
	}
}

// putBack gives unfinished items back to their lane.
func (x *Partition[T]) putBack(l *lane[T], items []itemOf[T]) {
	if len(items) == 0 {
		return
	}
	x.mu.Lock()
	defer x.unlock()
	if x.ended.Load() {
		for _, i := range items {
			x.dropLocked(i)
		}
		return
	}
	x.wakeBatches(l, func(b *batches[T]) { b.putBack(items...) })
}

// do handles one item, as Do does.
func (p *Pool[T]) do(ctx context.Context, i itemOf[T]) (finished bool, retry *Retry) {
	if p.opts.DoBatch == nil {
		return p.opts.Do(ctx, i.item(), i.retry)
	}
	r := p.opts.DoBatch(ctx, []Item[T]{{Value: i.item(), Retry: i.retry}})
	return r.Finished == 1, r.Retry
}
