package produce

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// Codes that this package handles itself; kafka.Classify knows what the others mean.
const (
	unknownServer     = -1 // the broker failed in a way it has no word for
	unknownTopic      = 3
	notEnoughReplicas = 19 // nothing was written
	clusterDenied     = 31
	duplicateSequence = 46 // the broker has the batch already, and has forgotten where
)

// maxUnknownServer is how often a batch is sent again that the broker fails on without saying why. After that it is
// taken for a bad record.
const maxUnknownServer = 10

// request is one produce request: batches of partitions that have the same leader, one of each.
type request struct {
	leader int32
	size   int
	items  []item
}

// item is one batch of a request and what became of it.
type item struct {
	q        *partition
	b        *batch
	producer wire.Producer

	err          error // nil: the broker has it
	mayBeWritten bool  // there is an error, and the broker may have it
	offset       int64 // of the first record; -1: not known
	bad          []int // positions of the records that the broker blames
}

// send makes one attempt and applies its response. It runs in a goroutine of its own.
func (p *Producer) send(r *request) {
	lost := p.exchange(r)
	if errors.Is(lost, os.ErrDeadlineExceeded) {
		p.client.DropIdle() // those pooled beside it may hang as well, and would cost a deadline each
	}
	p.applyResponse(r, lost)
}

// exchange sends the request and fills in the items. It returns the error of a request that got no answer.
func (p *Producer) exchange(r *request) error {
	batches := make([]wire.PartitionBatch, 0, len(r.items))
	sent := make([]*item, 0, len(r.items))
	for i := range r.items {
		it := &r.items[i]
		if it.err = it.b.seal(it.producer, it.q.topic.compression); it.err == nil {
			batches = append(batches, wire.PartitionBatch{Topic: it.q.topic.name, Partition: it.q.id, Batch: it.b.encoded})
			sent = append(sent, it)
		}
	}
	if len(batches) == 0 {
		return nil
	}
	// The broker waits for its replicas a little less long than we wait for the broker: then it is the broker who tells.
	wait := p.attempt - p.attempt/4
	var writing wire.Writing
	answer, err := p.client.RoundTrip(p.ctx, wire.NewProduceRequest(r.leader, p.client.Settings().ClientID, p.acks,
		wait, batches, &writing), p.attempt)
	var parts []wire.ProducedPartition
	if err == nil {
		parts, err = wire.ProduceResponse(answer)
	}
	if err != nil {
		mayBeWritten := !writing.Cancel()
		for _, it := range sent {
			it.err, it.mayBeWritten = err, mayBeWritten
		}
		if kafka.Classify(err) == kafka.Transient {
			return err
		}
		return nil
	}
	type topicPartition struct {
		topic     string
		partition int32
	}
	byPartition := make(map[topicPartition]*wire.ProducedPartition, len(parts))
	for i := range parts {
		byPartition[topicPartition{parts[i].Topic, parts[i].Partition}] = &parts[i]
	}
	for _, it := range sent {
		it.judge(byPartition[topicPartition{it.q.topic.name, it.q.id}])
	}
	return nil
}

// errNoAnswer is a response that does not mention a partition of the request.
var errNoAnswer = errors.New("the broker's answer does not mention the partition")

// judge reads the broker's answer for one batch.
func (it *item) judge(a *wire.ProducedPartition) {
	switch {
	case a == nil:
		it.err, it.mayBeWritten = errNoAnswer, true
		return
	case a.Code == duplicateSequence:
		it.offset = -1
		return
	case a.Code == 0:
		it.offset = a.BaseOffset
		return
	}
	it.err = kafka.CodeErr(a.Code)
	switch kafka.Classify(it.err) {
	case kafka.Transient:
		it.mayBeWritten = a.Code != notEnoughReplicas
	case kafka.Moved:
		// a leader that steps down says so of batches, too, that it has written and others may have copied
		it.mayBeWritten = true
	}
	for _, e := range a.RecordErrors {
		it.bad = append(it.bad, e.Index)
		if a.ErrorMessage == "" {
			a.ErrorMessage = e.Message
		}
	}
	if a.ErrorMessage != "" {
		it.err = fmt.Errorf("%w: %s", it.err, a.ErrorMessage)
	}
}

