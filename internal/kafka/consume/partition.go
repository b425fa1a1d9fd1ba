package consume

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/lanes"
)

// AssignedPartition is where an item comes from: a partition, as long as the member has it.
type AssignedPartition interface {
	// Revoked is closed when nothing further is to begin: who only waits should stop waiting, and leave its item
	// unfinished.
	Revoked() <-chan struct{}
	// Context ends when the time to finish is over. It is the parent of what Do gets.
	Context() context.Context
	// Commit commits what lies below offset and is finished, counting the items at these offsets as finished, and
	// returns when the group has it. It is group.ErrRevoked when the partition is no longer the member's.
	Commit(ctx context.Context, offset int64, own func(offset int64) bool) error
}

// PartitionOf returns the partition of the item that Do was called with.
func PartitionOf(ctx context.Context) AssignedPartition {
	p, _ := ctx.Value(partitionKey{}).(AssignedPartition)
	return p
}

type partitionKey struct{}

// partition is one assigned partition.
type partition struct {
	g     *generation
	tp    kafka.TopicPartition
	start group.Start
	ctx   context.Context
	lane  atomic.Pointer[lanes.Partition[wire.Record]]
	// lanes of records that the partition no longer has; the dispatcher's until that has ended
	past []*lanes.Partition[wire.Record]

	committed atomic.Int64 // what the group had when the partition was assigned; -1 = nothing
	position  atomic.Int64 // the offset after what was read; -1 = nothing yet
	end       atomic.Int64 // of the partition, when it was last heard of; -1 = not known
	missing   int64        // the dispatcher's: an offset to be read that the broker does not have; -1 = none
	delayed   bool
	allowance atomic.Int64 // manual commit: what may be committed at most; -1 = nothing

	mu      sync.Mutex // what the fetcher is told; the lane's callback takes it
	paused  bool       // the fetcher leaves the partition out
	full    bool       // its lane has enough
	early   bool       // some items' time has not come
	stopped bool

	feed    sync.Mutex    // what the lane has been given, and what waits for its time; taken before mu
	added   uint64        // items
	waiting []wire.Record // those whose time has not come, and all behind them
	due     []time.Time   // of each, when that is
	next    int64
	timer   *time.Timer // until the first of waiting may be handled
	closed  bool
}

func newPartition(g *generation, tp kafka.TopicPartition, start group.Start) *partition {
	p := &partition{g: g, tp: tp, start: start}
	p.ctx = context.WithValue(g.ctx, partitionKey{}, p)
	p.delayed = g.c.opts.Delayed != nil && g.c.opts.Delayed(tp.Topic)
	p.committed.Store(start.Committed)
	p.position.Store(-1)
	p.end.Store(-1)
	p.missing = -1
	p.allowance.Store(-1)
	p.openLane()
	return p
}

// openLane begins with a lane that holds nothing.
func (p *partition) openLane() {
	var lane *lanes.Partition[wire.Record]
	lane = p.g.c.pool.Open(p.ctx, func(full bool) { p.setFull(lane, full) })
	p.lane.Store(lane)
}

// startReading begins to read the partitions: all at once, so that the first request to a broker is for
// all of its partitions.
func (g *generation) startReading(partitions ...*partition) {
	offsets := make(map[kafka.TopicPartition]int64, len(partitions))
	for _, p := range partitions {
		at, ok := p.startOffset()
		switch {
		case p.start.Committed >= 0:
			offsets[p.tp] = p.start.Committed
		case ok:
			offsets[p.tp] = at
		default:
			g.c.Fail(&NoOffsetError{Group: g.c.opts.Group, Topic: p.tp.Topic, Partition: p.tp.Partition})
		}
	}
	g.c.fetcher.AddAll(offsets)
}

// startOffset returns where to begin without an offset, false when nobody may choose. What waits in a retry stream is
// never passed over, whatever auto_offset_reset says: it was published before, and moved there by this group.
func (p *partition) startOffset() (at int64, ok bool) {
	switch reset := p.g.c.cfg.AutoOffsetReset; {
	case p.start.Late || p.delayed || reset == kafka.Earliest:
		return kafka.FirstOffset, true
	case reset == kafka.Latest:
		return kafka.EndOffset, true
	}
	return 0, false
}

