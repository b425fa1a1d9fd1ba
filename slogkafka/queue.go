package slogkafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ErrFull is what Handle returns for a record that was dropped because the queue was full.
var ErrFull = errors.New("slogkafka: the queue is full")

// queue holds the records that wait for their outcome, and counts. Goroutines that log push into its shards; the
// worker takes the records out, hands them to the producer, and counts their outcomes.
//
// A record stays here until it has its outcome, because it may have to be sent again, or given to the fallback. The
// producer has a copy of those that are sending. A part of the queue's bytes is kept for these copies, so that both
// together stay within the bound.
type queue struct {
	maxRecords int64
	maxBytes   int64 // of the records; less than QueueSize says
	window     int64 // of the records that are sending
	linger     time.Duration
	policies   []levelPolicy

	// With a store there are own shards for records that may go to the disk, as many for others, and one for those that
	// come from the disk.
	shards []shard
	own    int
	store  *store // nil: none

	diskRecords int64 // how many records may be in memory that come from the disk, and how many may be sending
	maxFree     int64 // how much memory may be kept for further records where the queue is full

	cells atomic.Uint32 // how many were made
	seed  maphash.Seed

	_        [64]byte      // keeps what log calls write, and what they read, out of the cache lines that the worker writes
	seq      atomic.Uint64 // of the last record
	used     used
	worker   atomic.Int32 // a workerState
	spooling atomic.Bool  // records that may go to the disk are not sent before they were there
	_        [64]byte

	taking    sync.Mutex   // held while records are taken to be sent
	sent      atomic.Int64 // records that are sending
	sentBytes atomic.Int64
	closed    atomic.Bool
	kept      atomic.Int64 // as much memory, at most, is kept for further records
	retries   atomic.Uint64
	batches   atomic.Uint64

	wake     chan struct{} // has room for one: the worker is to look again
	urgent   chan struct{} // has room for one: the worker is not to pause
	hurried  atomic.Int32  // calls that wait for outcomes: the worker does not linger
	changed  signal        // records have left the queue, or it was closed
	resolved outcomes

	mu      sync.Mutex
	failure error // of the last attempt, if it failed
}

// workerState is what the worker waits for, and so what has to wake it.
type workerState = int32

const (
	busy      workerState = iota
	idle                  // until there is a record
	lingering             // until there are more
)

func newQueue(o options) *queue {
	shards := 4
	for shards < runtime.GOMAXPROCS(0) && shards < 64 {
		shards *= 2
	}
	q := &queue{
		maxRecords: min(int64(o.records), mostRecords), maxBytes: min(recordBytes(o.bytes), mostBytes), linger: o.linger,
		policies: o.policies,
		shards:   make([]shard, shards), seed: maphash.MakeSeed(), wake: make(chan struct{}, 1),
		urgent: make(chan struct{}, 1),
	}
	q.window = int64(o.bytes) - q.maxBytes
	q.maxFree = q.maxBytes / freeShare
	q.resolved.wake = make(chan struct{}, 1)
	for i := range q.shards {
		q.shards[i].queue = q
		q.shards[i].reserves = true
	}
	q.own = shards
	return q
}

// freeShare is the part of a queue's bytes that it may keep, beside them, for further records.
const freeShare = 16

// recordBytes returns how much of a queue's bytes records may take: a quarter is kept for the copies that the
// producer has.
func recordBytes(bytes int) int64 { return int64(bytes - bytes/4) }

// largestRecord returns how long a record, with its key, may be in a queue of so many bytes: its memory is up to a
// quarter longer.
func largestRecord(bytes int) int {
	return int(recordBytes(bytes)-itemOverhead)*4/5 - spanLength
}

// shard returns the one for a record: records of one key share one, which keeps their order.
func (q *queue) shard(e *entry, c *cell) *shard {
	n := uint64(c.shard)
	if e.key != nil {
		n = maphash.Bytes(q.seed, e.key)
	}
	i := int(n % uint64(q.own))
	if q.store != nil && !q.spools(e) {
		i += q.own
	}
	return &q.shards[i]
}

