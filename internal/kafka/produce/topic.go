package produce

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// stickySlots is how many batches of a topic take records without a key at one time, at most. The first is the only one
// that is used as long as no two goroutines add a record in the same moment.
const stickySlots = 8

// lockTries is how often a goroutine tries to lock a partition. It takes about as long as adding a record does.
const lockTries = 100

// maxTakeovers is how often one goroutine takes in what others have left before it goes on with its own work.
const maxTakeovers = 16

// entry is a record on its way into a batch.
type entry struct {
	timeMs     int64
	key, value []byte
	headers    []wire.Header
	urgent     bool
}

// queuedRecord is a record, with its bytes copied, that is in no batch yet: the partitions of its topic are not known,
// or another goroutine has its partition locked.
type queuedRecord struct {
	entry
	promise *Promise
	size    int64
	group   *flushEpoch
	next    *queuedRecord // of partition.left
}

// newQueuedRecord copies a record, which counts for the group from now on.
func newQueuedRecord(e *entry, promise *Promise, size int64, g *flushEpoch) *queuedRecord {
	c := &queuedRecord{entry: *e, promise: promise, size: size, group: g}
	c.key, c.value, c.headers = bytes.Clone(e.key), bytes.Clone(e.value), slices.Clone(e.headers)
	for i := range c.headers {
		c.headers[i].Value = bytes.Clone(c.headers[i].Value)
	}
	return c
}

// topic is a topic that was produced to. Once its partitions are known it is kept: they hold the sequences that the
// broker expects next. Guarded by Producer.mu.
type topic struct {
	name        string
	partitions  []*partition    // empty until known
	queued      []*queuedRecord // in order, until known
	ensured     bool            // EnsureTopic succeeded, and the topic was not seen missing since
	ensuring    bool            // a goroutine is at it
	fault       fault
	compression wire.Compression
	seen        time.Time // when ensureTopic has last seen it

	// What Produce needs of a known topic. It has no mutex.
	routes atomic.Pointer[routes]
	sticky [stickySlots]atomic.Pointer[partition] // where records without a key go, as long as that has a batch for them
	next   atomic.Uint32                          // where the next such batch goes
}

// routes is where a topic's records go. It is never changed once made.
type routes struct {
	all []*partition // that the topic has now: fewer than topic.partitions after it was deleted and created anew
	led []*partition // those with a leader; all, where there is none
}

// partition is the queue of one partition. Guarded by Producer.mu, but for what mu guards.
type partition struct {
	topic  *topic
	id     int32
	leader int32 // -1: none

	// No Produce waits for mu: where it is locked, the record is left to who has it, and who unlocks it takes in what
	// was left (see Producer.unlock). A goroutine that is interrupted while it has the mutex would stop all that come
	// to this partition.
	mu      sync.Mutex
	queue   []*batch                     // closed, in order; guarded by mu
	open    *batch                       // takes records; guarded by mu
	unkeyed atomic.Bool                  // open takes records without a key; changed with mu held
	left    atomic.Pointer[queuedRecord] // the last one first

	removed bool // the topic has it no more
	// in a request, or the broker may have it: nothing behind it goes before it, which is what keeps the order
	flight *batch
	busy   bool // flight is in a request right now
	active bool // listed in Producer.active

	identity wire.Producer // ID -1: none yet. Sequence is the next one the broker expects.
	fault    fault
}

// tryLock locks the partition unless another goroutine has it for longer than it takes to add a record.
func (q *partition) tryLock() bool {
	for range lockTries {
		if q.mu.TryLock() {
			return true
		}
	}
	return false
}

// unlock unlocks the partition, after the records that were left in it meanwhile are in its batches. Who leaves one
// tries the mutex once more: either that succeeds, or the one who has it sees the record here. Where others leave
// records all the time, the sender goes on with it.
func (p *Producer) unlock(q *partition) {
	for range maxTakeovers {
		p.drainLeft(q)
		q.mu.Unlock()
		if q.left.Load() == nil || !q.mu.TryLock() {
			return
		}
	}
	q.mu.Unlock()
	p.signal()
}

// drainLeft puts the records that were left in the partition, whose mutex the caller has, into its batches.
func (p *Producer) drainLeft(q *partition) {
	if q.left.Load() == nil {
		return
	}
	var first *queuedRecord
	for c := q.left.Swap(nil); c != nil; {
		c, c.next, first = c.next, first, c
	}
	for c := first; c != nil; c = c.next {
		p.addLocked(q, &c.entry, c.promise, c.size, c.group)
		c.group.resolve()
	}
}

