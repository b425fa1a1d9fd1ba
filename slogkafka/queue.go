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

// queue holds the records that have no outcome yet, and their counts. Goroutines that log push records into its shards.
// The worker passes the records to the producer, and counts their outcomes.
//
// A record stays in the queue until it has its outcome, because it may have to be sent again, or passed to the
// fallback. The producer has copies of the records that are being sent. A part of QueueSize is reserved for these
// copies, so that records and copies together stay within the bound.
type queue struct {
	maxRecords int64
	maxBytes   int64 // of the records; QueueSize without the part for the copies
	window     int64 // maximum bytes of the records that are being sent
	linger     time.Duration
	policies   []levelPolicy

	// shards has own shards without a store. With a store it has own shards for records that may go to the disk, as many
	// for other records, and one for records from the disk.
	shards []shard
	own    int
	store  *store // nil: none

	diskRecords int64 // maximum number of records from the disk in memory, and of records that are being sent
	maxFree     int64 // maximum bytes of free memory that a full queue keeps for further records

	cells atomic.Uint32 // number of cells that were made
	seed  maphash.Seed

	_        [64]byte      // separates the cache lines of log calls and worker
	seq      atomic.Uint64 // of the last record
	used     used
	worker   atomic.Int32 // a workerState
	spooling atomic.Bool  // records that may go to the disk are written there before they are sent
	_        [64]byte

	taking    sync.Mutex   // held while records are taken to be sent
	sent      atomic.Int64 // records that are being sent
	sentBytes atomic.Int64
	closed    atomic.Bool
	kept      atomic.Int64 // upper bound of the free memory that the shards keep, in bytes
	retries   atomic.Uint64
	batches   atomic.Uint64

	wake         chan struct{} // has room for one: the worker checks its state again
	urgent       chan struct{} // has room for one: the worker ends its pause
	flushWaiters atomic.Int32  // calls that wait for outcomes: the worker does not linger
	changed      signal        // records have left the queue, or it was closed
	resolved     outcomes

	mu      sync.Mutex
	failure error // error of the last attempt; nil if it succeeded
}

// workerState is what the worker waits for, which decides whether a new record wakes it.
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

// freeShare is the divisor of maxBytes that gives maxFree.
const freeShare = 16

// recordBytes returns the part of QueueSize that is for records. A quarter is reserved for the producer's copies.
func recordBytes(bytes int) int64 { return int64(bytes - bytes/4) }

// largestRecord returns the maximum length of a record, with its key, in a queue of so many bytes. The memory of a
// record is up to a quarter larger than the record.
func largestRecord(bytes int) int {
	return int(recordBytes(bytes)-itemOverhead)*4/5 - spanLength
}

// shard returns the shard for a record. Records with the same key use the same shard, which keeps their order.
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

// push adds a record to the queue. The caller has reserved charge bytes for it. push returns false when the queue is
// closed.
func (q *queue) push(e *entry, w *waiter, charge int64) bool {
	c, needs := e.cell, e.needs()
	s := q.shard(e, c)
	class, size := classOf(needs)
	r := c.emptyRecord(s, class, size)
	r.charge = charge
	r.fill(e, w)
	spare, ok := s.push(r, e, class, size)
	if c.spare = spare; spare != nil {
		spare.fetch(needs)
	}
	return ok
}

// cellOf returns the cell in slot, and makes one if slot is empty. Nobody else may use slot during the call.
func (q *queue) cellOf(slot *any) *cell {
	c, ok := (*slot).(*cell)
	if !ok {
		c = q.newCell()
		*slot = c
	}
	return c
}

func (q *queue) newCell() *cell { return &cell{shard: q.cells.Add(1)} }

// refuse counts a record that is not added to the queue.
func (q *queue) refuse(e *entry, why reason) {
	q.shard(e, e.cell).refuse(e, why)
}

// recycle returns the memory of finished records to their shards, up to the limit of free memory. The caller is about
// to release as many bytes of the queue as releasing says. recycle changes the order of done.
//
// A whole batch of records, up to the window, finishes at one time. So free memory may take the bytes that the queue
// does not use.
func (q *queue) recycle(done []*queued, releasing int64) {
	limit := min(q.window, q.unused()+releasing) - q.countKept()
	for len(done) > 0 {
		s, n := done[0].shard, 0
		for i, r := range done {
			if r.shard == s {
				done[i], done[n] = done[n], r
				r.clear()
				n++
			}
		}
		limit = s.recycle(done[:n], limit)
		done = done[n:]
	}
	q.kept.Store(q.countKept())
}

// unused returns the maximum bytes of free memory: the bytes that the queue does not use, and maxFree.
func (q *queue) unused() int64 { return q.maxBytes + q.maxFree - q.used.bytes() }

func (q *queue) countKept() (bytes int64) {
	for i := range q.shards {
		bytes += q.shards[i].kept()
	}
	return bytes
}

// memory returns an empty record of the class when the shard of the caller has none. Normally it allocates one. If the
// free memory of all shards is above its maximum, memory uses a free record of another shard; if no shard has one of
// this class, it drops the free memory of all shards.
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
			q.shards[i].dropFree()
		}
	}
	q.kept.Store(kept)
	return newMemory(size)
}

// trim drops the memory that is kept for further records.
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

// used holds the number of records in its upper 24 bits, and their bytes in the lower 40, so that one atomic operation
// changes both. It includes records that are reserved, and not pushed yet.
type used struct{ atomic.Uint64 }

const (
	usedShift   = 40
	mostBytes   = 1<<usedShift - 1
	mostRecords = 1<<(64-usedShift) - 1
)

