package produce

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// entry is a record on its way into a batch.
type entry struct {
	timeMs     int64
	key, value []byte
	headers    []wire.Header
	urgent     bool
}

// parked is a record of a topic whose partitions are not known yet, with its bytes copied.
type parked struct {
	entry
	promise *Promise
	size    int64
	group   *group
}

// topic is a topic that was produced to. Once its partitions are known it is kept: they hold the sequences that the broker expects next.
// Guarded by Producer.mu.
type topic struct {
	name        string
	partitions  []*partition // empty until known
	parked      []parked     // in order, until known
	ensured     bool         // EnsureTopic succeeded, and the topic was not seen missing since
	ensuring    bool         // a goroutine is at it
	fault       fault
	compression wire.Compression
	seen        time.Time // when ensureTopic has last seen it

	width       int    // how many partitions it has now: fewer than len(partitions) after it was deleted and created anew
	sticky      int    // the partition that unkeyed records go to
	stickyBatch *batch // while this is its open batch
}

// partition is the queue of one partition. Guarded by Producer.mu.
type partition struct {
	topic  *topic
	id     int32
	leader int32 // -1: none

	open   *batch   // takes records
	queue  []*batch // closed, in order
	flight *batch   // in a request, or the broker may have it: nothing behind it goes before it, which is what keeps the order
	busy   bool     // flight is in a request right now
	active bool     // listed in Producer.active

	identity wire.Producer // ID -1: none yet. Sequence is the next one the broker expects.
	fault    fault
}

func (q *partition) idle() bool { return q.open == nil && q.flight == nil && len(q.queue) == 0 }

// enter puts one record where it belongs: into a batch, or aside until its topic is known.
func (p *Producer) enter(name string, e *entry, promise *Promise, size int64) {
	t := p.last
	if t == nil || t.name != name {
		if t = p.topics[name]; t == nil {
			t = &topic{name: name, compression: p.compression(name)}
			p.topics[name] = t
			p.unready[t] = struct{}{}
		}
		p.last = t
	}
	if len(t.partitions) > 0 {
		p.place(t, e, promise, size, p.group)
		return
	}
	p.group.live++
	c := parked{entry: *e, promise: promise, size: size, group: p.group}
	c.key, c.value, c.headers = bytes.Clone(e.key), bytes.Clone(e.value), slices.Clone(e.headers)
	for i := range c.headers {
		c.headers[i].Value = bytes.Clone(c.headers[i].Value)
	}
	t.parked = append(t.parked, c)
	if len(t.parked) == 1 {
		p.signal()
	}
}

// place adds one record, that was produced in group g, to a batch of a known topic.
func (p *Producer) place(t *topic, e *entry, promise *Promise, size int64, g *group) {
	var q *partition
	if e.key != nil {
		q = t.partitions[wire.Murmur2Partition(e.key, t.width)]
	} else {
		q = t.unkeyed()
	}
	if !p.fits(q, size, g) {
		q.close()
		if e.key == nil {
			q = t.unkeyed() // the next one: whole batches go round
			if !p.fits(q, size, g) {
				q.close()
			}
		}
	}
	b := q.open
	if b == nil {
		b = p.newBatch(g)
		q.open = b
		p.activate(q)
		if p.dueBefore(b, p.wakes) {
			p.signal()
		}
	}
	if e.key == nil {
		t.stickyBatch = b
	}
	b.add(e, promise, size)
	b.group.live++
	if e.urgent && !b.urgent {
		b.urgent = true
		p.signal()
	}
	if b.store.builder.Size() >= p.maxBatch {
		q.close()
		p.signal()
	}
}

// dueBefore reports whether a new batch, as far as it is not urgent, has to be looked at before t: to be sent, or because
// contexts of its records may have ended.
func (p *Producer) dueBefore(b *batch, t time.Time) bool {
	return b.group.ended || p.closing || len(p.room.waiting) > 0 || b.born.Add(min(p.linger, sweepInterval)).Before(t)
}

// fits reports whether the partition's open batch, if there is one, takes a record more. A batch of a later Flush does not: who waits for an
// earlier one would not wait for it.
func (p *Producer) fits(q *partition, size int64, g *group) bool {
	b := q.open
	return b == nil || b.group.number <= g.number && b.store.builder.Size()+int(size) <= p.maxBatch
}

// unkeyed returns the partition for a record without a key: the same one until its batch is gone, then the next that has a leader. Whole
// batches compress better and cost fewer requests than single records spread out.
func (t *topic) unkeyed() *partition {
	if q := t.partitions[t.sticky]; q.open != nil && q.open == t.stickyBatch {
		return q
	}
	for range t.width {
		t.sticky = (t.sticky + 1) % t.width
		if t.partitions[t.sticky].leader >= 0 {
			break
		}
	}
	return t.partitions[t.sticky]
}

// close moves the open batch into the queue.
func (q *partition) close() {
	q.queue = append(q.queue, q.open)
	q.open = nil
}

// putBack makes the batch that was to be sent, and certainly was not written, the first of the queue again. There its
// records can still be taken out, when their contexts end.
func (q *partition) putBack() {
	q.queue = slices.Insert(q.queue, 0, q.flight)
	q.flight = nil
}

func (p *Producer) activate(q *partition) {
	if !q.active {
		q.active = true
		p.active = append(p.active, q)
	}
}

// adopt takes over what the cluster says about the topic's partitions. A partition whose leader moved is due at once.
func (p *Producer) adopt(t *topic, leaders []int32) {
	for i, leader := range leaders {
		if i == len(t.partitions) {
			t.partitions = append(t.partitions, &partition{topic: t, id: int32(i), leader: leader, identity: wire.NoProducer()})
			continue
		}
		q := t.partitions[i]
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
	t.width = len(leaders)
	for _, q := range t.partitions[t.width:] {
		p.moveAway(q)
	}
	for i := range t.parked {
		c := &t.parked[i]
		p.place(t, &c.entry, c.promise, c.size, c.group)
		c.group.resolve(1) // it counts for its batch now
	}
	t.parked = nil
}

// moveAway places the records of a partition that does not exist any more among those that do.
func (p *Producer) moveAway(q *partition) {
	if q.busy || q.idle() {
		return
	}
	batches := q.queue
	if q.flight != nil {
		batches = append([]*batch{q.flight}, batches...)
	}
	if q.open != nil {
		batches = append(batches, q.open)
	}
	if q.flight != nil && q.flight.unsure {
		p.resetProducerID(q) // should the partition come back after all, the sequence may be spent
	}
	q.flight, q.queue, q.open = nil, nil, nil
	q.topic.stickyBatch = nil
	for _, b := range batches {
		records, err := b.records()
		if err != nil {
			p.drop(b, fmt.Errorf("produce: to %q: move records from partition %d, which is gone: %w", q.topic.name, q.id, err))
			continue
		}
		p.room.release(len(b.promises)-b.live, 0)
		held := b.bytes
		for i, promise := range b.promises {
			if promise == nil {
				continue
			}
			r := &records[i]
			e := entry{timeMs: r.Time.UnixMilli(), key: r.Key, value: r.Value, headers: r.Headers, urgent: b.urgent}
			size := recordSize(&e)
			held -= size
			p.place(q.topic, &e, promise, size, b.group)
			b.group.resolve(1)
		}
		p.room.release(0, held)
	}
}