// push takes a record in for which room was reserved. It returns false when the queue is closed.
func (q *queue) push(e *entry, w *waiter, charge int64) bool {
	c, needs := e.cell, e.needs()
	s := q.shard(e, c)
	class, size := classOf(needs)
	r := c.take(s, class, size)
	r.charge = charge
	r.fill(e, w)
	spare, ok := s.push(r, e, class, size)
	if c.spare = spare; spare != nil {
		spare.fetch(needs)
	}
	return ok
}

// cellOf returns the cell that is kept at a place, which nobody else uses meanwhile.
func (q *queue) cellOf(place *any) *cell {
	c, ok := (*place).(*cell)
	if !ok {
		c = q.newCell()
		*place = c
	}
	return c
}

func (q *queue) newCell() *cell { return &cell{shard: q.cells.Add(1)} }

// refuse counts a record that does not get in.
func (q *queue) refuse(e *entry, why reason) {
	q.shard(e, e.cell).refuse(e, why)
}

// recycle gives back the memory of records that are over to their shards, as far as it may be kept; so many bytes of
// the queue are about to be released. The order of done changes.
//
// Records end by the batch, a window of them at one time: what the queue does not use may be kept for those that come.
func (q *queue) recycle(done []*queued, releasing int64) {
	room := min(q.window, q.unused()+releasing) - q.countKept()
	for len(done) > 0 {
		s, n := done[0].shard, 0
		for i, r := range done {
			if r.shard == s {
				done[i], done[n] = done[n], r
				r.clear()
				n++
			}
		}
		room = s.recycle(done[:n], room)
		done = done[n:]
	}
	q.kept.Store(q.countKept())
}

// unused returns how much memory may be kept: what the queue does not use, and maxFree.
func (q *queue) unused() int64 { return q.maxBytes + q.maxFree - q.used.bytes() }

func (q *queue) countKept() (bytes int64) {
	for i := range q.shards {
		bytes += q.shards[i].kept()
	}
	return bytes
}

// memory returns a new record's memory, which its shard does not have. It is another shard's where all that is kept is
// too much beside a new one; when none of that serves, it is let go.
func (q *queue) memory(class, size int) *queued {
	unused := q.unused()
	if q.kept.Load() <= unused {
		return newMemory(size)
	}
	for i := range q.shards {
		if r := q.shards[i].exchange(nil, class, size); r != nil {
			return r
		}
	}
	kept := q.countKept()
	if kept > unused {
		kept = 0
		for i := range q.shards {
			q.shards[i].letGo()
		}
	}
	q.kept.Store(kept)
	return newMemory(size)
}

// trim lets go of the memory that is kept for further records.
func (q *queue) trim() {
	for i := range q.shards {
		q.shards[i].trim()
	}
}

// sources returns the shards whose records may be sent.
func (q *queue) sources() []shard {
	if q.spooling.Load() {
		return q.shards[q.own:]
	}
	return q.shards
}

// lossy returns the shards whose records may be dropped for others.
func (q *queue) lossy() []shard {
	if q.store == nil {
		return q.shards
	}
	return q.shards[q.own : 2*q.own]
}

// used is how many records a queue has, those on their way in included, in the upper 24 bits, and how many bytes they
// take in the others: both change at once.
type used struct{ atomic.Uint64 }

const (
	usedShift   = 40
	mostBytes   = 1<<usedShift - 1
	mostRecords = 1<<(64-usedShift) - 1
)

func (u *used) records() int64 { return int64(u.Load() >> usedShift) }
func (u *used) bytes() int64   { return int64(u.Load() & mostBytes) }

// reserve takes room for a record of n bytes. It returns false when there is none. A quarter of it is for records
// that may go to the disk, if there is one: others that flood the queue must not keep them out.
func (q *queue) reserve(e *entry, n int64) bool {
	records, bytes := q.maxRecords, q.maxBytes
	if q.store != nil && !q.spools(e) {
		records, bytes = (3*records+3)/4, bytes-bytes/4
	}
	for {
		now := q.used.Load()
		if int64(now>>usedShift) >= records || int64(now&mostBytes)+n > bytes {
			return false
		}
		if q.used.CompareAndSwap(now, now+1<<usedShift+uint64(n)) {
			return true
		}
	}
}