// class is what to do about the item's error.
func (it *item) class() kafka.Class {
	if it.b.encoded == nil {
		return kafka.Permanent // it could not be sealed, and would not be the next time
	}
	if it.b.attempts >= maxUnknownServer && errors.Is(it.err, kafka.CodeErr(unknownServer)) {
		return kafka.BadRecord
	}
	return kafka.Classify(it.err)
}

// applyResponse does to each batch of an answered request what its answer asks for. lost is the error of a request
// that got none: then nothing is known about any of its batches, and the fault is the broker's, not theirs.
func (p *Producer) applyResponse(r *request, lost error) {
	now := time.Now()
	acked := make([]*item, 0, len(r.items))
	resets := 0

	p.mu.Lock()
	br := p.brokers[r.leader]
	br.inFlight--
	p.stats.InFlight--
	if lost != nil {
		br.fault.failed(fmt.Errorf("produce: %s: %w", p.brokerName(r.leader), lost), now, p.backoff, 0)
	} else {
		br.fault.clear()
	}
	for i := range r.items {
		it := &r.items[i]
		q := it.q
		q.busy = false
		if q.flight != it.b {
			continue // given up by Close meanwhile
		}
		if it.err == nil {
			q.flight = nil
			q.fault.clear()
			q.advance(len(it.b.promises))
			acked = append(acked, it)
			continue
		}
		if p.ctx.Err() != nil {
			continue // Close ended the attempt, and deals with what is left
		}
		if it.mayBeWritten {
			it.b.setMayBeWritten()
		}
		class := it.class()
		err := fmt.Errorf("produce: to %q, partition %d: %w", q.topic.name, q.id, it.err)
		switch class {
		case kafka.Transient:
			if lost == nil {
				q.fault.failed(err, now, p.backoff, 0)
			}
		case kafka.Moved, kafka.TopicMissing:
			p.watch.Refresh()
			q.fault.failed(err, now, p.backoff, movedDelay)
		case kafka.Sequence:
			p.resetProducerID(q)
			resets++
			q.fault.failed(err, now, p.backoff, 0)
		case kafka.BadRecord:
			p.split(q, it, err)
		default:
			p.failFlight(q, err)
		}
		if q.flight == it.b && !it.b.mayBeWritten {
			// The batch certainly was not written: its records can still be taken out, when their contexts end.
			p.putFirst(q, q.flight)
			q.flight = nil
		}
	}
	records := p.acknowledge(acked)
	p.mu.Unlock()

	for i, it := range acked {
		for at, promise := range records[i] {
			if promise == nil {
				continue
			}
			offset := it.offset
			if offset >= 0 {
				offset += int64(at)
			}
			promise.acknowledge(it.q.id, offset)
		}
	}
	p.retire(acked, records)
	p.signal()
	if resets > 0 {
		p.log.Warn("produce: the broker does not know this producer's sequence any more: going on with a new producer id; "+
			"a record whose answer was lost may be there twice", "partitions", resets)
	}
}

// acknowledge takes the promises of written batches, so that nobody else resolves them.
func (p *Producer) acknowledge(acked []*item) [][]*Promise {
	acknowledged := make([][]*Promise, len(acked))
	for i, it := range acked {
		acknowledged[i] = it.b.promises
		it.b.promises = nil
		p.stats.Sent += uint64(it.b.pending)
	}
	return acknowledged
}

// retire gives back what written batches held, once their promises are resolved: Flush must not return before.
func (p *Producer) retire(acked []*item, records [][]*Promise) {
	p.mu.Lock()
	for i, it := range acked {
		it.b.resolved(it.b.pending)
		p.quota.release(len(records[i]), it.b.bytes)
	}
	p.mu.Unlock()
	for i, it := range acked {
		if it.b.attempts == 1 { // no abandoned exchange can still be reading its memory
			clear(records[i])
			clear(it.b.contexts)
			it.b.store.promises, it.b.store.contexts = records[i], it.b.contexts
			p.stores.Put(it.b.store)
		}
	}
}
