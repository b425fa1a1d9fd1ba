// Package lanes runs handlers: one after another inside a lane, lanes beside each other, and knows for each partition
// how far it is finished. A [Pool] is the lanes of one subscription, a [Partition] what is given to them and the
// watermark that comes out. It knows neither Kafka nor what an item is.
//
// A goroutine is there for as long as it has work: a pool that has nothing to do has none.
package lanes

import (
	"cmp"
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Mode says what a lane is.
type Mode int

// The modes.
const (
	ByPartition Mode = iota // a partition: its items one after another, in the order of their offsets
	ByKey                   // a share of the keys: items with the same key one after another in order, whatever else runs
	Unordered               // nothing: any item beside any other
)

// Options of a Pool.
type Options[T any] struct {
	// Mode says which items wait for each other. Defaults to ByPartition.
	Mode Mode
	// Limit is how many handlers run at once at most. With ByPartition 0 means every partition at once; with ByKey it is
	// also the number of lanes that the keys are spread over. Defaults to 0 with ByPartition, to 1 with the others.
	Limit int
	// Offset returns an item's place in its partition. It is called at any time, also while Do has the item.
	Offset func(*T) int64
	// Key returns what says which items wait for each other with ByKey; no other mode calls it. An item whose key is nil
	// waits for none: it goes where less is waiting.
	Key func(*T) []byte
	// Size returns the bytes that an item keeps in memory. It is called at any time and must always say the same of an
	// item.
	Size func(*T) int
	// Do handles an item, which it must not change, with the context of its partition. It returns true when the item
	// is finished. With a [Retry] the item waits, and Do is called once more when its time has come, with the same
	// Retry; meanwhile it holds back the items behind it in its partition (ByPartition), the later ones of its key in
	// its partition (ByKey), or none (Unordered), and no worker. false and nil leave the item unfinished, and nothing
	// further of its partition begins. retry is nil the first time. Do must neither panic nor end its goroutine.
	Do func(ctx context.Context, item *T, retry *Retry) (finished bool, next *Retry)
	// DoBatch takes the place of Do in a pool with batches: see [Batches].
	DoBatch func(ctx context.Context, items []Item[T]) Result
	// Batches says which items go into one call of DoBatch.
	Batches Batches
	// Dropped is called for an item that has waited when its partition ends: Do will not be called again. It may be
	// called after Partition.Idle is closed, but not after Close has returned. Defaults to nothing.
	Dropped func(ctx context.Context, item *T, retry *Retry)
	// PartitionBytes and PartitionItems bound what a partition holds unfinished: beyond either it says that it is full,
	// and at half of both that it no longer is (with ByPartition up to a sixteenth later). It takes what it is given even
	// so. Default to 1 MiB and 10,000.
	PartitionBytes int64
	PartitionItems int
}

const (
	defaultPartitionBytes = 1 << 20
	defaultPartitionItems = 10_000

	// longTurn and slowTurn bound a turn, what a worker handles of a lane before it serves others that wait: so many items
	// that the change does not show beside handlers of a few nanoseconds, but one item only when turns have become so slow
	// that others notice.
	longTurn = 64
	slowTurn = 10 * time.Millisecond
	// fullChecks is how often, at least, a partition looks whether it is full still, while it works off what it may hold.
	fullChecks = 16
)

// Pool runs the items of its partitions in lanes. All methods may be called at any time from any goroutine.
type Pool[T any] struct {
	opts    Options[T]
	stride  stride
	seed    maphash.Seed
	lanes   []*lane[T] // ByKey without batches: those of all partitions. Else each partition has its own
	spread  atomic.Uint64
	running atomic.Int64
	turn    atomic.Int64 // items of a turn, now: handlers of a pool are of a kind, and as fast as the last ones were
	workers sync.WaitGroup

	mu      sync.Mutex
	ready   fifo[*lane[T]] // have work, and wait for a worker
	working int            // workers there are
}

// stride is how much a worker handles before it releases it.
type stride struct {
	items int
	bytes int64
}

// New returns a pool without partitions. It starts nothing.
func New[T any](o Options[T]) *Pool[T] {
	o.PartitionBytes = cmp.Or(o.PartitionBytes, defaultPartitionBytes)
	o.PartitionItems = cmp.Or(o.PartitionItems, defaultPartitionItems)
	if o.Mode != ByPartition {
		o.Limit = max(1, o.Limit)
	}
	if o.Dropped == nil {
		o.Dropped = func(context.Context, *T, *Retry) {}
	}
	// Where items pass each other each is released by itself, so that a worker that is held up does not delay what it
	// has finished.
	p := &Pool[T]{opts: o, stride: stride{items: 1, bytes: 1}, seed: maphash.MakeSeed()}
	p.turn.Store(1)
	switch o.Mode {
	case ByPartition:
		p.stride = stride{items: max(1, min(longTurn, o.PartitionItems/fullChecks)),
			bytes: max(1, o.PartitionBytes/fullChecks)}
	case ByKey:
		if o.DoBatch == nil {
			p.lanes = make([]*lane[T], o.Limit)
			for i := range p.lanes {
				p.lanes[i] = new(lane[T])
			}
		}
	}
	return p
}

// Open adds a partition, which ends with [Partition.Stop]. Do gets ctx. full is called with true when the partition
// holds more than it should, and with false when there is room again; by turns, one call at a time, and not for a
// partition that has been stopped. It must not block: it is called by Add and between handlers.
func (p *Pool[T]) Open(ctx context.Context, full func(bool)) *Partition[T] {
	x := &Partition[T]{pool: p, ctx: ctx, report: full, lanes: p.lanes, idle: make(chan struct{})}
	switch {
	case p.opts.DoBatch != nil:
		x.lanes = x.newBatchLanes()
	case p.opts.Mode != ByKey:
		x.lanes = []*lane[T]{new(lane[T])}
	}
	return x
}

// Close waits until every goroutine of the pool has ended. All partitions must have been stopped before: it is their
// handlers that it waits for.
func (p *Pool[T]) Close() { p.workers.Wait() }

// Running returns how many handlers run now.
func (p *Pool[T]) Running() int { return int(p.running.Load()) }

// wake gives a lane that has work to a worker, a new one if there may be.
func (p *Pool[T]) wake(l *lane[T]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready.push(l)
	if p.opts.Limit <= 0 || p.working < p.opts.Limit {
		p.working++
		p.workers.Go(p.work)
	}
}

// work is a worker: it serves lanes, the one that waits longest first, until none waits.
func (p *Pool[T]) work() {
	for l := p.next(nil); l != nil; {
		if p.serve(l) {
			l = p.next(l)
		} else {
			l = p.next(nil)
		}
	}
}

// next returns the lane that a worker serves next; nil ends the worker. served, if not nil, has work left and queues
// behind the others.
func (p *Pool[T]) next(served *lane[T]) *lane[T] {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ready.len() > 0:
		if served != nil {
			p.ready.push(served)
		}
		return p.ready.pop()
	case served == nil:
		p.working--
	}
	return served
}
