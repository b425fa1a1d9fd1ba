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

	"github.com/kafkaesk/kafkaesk/internal/tracecontext"
)

// ErrFull is what Handle returns for a record that found no room in the queue, and was dropped.
var ErrFull = errors.New("slogkafka: the queue is full")

// queue holds the records that wait for their outcome, and counts. Goroutines that log push into its shards; the worker
// takes the records out, hands them to the producer, and counts their outcomes.
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

	shards []shard
	hints  sync.Pool // *hint
	hinted atomic.Uint32
	seed   maphash.Seed
	memory memories

	_              [64]byte
	seq            atomic.Uint64 // of the last record
	records, bytes atomic.Int64  // what the records take, those on their way in included
	_              [64]byte
	sent           atomic.Int64 // records that are sending
	sentBytes      atomic.Int64
	closed         atomic.Bool
	retries        atomic.Uint64
	batches        atomic.Uint64

	worker   atomic.Int32  // a workerState
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

// hint is the shard for the records of a processor: a pool of them gives each processor its own, as a rule.
type hint struct{ shard uint32 }

func newQueue(o options) *queue {
	shards := 4
	for shards < runtime.GOMAXPROCS(0) && shards < 64 {
		shards *= 2
	}
	q := &queue{
		maxRecords: int64(o.records), maxBytes: recordBytes(o.bytes), linger: o.linger, policies: o.policies,
		shards: make([]shard, shards), seed: maphash.MakeSeed(), wake: make(chan struct{}, 1),
		urgent: make(chan struct{}, 1),
	}
	q.window = int64(o.bytes) - q.maxBytes
	q.hints.New = func() any { return &hint{q.hinted.Add(1)} }
	q.resolved.wake = make(chan struct{}, 1)
	for i := range q.shards {
		q.shards[i].queue = q
	}
	return q
}

// recordBytes returns how much of a queue's bytes records may take: a quarter is kept for the copies that the producer has.
func recordBytes(bytes int) int64 { return int64(bytes - bytes/4) }

// largestRecord returns how long a record, with its key, may be in a queue of so many bytes: its memory is up to a
// quarter longer.
func largestRecord(bytes int) int {
	return int(recordBytes(bytes)-itemOverhead)*4/5 - tracecontext.ParentLength
}

// shard returns the one for a record: records of one key share one, which keeps their order.
func (q *queue) shard(key []byte) *shard {
	var n uint64
	if key != nil {
		n = maphash.Bytes(q.seed, key)
	} else {
		h := q.hints.Get().(*hint)
		n = uint64(h.shard)
		q.hints.Put(h)
	}
	return &q.shards[n%uint64(len(q.shards))]
}

// reserve takes room for a record of n bytes. It returns false when there is none.
func (q *queue) reserve(n int64) bool {
	for {
		bytes := q.bytes.Load()
		if bytes+n > q.maxBytes {
			return false
		}
		if q.bytes.CompareAndSwap(bytes, bytes+n) {
			break
		}
	}
	if q.records.Add(1) > q.maxRecords {
		q.records.Add(-1)
		q.bytes.Add(-n)
		return false
	}
	return true
}

// release gives room back, and wakes who waits for it.
func (q *queue) release(records, bytes int64) {
	q.records.Add(-records)
	q.bytes.Add(-bytes)
	q.changed.send()
}

// makeRoom takes room for a record that found none, as the policy of its level says. It returns why there is none. Records
// that are dropped for it go to drop.
func (q *queue) makeRoom(e *entry, n int64, drop func(*queued)) (why reason, ok bool) {
	if n > q.maxBytes {
		return tooLarge, false
	}
	switch policy := q.policyOf(e).(type) {
	case block:
		return q.await(n, time.Duration(policy))
	case dropping:
		if policy == DropOldest && q.sent.Load() < q.maxRecords && q.sentBytes.Load()+n <= q.maxBytes {
			return full, q.replaceOldest(n, drop)
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
func (q *queue) replaceOldest(n int64, drop func(*queued)) bool {
	for !q.reserve(n) {
		var oldest *shard
		var least uint64
		for i := range q.shards {
			if seq := q.shards[i].oldest(); seq > 0 && (oldest == nil || seq < least) {
				oldest, least = &q.shards[i], seq
			}
		}
		if oldest == nil {
			return false
		}
		if r := oldest.dropOldest(least, full); r != nil {
			q.release(1, r.charge())
			drop(r)
		}
	}
	return true
}

// await waits for room for n bytes, at most d, or until the queue is closed.
func (q *queue) await(n int64, d time.Duration) (why reason, ok bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		changed := q.changed.wait()
		switch {
		case q.closed.Load():
			q.changed.leave()
			return closed, false
		case q.reserve(n):
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
	return 2*q.records.Load() >= q.maxRecords || 2*q.bytes.Load() >= q.maxBytes
}

// hasWaiting tells whether a record waits to be sent.
func (q *queue) hasWaiting() bool {
	for i := range q.shards {
		if q.shards[i].oldest() > 0 {
			return true
		}
	}
	return false
}

// canTake tells whether the window lets records out: not before there is room for more than a few, so that batches are
// large when it is the window that limits them. A record that is larger than the window goes alone.
func (q *queue) canTake() bool {
	return q.sentBytes.Load() <= q.window-q.window/8 || q.sent.Load() == 0
}

// batchRecords is how many records one hand-over to the producer has at most.
const batchRecords = 4096

// take appends to batch what the window lets out, in the order in which the records came.
func (q *queue) take(batch []*queued) []*queued {
	if !q.canTake() {
		return batch
	}
	room := max(1, q.window-q.sentBytes.Load())
	for _, parts := range []int64{int64(len(q.shards)), 1} { // all get the same share first, then who has more the rest
		for i := range q.shards {
			batch, room = q.shards[i].take(batch, (batchRecords-len(batch))/int(parts), room/parts, room)
		}
	}
	slices.SortFunc(batch, func(a, b *queued) int { return cmp.Compare(a.seq, b.seq) })
	bytes := int64(0)
	for _, r := range batch {
		bytes += r.charge()
	}
	q.sent.Add(int64(len(batch)))
	q.sentBytes.Add(bytes)
	return batch
}

// flush waits until every record that was accepted before it has its outcome.
func (q *queue) flush(ctx context.Context, why func(context.Context) error) error {
	last := q.seq.Load()
	q.hurry(1)
	defer q.hurry(-1)
	for {
		changed := q.changed.wait()
		left := q.upTo(last)
		if left > 0 {
			select {
			case <-changed:
			case <-ctx.Done():
				left = q.upTo(last)
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

// upTo counts the records without an outcome, up to a number.
func (q *queue) upTo(seq uint64) int {
	n := 0
	for i := range q.shards {
		n += q.shards[i].upTo(seq)
	}
	return n
}

// close ends the intake.
func (q *queue) close() {
	for i := range q.shards {
		q.shards[i].close()
	}
	q.closed.Store(true)
	q.changed.send()
}

// abandon drops what has no outcome, and returns it in its order. Outcomes that come later do not count.
func (q *queue) abandon() []*queued {
	var left []*queued
	bytes := int64(0)
	for i := range q.shards {
		left = append(left, q.shards[i].abandon(undelivered)...)
	}
	for _, r := range left {
		bytes += r.charge()
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

// outcomes are the records whose attempts have ended. The producer adds to them, perhaps with its lock held; the worker
// deals with them.
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

// signal wakes all who wait for a change. Who waits calls wait, then looks, and calls leave when the wait is over: what
// changes after the look is not missed.
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
