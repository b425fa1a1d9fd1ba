package fetch

import (
	"context"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// chunkRecords is about how many records a chunk has at most: batches are added to it until it has that
// many. A compressed batch makes a chunk of its own, so that one is unpacked at a time.
const chunkRecords = 4096

// Next returns the next chunk, and decodes it. It waits until there is one, or ctx ends, which is then
// the error. The chunk and its Records are valid until the next call.
//
// A *PartitionError or a *BrokerError leaves the Fetcher working, and the caller to decide. After Close
// it is ErrClosed.
func (f *Fetcher) Next(ctx context.Context) (*Chunk, error) {
	clear(f.records) // or they would keep the responses that they lie in
	f.records = f.records[:0]
	for {
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case isDone(f.done):
			return nil, ErrClosed
		}
		s, standing := f.upNext()
		switch {
		case s == nil:
			if err := f.queue.wait(ctx, f.done); err != nil {
				return nil, err
			}
			continue
		case s.broker != nil:
			f.finish()
			return nil, s.broker
		case standing == gone:
			f.finish()
			continue
		case standing == parked:
			f.current = nil
			continue
		}
		next, err := f.decode(s)
		if len(s.items) == 0 {
			f.finish()
		}
		if err != nil {
			return nil, err
		}
		f.chunk = Chunk{Topic: s.part.Topic, Partition: s.part.Partition, Records: f.records, Next: next, HighWatermark: s.highWatermark}
		return &f.chunk, nil
	}
}

// decode reads the next records of the segment into f.records. It returns the offset after
// them. An error comes alone: what lies before it has been returned.
func (f *Fetcher) decode(s *segment) (next int64, err error) {
	if len(s.items) == 0 {
		return s.next, nil // nothing but a new offset
	}
	for len(s.items) > 0 && len(f.records) < chunkRecords {
		it := &s.items[0]
		if it.err != nil {
			if len(f.records) > 0 {
				return next, nil
			}
			s.items = s.items[1:]
			if len(s.items) == 0 && it.err.Next >= 0 {
				it.err.Next = s.next // over what follows and is not to be seen
			}
			return 0, it.err
		}
		packed := it.batch.Compression() != wire.None
		if packed && len(f.records) > 0 {
			return next, nil
		}
		start := len(f.records)
		f.records, err = it.batch.Records(f.records, f.opts.MaxUnpacked)
		if err != nil {
			f.corrupt.Add(1)
			it.err = &PartitionError{
				Topic: s.part.Topic, Partition: s.part.Partition, Offset: it.batch.BaseOffset, Next: it.batch.LastOffset + 1, Err: err,
			}
			continue
		}
		if it.batch.BaseOffset < s.from {
			f.records = dropBefore(f.records, start, s.from)
		}
		next = it.batch.LastOffset + 1
		s.items = s.items[1:]
		if packed && len(f.records) > 0 {
			break
		}
	}
	if len(s.items) == 0 {
		next = s.next
	}
	return next, nil
}

// dropBefore removes the records from index start on whose offset is below from.
func dropBefore(records []wire.Record, start int, from int64) []wire.Record {
	n := start
	for n < len(records) && records[n].Offset < from {
		n++
	}
	return append(records[:start], records[n:]...)
}

// finish lets go of the current segment.
func (f *Fetcher) finish() {
	s := f.current
	f.current = nil
	f.queue.release(s)
	if s.part == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	before := s.part.queued
	s.part.queued -= s.bytes
	if most := f.partitionBytes(); before >= most && s.part.queued < most {
		f.wakeLocked(s.part.leader)
	}
}

// What is to be done with a segment.
type standing int

const (
	read   standing = iota
	gone            // its partition is no longer read, or has been added anew
	parked          // it has been put aside until its partition is resumed
)

// upNext makes the next segment the current one, unless there is one, and tells what is to be done with it; nil if there is none. It is
// parked if its partition is paused. All of that is one step: a Resume in between would put what is parked behind it.
func (f *Fetcher) upNext() (*segment, standing) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == nil {
		f.current = f.queue.take()
	}
	s := f.current
	if s == nil || s.broker != nil {
		return s, read
	}
	return s, f.standingLocked(s)
}

func (f *Fetcher) standingLocked(s *segment) standing {
	p := s.part
	switch {
	case f.partitions[p.TopicPartition] != p:
		return gone
	case p.paused:
		p.parked = append(p.parked, s)
		f.queue.release(s)
		return parked
	default:
		return read
	}
}

// partitionBytes is how much of a partition may be fetched and not yet decoded for more to be asked for.
func (f *Fetcher) partitionBytes() int { return 2 * f.cfg.MaxPartitionFetchBytes }

func isDone(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
