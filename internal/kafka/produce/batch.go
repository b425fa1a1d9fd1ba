package produce

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// store is the memory of a batch, which serves again.
type store struct {
	builder  wire.Builder
	promises []*Promise
	contexts []context.Context
}

// batch is a run of records of one partition that travel together. It is open (records are added), then closed (waiting
// in its partition's queue), then sealed when it is first sent: from there on its records and their order are fixed,
// because the broker may have them. Guarded by partition.mu as long as it was not sent and then by Producer.mu, except
// encoded and stamp, which belong to the goroutine that sends it. It counts for its group until its last promise is
// resolved.
type batch struct {
	store     *store            // its records, and the memory that serves another batch after it
	promises  []*Promise        // by position; nil where the promise was resolved early
	pending   int               // promises not resolved yet
	bytes     int64             // what its records hold of Options.MaxBytes
	group     *flushEpoch       // none of its records is older than the group
	createdAt time.Time         // when the first record came: linger counts from here
	urgent    atomic.Bool       // somebody waits: do not linger
	sticky    bool              // takes records without a key
	contexts  []context.Context // that can end, of its records; one that several share may be there more than once
	until     time.Duration     // the earliest deadline of its records, since the producer was made; 0: none

	attempts     int  // times it was sent
	mayBeWritten bool // an attempt ended without saying that nothing was written: the broker may have it

	encoded  []byte        // the finished batch; never changed once made, as an abandoned exchange may still be writing it
	producer wire.Producer // the identity and sequence in encoded
}

func (b *batch) add(e *entry, promise *Promise, size int64) {
	b.store.builder.Append(e.timeMs, e.key, e.value, e.headers)
	b.promises = append(b.promises, promise)
	b.pending++
	b.bytes += size
	b.mayExpire(promise)
}

// resolved counts n promises as resolved, or as taken out.
func (b *batch) resolved(n int) {
	if b.pending -= n; b.pending == 0 && n > 0 {
		b.group.resolve()
	}
}

// mayExpire remembers when the record of a promise has to be given up. Concurrent callers mostly give each of their
// records the same context, so that a look at the last few finds nearly all that are there already.
func (b *batch) mayExpire(promise *Promise) {
	b.until = earlier(b.until, promise.until)
	last := b.contexts[max(0, len(b.contexts)-4):]
	if promise.ctx != nil && !slices.Contains(last, promise.ctx) {
		b.contexts = append(b.contexts, promise.ctx)
	}
}

// expires reports whether the context or the deadline of one of its records is over. now is the time since the producer
// was made.
func (b *batch) expires(now time.Duration) bool {
	return b.until != 0 && now >= b.until ||
		slices.ContainsFunc(b.contexts, func(ctx context.Context) bool { return ctx.Err() != nil })
}

// earlier returns the earlier of two deadlines, of which 0 is none.
func earlier(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// setMayBeWritten records that an attempt ended without saying that nothing was written.
func (b *batch) setMayBeWritten() {
	b.mayBeWritten = true
	for _, promise := range b.promises {
		if promise != nil {
			promise.mayBeWritten = true
		}
	}
}

// seal makes encoded carry the identity s. The records are encoded and compressed once; a later change of identity only
// rewrites the header, on a copy.
func (b *batch) seal(s wire.Producer, c wire.Compression) error {
	switch {
	case b.encoded == nil:
		encoded, err := b.store.builder.Seal(s, c)
		if err != nil {
			return fmt.Errorf("produce: seal a batch of %d records: %w", len(b.promises), err)
		}
		b.encoded = encoded
	case b.producer != s:
		b.encoded = restamp(b.encoded, s)
	}
	b.producer = s
	return nil
}

// restamp returns a copy of a sealed batch with another identity. The checksum covers everything from the attributes
// on.
func restamp(encoded []byte, s wire.Producer) []byte {
	const crc, attributes, id, epoch, sequence = 17, 21, 43, 51, 53
	b := append([]byte(nil), encoded...)
	binary.BigEndian.PutUint64(b[id:], uint64(s.ID))
	binary.BigEndian.PutUint16(b[epoch:], uint16(s.Epoch))
	binary.BigEndian.PutUint32(b[sequence:], uint32(s.Sequence))
	binary.BigEndian.PutUint32(b[crc:], crc32.Checksum(b[attributes:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// records decodes the batch again: the way back is needed only where something went wrong, so nothing is kept for it.
func (b *batch) records() ([]wire.Record, error) {
	encoded := b.encoded
	if encoded == nil {
		var err error
		if encoded, err = b.store.builder.Seal(wire.NoProducer(), wire.None); err != nil {
			return nil, err
		}
	}
	header, _, err := wire.NextBatch(encoded)
	if err != nil {
		return nil, err
	}
	records, err := header.Records(make([]wire.Record, 0, len(b.promises)), math.MaxInt)
	if err == nil && len(records) != len(b.promises) {
		err = fmt.Errorf("%d records where %d were put in", len(records), len(b.promises))
	}
	return records, err
}

// subset returns a new batch of those records in [from, to) that keep allows and that still have an open promise, and
// takes these promises over. It returns nil when there are none.
func (b *batch) subset(records []wire.Record, from, to int, keep func(i int) bool) *batch {
	s := &batch{store: new(store), group: b.group, createdAt: b.createdAt, sticky: b.sticky}
	s.urgent.Store(b.urgent.Load())
	s.group.pending.Add(1)
	for i := from; i < to; i++ {
		if b.promises[i] == nil || !keep(i) {
			continue
		}
		r := &records[i]
		e := entry{timeMs: r.Time.UnixMilli(), key: r.Key, value: r.Value, headers: r.Headers}
		s.add(&e, b.promises[i], recordSize(&e))
		b.promises[i] = nil
		b.resolved(1)
	}
	if s.pending == 0 {
		s.group.resolve()
		return nil
	}
	return s
}

// recordSize is what a record counts against Options.MaxBytes and max_request_size.
func recordSize(e *entry) int64 { return int64(wire.RecordSize(e.key, e.value, e.headers)) }
