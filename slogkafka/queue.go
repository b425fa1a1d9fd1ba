package slogkafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// ErrFull is what Handle returns for a record that found no room in the queue, and was dropped.
var ErrFull = errors.New("slogkafka: the queue is full")

// item is one encoded record.
type item struct {
	seq        uint64 // its place in the order of the queue
	key, value []byte
	headers    []bus.Header
	time       time.Time
}

// itemOverhead is what an item takes besides its bytes.
const itemOverhead = 128

func (it *item) size() int { return itemOverhead + len(it.key) + len(it.value) }

// queue holds the records that wait for their outcome, in their order, and counts. Callers push; the one worker takes
// batches and records their outcomes. Its mutex is held for moments only.
type queue struct {
	maxRecords, maxBytes int
	linger               time.Duration
	policy               Policy

	// wake has room for one: the worker is to look again.
	wake chan struct{}

	mu           sync.Mutex
	waiting      []item // oldest first
	sending      []item // the worker's batch: older than all that wait
	bytes        int    // of both
	sendingBytes int    // of the batch alone
	seq          uint64 // of the last one that was queued
	stats        Stats  // but for Queued and QueuedBytes
	worker       workerState
	hurried      int   // Flush and Close calls: the worker does not linger
	closed       bool  // nothing comes in any more
	abandoned    bool  // nothing is left, and late outcomes do not count
	failure      error // of the last batch, if it failed
	change       chan struct{}
}

// workerState is what the worker waits for, and so what has to wake it.
type workerState uint8

const (
	busy      workerState = iota
	idle                  // until there is a record
	lingering             // until there are more
)

func newQueue(o options) *queue {
	return &queue{
		maxRecords: o.records, maxBytes: o.bytes, linger: o.linger, policy: o.policy,
		wake:  make(chan struct{}, 1),
		stats: Stats{DroppedBy: make(map[string]uint64)},
	}
}

// rouse wakes the worker.
func (q *queue) rouse() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// changed returns a channel that is closed when records leave the queue, or it closes. The caller holds the mutex.
func (q *queue) changed() <-chan struct{} {
	if q.change == nil {
		q.change = make(chan struct{})
	}
	return q.change
}

// tell closes the channel of changed. The caller holds the mutex.
func (q *queue) tell() {
	if q.change != nil {
		close(q.change)
		q.change = nil
	}
}

func (q *queue) fits(n int) bool {
	return len(q.waiting)+len(q.sending) < q.maxRecords && q.bytes+n <= q.maxBytes
}

// fitsBesideSending tells whether a record of n bytes would fit if nothing waited.
func (q *queue) fitsBesideSending(n int) bool {
	return len(q.sending) < q.maxRecords && q.sendingBytes+n <= q.maxBytes
}

// push takes a record in, as the policy says. It returns the records that were dropped for it, the record itself
// perhaps, and then why.
func (q *queue) push(it item) (dropped []item, reason string) {
	n := it.size()
	q.mu.Lock()
	defer q.mu.Unlock()
	if d, blocks := q.policy.(block); blocks && !q.closed && n <= q.maxBytes && !q.fits(n) {
		q.await(n, time.Duration(d))
	}
	q.stats.Accepted++
	if q.closed {
		q.drop(DroppedClosed, 1)
		return []item{it}, DroppedClosed
	}
	if n > q.maxBytes {
		q.drop(DroppedTooLarge, 1)
		return []item{it}, DroppedTooLarge
	}
	if q.policy == DropOldest && q.fitsBesideSending(n) {
		for !q.fits(n) && len(q.waiting) > 0 {
			dropped = append(dropped, q.waiting[0])
			q.bytes -= q.waiting[0].size()
			q.waiting[0] = item{}
			q.waiting = q.waiting[1:]
		}
		if len(dropped) > 0 {
			q.drop(DroppedFull, len(dropped))
			q.tell()
		}
	}
	if !q.fits(n) {
		q.drop(DroppedFull, 1)
		return append(dropped, it), DroppedFull
	}
	q.seq++
	it.seq = q.seq
	q.waiting = append(q.waiting, it)
	q.bytes += n
	if q.worker == idle || q.worker == lingering && q.halfFull() {
		q.worker = busy
		q.rouse()
	}
	return dropped, DroppedFull
}

// await waits until a record of n bytes fits, the queue is closed, or d is over. The caller holds the mutex, and has it back.
func (q *queue) await(n int, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for !q.closed && !q.fits(n) {
		change := q.changed()
		q.mu.Unlock()
		select {
		case <-change:
			q.mu.Lock()
		case <-timer.C:
			q.mu.Lock()
			return
		}
	}
}

// refuse counts a record that is not even tried.
func (q *queue) refuse(reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats.Accepted++
	q.drop(reason, 1)
}

func (q *queue) drop(reason string, n int) {
	q.stats.Dropped += uint64(n)
	q.stats.DroppedBy[reason] += uint64(n)
}