// release gives room back, and wakes who waits for it.
func (q *queue) release(records, bytes int64) {
	q.used.Add(-uint64(records<<usedShift + bytes))
	q.changed.send()
}

// makeRoom takes room for a record that found none, as the policy of its level says. It returns why there is none.
// Records that are dropped for it go to drop.
func (q *queue) makeRoom(e *entry, n int64, drop func(*queued)) (why reason, ok bool) {
	if n > q.maxBytes {
		return tooLarge, false
	}
	switch policy := q.policyOf(e).(type) {
	case block:
		return q.await(e, n, time.Duration(policy))
	case DropPolicy:
		if policy == DropOldest && q.sent.Load() < q.maxRecords && q.sentBytes.Load()+n <= q.maxBytes {
			return full, q.replaceOldest(e, n, drop)
		}
	}
	return full, false
}

// policyOf returns the policy for a record's level: that of the highest level that it reaches.
func (q *queue) policyOf(e *entry) Policy {
	for _, p := range slices.Backward(q.policies) {
		if e.level >= p.from {
			return p.policy
		}
	}
	return DropNewest
}

// replaceOldest drops those that wait the longest until there is room for n bytes.
func (q *queue) replaceOldest(e *entry, n int64, drop func(*queued)) bool {
	for !q.reserve(e, n) {
		var oldest *shard
		var least uint64
		shards := q.lossy()
		for i := range shards {
			if seq := shards[i].oldest(); seq > 0 && (oldest == nil || seq < least) {
				oldest, least = &shards[i], seq
			}
		}
		if oldest == nil {
			return false
		}
		if r := oldest.dropOldest(least, full); r != nil {
			q.release(1, r.charge)
			drop(r)
		}
	}
	return true
}

// await waits for room for n bytes, at most d, or until the queue is closed.
func (q *queue) await(e *entry, n int64, d time.Duration) (why reason, ok bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		changed := q.changed.wait()
		switch {
		case q.closed.Load():
			q.changed.leave()
			return closed, false
		case q.reserve(e, n):
			q.changed.leave()
			return full, true
		}
		select {
		case <-changed:
			q.changed.leave()
		case <-timer.C:
			q.changed.leave()
			return full, false
		}
	}
}

// pushed wakes the worker for a record that came in, if it waits for one.
func (q *queue) pushed() {
	switch state := q.worker.Load(); {
	case state == idle, state == lingering && q.halfFull():
		if q.worker.CompareAndSwap(state, busy) {
			q.nudge()
		}
	}
}

// nudge has the worker look again.
func (q *queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) halfFull() bool {
	return 2*q.used.records() >= q.maxRecords || 2*q.used.bytes() >= q.maxBytes
}

// hasWaiting tells whether a record waits to be sent.
func (q *queue) hasWaiting() bool {
	shards := q.sources()
	for i := range shards {
		if shards[i].isWaiting() {
			return true
		}
	}
	return false
}

// canTake tells whether the window lets records out: not before there is room for more than a few, so that batches
// are large when it is the window that limits them. A record that is larger than the window goes alone.
func (q *queue) canTake() bool {
	return (q.sentBytes.Load() <= q.window-q.window/8 || q.sent.Load() == 0) && q.recordWindow() > 0
}

// batchRecords is how many records one hand-over to the producer has at most.
const batchRecords = 4096

// recordWindow returns how many records may be taken. With a store only a part is sent at a time, so that the others
// can be moved to the disk.
func (q *queue) recordWindow() int {
	if q.store == nil {
		return batchRecords
	}
	return min(batchRecords, int(q.diskRecords-q.sent.Load()))
}

// take appends to batch what the window lets out, in the order in which the records came.
func (q *queue) take(batch []*queued) []*queued {
	q.taking.Lock()
	defer q.taking.Unlock()
	if !q.canTake() {
		return batch
	}
	batch = gather(q.sources(), batch, q.recordWindow(), max(1, q.window-q.sentBytes.Load()))
	bytes := int64(0)
	for _, r := range batch {
		bytes += r.charge
	}
	q.sent.Add(int64(len(batch)))
	q.sentBytes.Add(bytes)
	if q.store != nil {
		q.store.nudge()
	}
	return batch
}