// resetOffset reads on from the beginning, as the broker does not have the offset to read on from.
func (p *partition) resetOffset(missing *fetch.PartitionError) {
	c := p.g.c
	at, ok := p.startOffset()
	if !ok {
		c.Fail(missing)
		return
	}
	from := "its first record"
	if at == kafka.EndOffset {
		from = "its end"
	}
	c.recordError(fmt.Errorf("consume: partition %s begins again at %s: offset %d: %w", name(p.tp), from, missing.Offset,
		missing.Err))
	p.missing = missing.Offset
	p.mu.Lock()
	defer p.mu.Unlock()
	c.fetcher.AddAt(p.tp, at)
	p.paused = false
	p.pauseLocked()
}

// rereadLater reads on after a pause; where nothing has been read yet it looks again for where to begin.
func (p *partition) rereadLater() {
	p.g.wg.Go(func() {
		if kafka.Sleep(p.g.reading, rereadDelay) != nil {
			return
		}
		position := p.position.Load()
		if position < 0 {
			p.g.startReading(p)
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.g.c.fetcher.Add(p.tp, position)
		p.paused = false
		p.pauseLocked()
	})
}

// enqueue puts a chunk into the lane. The dispatcher alone calls it.
func (p *partition) enqueue(chunk *fetch.Chunk) {
	if p.isFirstRead() {
		// Now it is known where the group begins. It is committed even if nothing is handled, or the next member of a
		// group that begins at the end would miss what is written in between.
		p.allow(first(chunk))
	}
	start := first(chunk)
	if p.missing >= 0 && start > p.missing {
		p.g.c.log.Warn("consume: records were deleted before they were read; reading goes on behind them",
			"group", p.g.c.opts.Group, "topic", p.tp.Topic, "partition", p.tp.Partition, "from", p.missing, "to", start)
	}
	p.missing = -1
	if start < max(p.position.Load(), p.committed.Load()) {
		p.rewind(start)
	}
	p.position.Store(chunk.Next)
	if chunk.HighWatermark >= 0 {
		p.end.Store(chunk.HighWatermark)
	}
	p.add(chunk.Records, chunk.Next)
}

// skipTo goes on at offset next: what lies before it cannot be read.
func (p *partition) skipTo(next int64) {
	p.position.Store(next)
	p.add(nil, next)
}

// add gives items to the lane. In a retry stream the first that has to wait for its time holds up those behind it: in a
// stream of one delay they are due later still. The dispatcher alone calls it.
func (p *partition) add(items []wire.Record, next int64) {
	p.feed.Lock()
	defer p.feed.Unlock()
	p.added += uint64(len(items))
	if !p.delayed {
		p.giveLocked(items, next)
		return
	}
	p.waiting, p.next = append(p.waiting, items...), next
	for i, read := 0, time.Now(); i < len(items); i++ {
		p.due = append(p.due, p.g.c.opts.NotBefore(&items[i], read))
	}
	p.releaseLocked()
}

// giveLocked hands items to the lane. They are no longer here when it has ended: a handler has left one unfinished.
func (p *partition) giveLocked(items []wire.Record, next int64) {
	if !p.lane.Load().Add(items, next) {
		p.added -= uint64(len(items))
	}
}

// rewind begins anew with a partition that has fewer records than were read of it, or committed: its topic was made
// anew, or its log was cut off. What was read before is nobody's any more, and lower offsets are to be committed.
func (p *partition) rewind(offset int64) {
	c := p.g.c
	c.log.Warn("consume: the partition ends before what was read of it; starting again",
		"group", c.opts.Group, "partition", name(p.tp), "read", p.position.Load(), "committed", p.committed.Load(),
		"offset", offset)
	p.committed.Store(-1)
	p.allowance.Store(offset)
	old := p.lane.Load()
	old.Stop() // before feed is locked: it calls Dropped, which may ask for Status, which locks feed
	p.feed.Lock()
	p.added -= uint64(p.heldLocked())
	p.waiting, p.due, p.next = nil, nil, offset
	p.past = append(slices.DeleteFunc(p.past, isIdle), old)
	p.openLane()
	p.feed.Unlock()
	c.member.Forget(p.g.reading, p.g.number, p.tp) // after the old lane is gone, which a commit could ask for its mark
	p.setEarly(false)
	p.setFull(p.lane.Load(), false)
}

// isFirstRead reports whether nothing has been read yet of a partition without a commit.
func (p *partition) isFirstRead() bool { return p.position.Load() < 0 && p.committed.Load() < 0 }

func first(chunk *fetch.Chunk) int64 {
	if len(chunk.Records) > 0 {
		return chunk.Records[0].Offset
	}
	return chunk.Next
}

// setFull is called by a lane. A lane from before a rewind is ignored, because nobody would report later that it is no
// longer full.
func (p *partition) setFull(lane *lanes.Partition[wire.Record], full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lane.Load() != lane {
		return
	}
	p.full = full
	p.pauseLocked()
}

// setEarly reports whether items wait for their time.
func (p *partition) setEarly(early bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.early = early
	p.pauseLocked()
}

// pauseLocked tells the fetcher whether to read the partition.
func (p *partition) pauseLocked() {
	want := p.full || p.early
	if want == p.paused || p.stopped {
		return
	}
	p.paused = want
	if want {
		p.g.c.fetcher.Pause(p.tp)
	} else {
		p.g.c.fetcher.Resume(p.tp)
	}
}

// release is called when the first of waiting is due.
func (p *partition) release() {
	p.feed.Lock()
	defer p.feed.Unlock()
	p.releaseLocked()
}

// releaseLocked puts those items into the lane whose time has come.
func (p *partition) releaseLocked() {
	if p.closed {
		return
	}
	now, due := time.Now(), len(p.waiting)
	var pause time.Duration
	for i := range p.waiting {
		if pause = p.due[i].Sub(now); pause > 0 {
			due = i
			break
		}
	}
	next := p.next
	if due < len(p.waiting) {
		next = p.waiting[due].Offset
	}
	p.giveLocked(p.waiting[:due:due], next)
	p.waiting, p.due = p.waiting[due:], p.due[due:]
	switch {
	case len(p.waiting) == 0:
		p.waiting, p.due = nil, nil // let go of the arrays
	case p.timer == nil:
		p.timer = time.AfterFunc(pause, p.release)
	default:
		p.timer.Reset(pause)
	}
	p.setEarly(len(p.waiting) > 0)
}

// stop lets nothing further begin.
func (p *partition) stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.feed.Lock()
	p.added -= uint64(len(p.waiting))
	p.closed, p.waiting, p.due = true, nil, nil
	if p.timer != nil {
		p.timer.Stop()
	}
	p.feed.Unlock()
	p.lane.Load().Stop()
}