func (q *queue) halfFull() bool {
	return 2*len(q.waiting) >= q.maxRecords || 2*q.bytes >= q.maxBytes
}

// What one batch holds at most. A batch has to be answered before the next one is sent, so it is large.
const (
	batchRecords = 5_000
	batchBytes   = 4 << 20
)

// take waits for records and returns the oldest as a batch, which is then being sent. It returns none when ctx ends, or
// when the queue is closed and empty.
func (q *queue) take(ctx context.Context) []item {
	var timer *time.Timer
	lingered := q.linger == 0
	for {
		q.mu.Lock()
		ready := len(q.waiting) > 0
		switch {
		case ready && (lingered || q.hurried > 0 || q.closed || q.halfFull()):
			defer q.mu.Unlock()
			if timer != nil {
				timer.Stop()
			}
			q.worker = busy
			return q.cut()
		case ready:
			q.worker = lingering
			if timer == nil {
				timer = time.NewTimer(q.linger)
			}
		case q.closed:
			q.mu.Unlock()
			return nil
		default:
			q.worker = idle
		}
		var over <-chan time.Time
		if timer != nil {
			over = timer.C
		}
		q.mu.Unlock()
		select {
		case <-q.wake:
		case <-over:
			lingered = true
		case <-ctx.Done():
			return nil
		}
	}
}

// cut moves the oldest records that fit into a batch from waiting to sending.
func (q *queue) cut() []item {
	n, bytes := 0, 0
	for n < len(q.waiting) && n < batchRecords && (n == 0 || bytes+q.waiting[n].size() <= batchBytes) {
		bytes += q.waiting[n].size()
		n++
	}
	q.sending = append(q.sending[:0], q.waiting[:n]...)
	clear(q.waiting[:n])
	q.waiting = q.waiting[n:]
	q.sendingBytes = bytes
	return q.sending
}

// recordOutcomes counts the outcomes of the batch that is being sent: delivered and dropped are over, left are tried
// again. It returns the batch that remains. It returns false, and counts nothing, after abandon, which has counted
// all records of the batch.
func (q *queue) recordOutcomes(delivered int, dropped map[string]int, left []item) ([]item, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.abandoned {
		return nil, false
	}
	q.stats.Delivered += uint64(delivered)
	for reason, n := range dropped {
		q.drop(reason, n)
	}
	q.bytes -= q.sendingBytes
	n := copy(q.sending, left)
	clear(q.sending[n:])
	q.sending = q.sending[:n]
	q.sendingBytes = 0
	for i := range q.sending {
		q.sendingBytes += q.sending[i].size()
	}
	q.bytes += q.sendingBytes
	q.tell()
	return q.sending, true
}

// flush waits until every record that is in the queue now has its outcome.
func (q *queue) flush(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	last := q.seq
	q.hurried++
	q.rouse()
	defer func() { q.hurried-- }()
	for {
		left := q.upTo(last)
		if left == 0 {
			return nil
		}
		change := q.changed()
		q.mu.Unlock()
		select {
		case <-change:
			q.mu.Lock()
		case <-ctx.Done():
			q.mu.Lock()
			if left = q.upTo(last); left == 0 {
				return nil
			}
			return fmt.Errorf("slogkafka: flush: %d log records have no outcome yet: %w", left, q.why(ctx))
		}
	}
}

// blame keeps what came of the last batch.
func (q *queue) blame(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failure = err
}

// why tells why records are left when ctx is over. The caller holds the mutex.
func (q *queue) why(ctx context.Context) error {
	if q.failure == nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), q.failure)
}

// upTo counts the records that are not over, up to a place in the order.
func (q *queue) upTo(seq uint64) int {
	n := 0
	for _, items := range [][]item{q.sending, q.waiting} {
		for i := range items {
			if items[i].seq > seq {
				return n
			}
			n++
		}
	}
	return n
}

// close ends the intake.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.tell()
	q.rouse()
}

// abandon drops what is left when ctx is over. It returns it, and why it is left.
func (q *queue) abandon(ctx context.Context) ([]item, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := append(append([]item(nil), q.sending...), q.waiting...)
	q.abandoned = true
	if len(left) > 0 {
		q.drop(DroppedUndelivered, len(left))
	}
	q.sending, q.waiting, q.bytes, q.sendingBytes = nil, nil, 0, 0
	q.tell()
	return left, q.why(ctx)
}

// note counts what the encoder had to do to a record.
func (q *queue) note(invalid, truncated bool) {
	if !invalid && !truncated {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if invalid {
		q.stats.Invalid++
	}
	if truncated {
		q.stats.Truncated++
	}
}

// snapshot returns the counts of one moment.
func (q *queue) snapshot() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.DroppedBy = maps.Clone(s.DroppedBy)
	s.Queued = uint64(len(q.waiting) + len(q.sending))
	s.QueuedBytes = uint64(q.bytes)
	return s
}