// gather appends to batch the records of some shards that wait, at most n and about so many bytes, in the order in
// which they came. They are sending then.
func gather(shards []shard, batch []*queued, n int, room int64) []*queued {
	for _, parts := range []int64{int64(len(shards)), 1} { // all get the same share first, then who has more the rest
		for i := range shards {
			batch, room = shards[i].take(batch, (n-len(batch))/int(parts), room/parts, room)
		}
	}
	slices.SortFunc(batch, func(a, b *queued) int { return cmp.Compare(a.seq, b.seq) })
	return batch
}

// flush waits until every record that was accepted before it has its outcome.
func (q *queue) flush(ctx context.Context, why func(context.Context) error) error {
	last := q.mark()
	q.hurry(1)
	defer q.hurry(-1)
	for {
		changed := q.changed.wait()
		left := q.upTo(&last)
		if left > 0 {
			select {
			case <-changed:
			case <-ctx.Done():
				left = q.upTo(&last)
			}
		}
		q.changed.leave()
		switch {
		case left == 0:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("slogkafka: flush: %d log records have no outcome yet: %w", left, why(ctx))
		}
	}
}

// hurry has the worker send without lingering, until as many calls take that back.
func (q *queue) hurry(n int32) {
	q.hurried.Add(n)
	if n > 0 {
		q.nudge()
		select {
		case q.urgent <- struct{}{}:
		default:
		}
	}
}

// mark is a place in the order of the records.
type mark struct {
	seq    uint64
	number uint64 // of the records in the spool, once all up to seq have left the memory; 0: not yet
}

// mark returns the place behind all records that were accepted.
func (q *queue) mark() mark { return mark{seq: q.seq.Load()} }

// upTo counts the records without an outcome, up to a mark.
func (q *queue) upTo(m *mark) int {
	n := 0
	shards := q.inMemory()
	for i := range shards {
		n += shards[i].upTo(m.seq)
	}
	if q.store == nil {
		return n
	}
	if n == 0 && m.number == 0 {
		m.number = q.store.written.Load()
	}
	return n + q.store.pending(cmp.Or(m.number, q.store.written.Load()))
}

// close ends the intake.
func (q *queue) close() {
	for i := range q.shards {
		q.shards[i].close()
	}
	q.closed.Store(true)
	q.changed.send()
}

// abandon drops what has no outcome and is not on disk, and returns it in its order. Outcomes that come later do not
// count.
func (q *queue) abandon() []*queued {
	var left []*queued
	bytes := int64(0)
	shards := q.inMemory()
	for i := range shards {
		left = append(left, shards[i].abandon(undelivered)...)
	}
	if q.store != nil {
		q.disk().keep()
	}
	for _, r := range left {
		bytes += r.charge
	}
	slices.SortFunc(left, func(a, b *queued) int { return cmp.Compare(a.seq, b.seq) })
	q.release(int64(len(left)), bytes)
	return left
}

// setFailure keeps what came of the last attempt.
func (q *queue) setFailure(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failure = err
}

func (q *queue) lastFailure() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failure
}

// outcomes are the records whose attempts have ended. The producer adds to them, perhaps with its lock held; the
// worker deals with them.
type outcomes struct {
	mu   sync.Mutex
	list []*queued
	wake chan struct{}
}

func (o *outcomes) add(r *queued) {
	o.mu.Lock()
	first := len(o.list) == 0
	o.list = append(o.list, r)
	o.mu.Unlock()
	if first {
		o.nudge()
	}
}

func (o *outcomes) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take returns the list, and goes on with the memory of an older one.
func (o *outcomes) take(old []*queued) []*queued {
	clear(old)
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.list
	o.list = old[:0]
	return list
}

// signal wakes all who wait for a change. Who waits calls wait, then looks, and calls leave when the wait is over:
// what changes after the look is not missed.
type signal struct {
	waiting atomic.Int32
	mu      sync.Mutex
	change  chan struct{}
}

func (s *signal) wait() <-chan struct{} {
	s.waiting.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.change == nil {
		s.change = make(chan struct{})
	}
	return s.change
}

func (s *signal) leave() { s.waiting.Add(-1) }

// send wakes all.
func (s *signal) send() {
	if s.waiting.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.change != nil {
		close(s.change)
		s.change = nil
	}
}