func (u *used) records() int64 { return int64(u.Load() >> usedShift) }
func (u *used) bytes() int64   { return int64(u.Load() & mostBytes) }

// reserve reserves n bytes for one record. It returns false when the queue is full. With a store a quarter of the queue
// is reserved for records that may go to the disk: a flood of other records must not keep them out.
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

// release ends the reservation of records and bytes, and wakes the calls that wait for room.
func (q *queue) release(records, bytes int64) {
	q.used.Add(-uint64(records<<usedShift + bytes))
	q.changed.send()
}

// makeRoom applies the policy of a record's level when the queue is full: it waits for room, or drops the oldest
// records, which it passes to drop. If it reserves the room it returns true, else the reason why the record is dropped.
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

// policyOf returns the policy with the highest level that is not above the level of the record.
func (q *queue) policyOf(e *entry) Policy {
	for _, p := range slices.Backward(q.policies) {
		if e.level >= p.from {
			return p.policy
		}
	}
	return DropNewest
}

// replaceOldest drops the records that have waited longest, until it can reserve n bytes.
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

// await waits until it can reserve n bytes, until d has passed, or until the queue is closed.
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

// pushed wakes the worker if it waits for the record that was pushed.
func (q *queue) pushed() {
	switch state := q.worker.Load(); {
	case state == idle, state == lingering && q.halfFull():
		if q.worker.CompareAndSwap(state, busy) {
			q.nudge()
		}
	}
}

// nudge makes the worker check its state again.
func (q *queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) halfFull() bool {
	return 2*q.used.records() >= q.maxRecords || 2*q.used.bytes() >= q.maxBytes
}

// hasWaiting reports whether a record waits to be sent.
func (q *queue) hasWaiting() bool {
	shards := q.sources()
	for i := range shards {
		if shards[i].isWaiting() {
			return true
		}
	}
	return false
}

// canTake reports whether the window permits another batch. An eighth of the window must be free, so that batches stay
// large when the window limits them. If nothing is being sent it returns true, so that a record that is larger than the
// window is sent alone.
func (q *queue) canTake() bool {
	return (q.sentBytes.Load() <= q.window-q.window/8 || q.sent.Load() == 0) && q.recordWindow() > 0
}

// batchRecords is the maximum number of records in one batch for the producer.
const batchRecords = 4096

// recordWindow returns the maximum number of records in the next batch. With a store fewer records are sent at a time,
// so that the others can be moved to the disk.
func (q *queue) recordWindow() int {
	if q.store == nil {
		return batchRecords
	}
	return min(batchRecords, int(q.diskRecords-q.sent.Load()))
}

// takeBatch marks as many waiting records as the window permits as being sent, and appends them to batch in the order
// of their log calls.
func (q *queue) takeBatch(batch []*queued) []*queued {
	q.taking.Lock()
	defer q.taking.Unlock()
	if !q.canTake() {
		return batch
	}
	batch = takeInOrder(q.sources(), batch, q.recordWindow(), max(1, q.window-q.sentBytes.Load()))
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

// takeInOrder marks waiting records of shards as being sent, and appends them to batch in the order of their log calls:
// at most n records, and about bytesLeft bytes.
func takeInOrder(shards []shard, batch []*queued, n int, bytesLeft int64) []*queued {
	// first the same share for each shard, then the rest for those that have more
	for _, parts := range []int64{int64(len(shards)), 1} {
		for i := range shards {
			batch, bytesLeft = shards[i].takeWaiting(batch, (n-len(batch))/int(parts), bytesLeft/parts, bytesLeft)
		}
	}
	slices.SortFunc(batch, func(a, b *queued) int { return cmp.Compare(a.seq, b.seq) })
	return batch
}

// flush waits until all records that were accepted before the call have their outcomes.
func (q *queue) flush(ctx context.Context, why func(context.Context) error) error {
	last := q.mark()
	q.addFlushWaiters(1)
	defer q.addFlushWaiters(-1)
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

// addFlushWaiters adds n to the number of calls that wait for outcomes; n is 1 or -1. While the number is positive, the
// worker does not linger.
func (q *queue) addFlushWaiters(n int32) {
	q.flushWaiters.Add(n)
	if n > 0 {
		q.nudge()
		select {
		case q.urgent <- struct{}{}:
		default:
		}
	}
}

// mark is a position in the order of the records.
type mark struct {
	seq    uint64
	number uint64 // number of the last record in the spool, set when all up to seq have left the memory; 0: not yet
}

// mark returns the position after all records that were accepted.
func (q *queue) mark() mark { return mark{seq: q.seq.Load()} }

// upTo returns the number of records up to the mark that have no outcome.
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

// close makes the queue refuse new records, and wakes the calls that wait for room.
func (q *queue) close() {
	for i := range q.shards {
		q.shards[i].close()
	}
	q.closed.Store(true)
	q.changed.send()
}

// abandon drops all records that have no outcome and are not on disk, and returns them in the order of their log calls.
// Outcomes that arrive later are not counted.
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

// setFailure stores the error of the last attempt; nil if it succeeded.
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

// outcomes is the list of records whose attempts have ended. The producer appends to it, perhaps while it holds its own
// lock, so that add must not block. The worker applies the outcomes.
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

// takeAll returns the list, and continues with an empty list in the memory of old.
func (o *outcomes) takeAll(old []*queued) []*queued {
	clear(old)
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.list
	o.list = old[:0]
	return list
}

// signal wakes all goroutines that wait for a change. A goroutine calls wait, then checks the state, then receives from
// the channel, and calls leave at the end. It does not miss a change after the check, because wait came before.
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

// send wakes all goroutines that wait.
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