// leave leaves a record in a partition that is locked. It reports false once the Producer closes.
func (p *Producer) leave(q *partition, e *entry, promise *Promise, size int64) bool {
	g := p.join(q)
	if g == nil {
		return false
	}
	p.push(q, newQueuedRecord(e, promise, size, g))
	return true
}

// push adds a record to those that are left in a partition. Close may have given up what the partition had since the
// record joined its group: nobody sends the record then, and it fails here. Producer.mu is not held in that case, as
// Close cannot have begun while it is.
func (p *Producer) push(q *partition, c *queuedRecord) {
	for {
		c.next = q.left.Load()
		if q.left.CompareAndSwap(c.next, c) {
			break
		}
	}
	if q.mu.TryLock() {
		p.unlock(q)
	}
	if p.ctx.Err() != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.failUnsent(q, fmt.Errorf("produce: to %q: %w before the record was sent", q.topic.name, kafka.ErrClosed))
	}
}

func (p *Producer) idle(q *partition) bool {
	open, queued := p.waiting(q)
	return open == nil && !queued && q.flight == nil
}

// waiting returns the open batch, if there is one, and whether others wait before it.
func (p *Producer) waiting(q *partition) (open *batch, queued bool) {
	q.mu.Lock()
	defer p.unlock(q)
	p.drainLeft(q)
	return q.open, len(q.queue) > 0
}

func (q *partition) setOpen(b *batch) {
	q.open = b
	q.unkeyed.Store(b != nil && b.sticky)
}

// closeOpen moves the open batch into the queue. The caller has q.mu.
func (q *partition) closeOpen() {
	q.queue = append(q.queue, q.open)
	q.setOpen(nil)
}

// pop takes the next batch to be sent out of the partition; nil when there is none.
func (p *Producer) pop(q *partition) *batch {
	q.mu.Lock()
	defer p.unlock(q)
	b := q.open
	if len(q.queue) == 0 {
		q.setOpen(nil)
		return b
	}
	b, q.queue[0] = q.queue[0], nil
	q.queue = q.queue[1:]
	return b
}

// putFirst puts batches before all that were not sent.
func (p *Producer) putFirst(q *partition, batches ...*batch) {
	q.mu.Lock()
	defer p.unlock(q)
	q.queue = slices.Insert(q.queue, 0, batches...)
}

// removeUnsent takes all batches that were not sent out of the partition, in order.
func (p *Producer) removeUnsent(q *partition) []*batch {
	q.mu.Lock()
	defer p.unlock(q)
	p.drainLeft(q)
	batches := q.queue
	if q.open != nil {
		batches = append(batches, q.open)
	}
	q.queue = nil
	q.setOpen(nil)
	return batches
}

// enter puts one record where it belongs: into a batch, or aside until its topic is known.
func (p *Producer) enter(name string, e *entry, promise *Promise, size int64) {
	t := p.topics[name]
	if t == nil {
		t = &topic{name: name, compression: p.compression(name)}
		p.topics[name] = t
		p.unready[t] = struct{}{}
	}
	if len(t.partitions) > 0 {
		p.addToBatch(t, e, promise, size, nil)
		return
	}
	t.queued = append(t.queued, newQueuedRecord(e, promise, size, p.join(nil)))
	if len(t.queued) == 1 {
		p.signal()
	}
}

// addToBatch adds a record, that was produced in group g, to a batch of a known topic. Where g is nil it is produced
// now, and false is returned if the Producer closes, which cannot be while Producer.mu is held.
func (p *Producer) addToBatch(t *topic, e *entry, promise *Promise, size int64, g *flushEpoch) bool {
	to := t.routes.Load()
	if e.key != nil {
		return p.addToPartition(to.all[wire.Murmur2Partition(e.key, len(to.all))], e, promise, size, g)
	}
	slots := t.sticky[:min(len(t.sticky), len(to.led))]
	for i := range slots {
		q := slots[i].Load()
		switch {
		case q == nil:
		case !q.mu.TryLock():
			continue
		case q.unkeyed.Load() && p.fits(q.open, size, g):
			added := p.addLocked(q, e, promise, size, g)
			p.unlock(q)
			return added
		default:
			if q.unkeyed.Load() {
				q.closeOpen()
			}
			p.unlock(q)
		}
		q = to.nextUnkeyed(&t.next) // whole batches go round
		slots[i].Store(q)
		return p.addToPartition(q, e, promise, size, g)
	}
	return p.addToPartition(slots[0].Load(), e, promise, size, g)
}

