package fetch

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// chunkRecords is how many records a chunk has at most: batches are added to it until it has that many. A compressed
// batch makes chunks of its own, so that one piece of one is unpacked at a time.
const chunkRecords = 4096

// Next returns the next chunk. It waits until there is one, or ctx ends, which is then the error. The chunks of a
// partition come in the order of their offsets.
//
// A *PartitionError or a *BrokerError leaves the Fetcher working, and the caller to decide. After Close
// it is ErrClosed.
func (f *Fetcher) Next(ctx context.Context) (*Chunk, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if f.ctx.Err() != nil {
			return nil, ErrClosed
		}
		if r := f.pop(); r != nil {
			return r.chunk, r.err
		}
		select {
		case <-f.nextWoken:
		case <-f.ctx.Done():
		case <-ctx.Done():
		}
	}
}

// pop returns the first result whose partition is still read and not paused, nil if there is none. Before that it
// lets the partition of the result before go on.
func (f *Fetcher) pop() *result {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.startDecoderLocked()
	if p := f.last; p != nil {
		f.last, p.decoding = nil, false
		f.readyLocked(p)
	}
	for len(f.out) > 0 {
		r := f.out[0]
		f.out[0] = nil
		if f.out = f.out[1:]; len(f.out) == 0 {
			f.out = nil
		}
		p := r.part
		switch {
		case p == nil:
			return r
		case f.partitions[p.TopicPartition] != p:
			continue
		case p.paused:
			p.held = r
			continue
		}
		f.last = p
		f.releaseLocked(r.bytes)
		if p.queued -= r.bytes; p.queued+r.bytes >= f.partitionBytes() {
			f.changedLocked(p)
		}
		return r
	}
	return nil
}

// partitionBytes is how much of a partition may be fetched and not yet decoded for more to be asked for.
func (f *Fetcher) partitionBytes() int { return 2 * f.cfg.MaxPartitionFetchBytes }

// decode takes the next records out of the segment. An error comes alone: what lies before it comes before it.
func (f *Fetcher) decode(s *segment) *result {
	records, next, err := f.records(s)
	if err != nil {
		return &result{part: s.part, err: err}
	}
	return &result{part: s.part, chunk: &Chunk{
		Topic: s.part.Topic, Partition: s.part.Partition, Records: records, Next: next, HighWatermark: s.highWatermark,
	}}
}

func (f *Fetcher) records(s *segment) (records []wire.Record, next int64, err error) {
	if len(s.items) == 0 {
		return nil, s.next, nil // nothing but a new offset
	}
	records = make([]wire.Record, 0, chunkSize(s.items))
	for len(s.items) > 0 && len(records) < chunkRecords {
		it := &s.items[0]
		if it.err != nil {
			if len(records) > 0 {
				return records, next, nil
			}
			s.items = s.items[1:]
			if len(s.items) == 0 && it.err.Next >= 0 {
				it.err.Next = s.next // over what follows and is not to be seen
			}
			return nil, 0, it.err
		}
		packed := it.batch.Compression() != wire.None
		if packed && len(records) > 0 {
			return records, next, nil
		}
		records, next = f.decodeBatch(s, &it.batch, records)
		if packed && len(records) > 0 {
			break
		}
	}
	if len(s.items) == 0 {
		next = s.next
	}
	return records, next, nil
}

// decodeBatch appends the next records of b, which the segment begins with, and returns the offset after them. It
// takes the batch off the segment when all has been read, and puts an error where one belongs.
func (f *Fetcher) decodeBatch(s *segment, b *wire.Batch, records []wire.Record) (all []wire.Record, next int64) {
	if !s.decoding {
		s.decoding, s.reached = true, b.BaseOffset
		s.reader.Reset(b, f.opts.MaxRecord, wire.Origin{
			Stream: strings.TrimPrefix(s.part.Topic, f.opts.TopicPrefix), Topic: s.part.Topic, Partition: int(s.part.Partition),
		})
	}
	base, start := b.BaseOffset, len(records)
	records, err := s.reader.Read(records, chunkRecords-start)
	large, passed := errors.AsType[*wire.TooLargeError](err)
	next = s.reached
	switch {
	case err == nil:
		s.reached = max(s.reached, records[len(records)-1].Offset+1)
	case passed:
		s.reached = max(s.reached, large.Offset+1)
	case err != io.EOF:
		s.items[0].err = f.undecodable(s, next, b.LastOffset+1, err)
		s.decoding = false
		return records, next
	}
	if !s.reader.More() {
		s.reached = b.LastOffset + 1
		s.items = s.items[1:]
		s.decoding = false
	}
	switch {
	case !passed:
		next = s.reached
	case large.Offset >= s.from:
		s.items = slices.Insert(s.items, 0, item{err: f.undecodable(s, large.Offset, s.reached, err)})
	}
	if base < s.from {
		records = dropBefore(records, start, s.from)
	}
	return records, next
}

// undecodable counts and returns the error of what cannot be read from offset on, before next.
func (f *Fetcher) undecodable(s *segment, offset, next int64, err error) *PartitionError {
	f.corrupt.Add(1)
	return &PartitionError{Topic: s.part.Topic, Partition: s.part.Partition, Offset: offset, Next: next, Err: err}
}

// chunkSize returns how many records the next chunk of items has, or fewer: a batch's own number is believed only so
// far.
func chunkSize(items []item) (n int) {
	for i := range items {
		if items[i].err != nil || n >= chunkRecords || i > 0 && items[i].batch.Compression() != wire.None {
			break
		}
		n += items[i].batch.LikelyCount()
	}
	return min(n, chunkRecords)
}

// dropBefore removes the records from index start on whose offset is below from.
func dropBefore(records []wire.Record, start int, from int64) []wire.Record {
	n := start
	for n < len(records) && records[n].Offset < from {
		n++
	}
	return append(records[:start], records[n:]...)
}