// waitIdle waits until no handler of the partition runs. It returns the lanes in which some still do when ctx ends.
func (p *partition) waitIdle(ctx context.Context) (stuck []*lanes.Partition[wire.Record]) {
	for _, lane := range append(p.past, p.lane.Load()) {
		select {
		case <-lane.Idle():
		case <-ctx.Done():
			if !isIdle(lane) {
				stuck = append(stuck, lane)
			}
		}
	}
	return stuck
}

// mark returns what may be committed.
func (p *partition) mark() (int64, bool) {
	mark, ok := p.lane.Load().Mark()
	if !ok {
		return 0, false
	}
	if p.g.c.opts.Manual {
		allowed := p.allowance.Load()
		return min(mark, allowed), allowed >= 0
	}
	return mark, true
}

// allow raises what may be committed with manual commits.
func (p *partition) allow(offset int64) {
	for {
		old := p.allowance.Load()
		if offset <= old || p.allowance.CompareAndSwap(old, offset) {
			return
		}
	}
}

// finished counts the items that have been handled.
func (p *partition) finished() uint64 {
	p.feed.Lock()
	defer p.feed.Unlock()
	return p.added - uint64(p.heldLocked())
}

// held counts the items that are here and not finished.
func (p *partition) held() int {
	p.feed.Lock()
	defer p.feed.Unlock()
	return p.heldLocked()
}

func (p *partition) heldLocked() int {
	held, _, _ := p.lane.Load().Held()
	return held + len(p.waiting)
}

// oldest returns the offset of the first unfinished item, or where reading goes on.
func (p *partition) oldest() int64 {
	if mark, ok := p.lane.Load().Mark(); ok {
		return mark
	}
	return p.committed.Load()
}

// Revoked implements Place.
func (p *partition) Revoked() <-chan struct{} { return p.g.revoked }

// Context implements Place.
func (p *partition) Context() context.Context { return p.ctx }

// Commit implements Place.
func (p *partition) Commit(ctx context.Context, offset int64, own func(offset int64) bool) error {
	p.allow(offset)
	mark, ok := p.lane.Load().MarkWithout(func(r *wire.Record) bool { return own(r.Offset) })
	if !ok {
		return nil // nothing has been read, so nothing can be finished
	}
	return p.g.c.member.Commit(ctx, p.g.number, map[kafka.TopicPartition]int64{p.tp: min(mark, offset)})
}