// addToPartition is addToBatch for a record whose partition is known.
func (p *Producer) addToPartition(q *partition, e *entry, promise *Promise, size int64, g *flushEpoch) bool {
	if !q.tryLock() {
		if g == nil {
			return p.leave(q, e, promise, size)
		}
		q.mu.Lock()
	}
	defer p.unlock(q)
	p.drainLeft(q)
	return p.addLocked(q, e, promise, size, g)
}

// addLocked is addToPartition with the partition's mutex held.
func (p *Producer) addLocked(q *partition, e *entry, promise *Promise, size int64, g *flushEpoch) bool {
	if q.open != nil && !p.fits(q.open, size, g) {
		q.closeOpen()
	}
	b := q.open
	if b == nil {
		if b = p.openBatch(q, g); b == nil {
			return false
		}
		q.setOpen(b)
	}
	if e.key == nil && !b.sticky {
		b.sticky = true
		q.unkeyed.Store(true)
	}
	b.add(e, promise, size)
	if e.urgent && !b.urgent.Swap(true) {
		p.signal()
	}
	if b.store.builder.Size() >= p.maxBatch {
		q.closeOpen()
		p.signal()
	}
	return true
}

// fits reports whether an open batch takes a record more. A batch of a later Flush does not: who waits for an
// earlier one would not wait for it.
func (p *Producer) fits(b *batch, size int64, g *flushEpoch) bool {
	return (g == nil || b.group.number <= g.number) && b.store.builder.Size()+int(size) <= p.maxBatch
}

// nextUnkeyed returns the partition for a batch of records without a key: the next one that has a leader, and no
// such batch if there is one. Whole batches compress better and cost fewer requests than single records spread out.
func (r *routes) nextUnkeyed(next *atomic.Uint32) *partition {
	var q *partition
	for range r.led {
		q = r.led[next.Add(1)%uint32(len(r.led))]
		if !q.unkeyed.Load() {
			break
		}
	}
	return q
}

// updateLeaders takes over what the cluster says about the topic's partitions. A partition whose leader moved is due at
// once.
func (p *Producer) updateLeaders(t *topic, leaders []int32) {
	for i, leader := range leaders {
		if i == len(t.partitions) {
			t.partitions = append(t.partitions, &partition{topic: t, id: int32(i), leader: leader, identity: wire.NoProducer()})
			continue
		}
		q := t.partitions[i]
		q.removed = false
		if q.leader != leader {
			q.leader = leader
			q.fault.due = time.Time{}
		}
	}
	for _, q := range t.partitions[len(leaders):] {
		q.leader = -1
	}
	if len(leaders) == 0 {
		return
	}
	t.setRoutes(len(leaders))
	for _, q := range t.partitions[len(leaders):] {
		q.removed = true
		p.moveAway(q)
	}
	for _, c := range t.queued {
		p.addToBatch(t, &c.entry, c.promise, c.size, c.group)
		c.group.resolve() // it counts for its batch now
	}
	t.queued = nil
	if known := *p.known.Load(); known[t.name] == nil { // only now: no record may overtake those that were queued
		known = maps.Clone(known)
		known[t.name] = t
		p.known.Store(&known)
	}
}

// setRoutes makes the first n partitions those of the topic.
func (t *topic) setRoutes(n int) {
	r := &routes{all: t.partitions[:n:n]}
	for _, q := range r.all {
		if q.leader >= 0 {
			r.led = append(r.led, q)
		}
	}
	if len(r.led) == 0 {
		r.led = r.all
	}
	t.routes.Store(r)
}

// moveAway places the records of a partition that does not exist any more among those that do.
func (p *Producer) moveAway(q *partition) {
	if q.busy || p.idle(q) {
		return
	}
	batches := p.removeUnsent(q)
	if q.flight != nil {
		batches = slices.Insert(batches, 0, q.flight)
	}
	if q.flight != nil && q.flight.mayBeWritten {
		p.resetProducerID(q) // should the partition come back after all, the sequence may be spent
	}
	q.flight = nil
	for _, b := range batches {
		records, err := b.records()
		if err != nil {
			p.drop(b, fmt.Errorf("produce: to %q: move records from partition %d, which is gone: %w", q.topic.name, q.id, err))
			continue
		}
		p.quota.release(len(b.promises)-b.pending, 0)
		held := b.bytes
		for i, promise := range b.promises {
			if promise == nil {
				continue
			}
			r := &records[i]
			e := entry{timeMs: r.Time.UnixMilli(), key: r.Key, value: r.Value, headers: r.Headers, urgent: b.urgent.Load()}
			size := recordSize(&e)
			held -= size
			p.addToBatch(q.topic, &e, promise, size, b.group)
			b.resolved(1)
		}
		p.quota.release(0, held)
	}
}
