package fetch

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// scan looks at the batches of one partition's answer, without unpacking them, and keeps those whose
// records are to be seen. It is what decides where the next fetch begins: after the last batch, by the
// batch's own header, so that control batches, aborted ones, and those whose last records have been
// compacted away are passed.
//
// A batch that is corrupt is an error in its place. Reading goes on after it where that place can be
// told; a stop (next -1) is the last item otherwise.
func scan(p *wire.FetchedPartition, from int64, committed bool) (items []item, next int64, cutOff bool) {
	next = from
	var aborted abortFilter
	if committed {
		aborted.init(p.Aborted)
	}
	for rest := p.Records; len(rest) > 0; {
		batch, after, err := wire.NextBatch(rest)
		if errors.Is(err, wire.ErrCutOff) {
			return items, next, next == from
		}
		if err != nil {
			end := afterCorrupt(&batch, after, p.HighWatermark)
			if end <= next {
				end = -1 // no progress: the same batch would come for ever
			}
			items = append(items, item{err: &PartitionError{Topic: p.Topic, Partition: p.Partition,
				Offset: max(batch.BaseOffset, 0), Next: end, Err: err}})
			if end < 0 {
				return items, next, false
			}
			next, rest = end, after
			continue
		}
		rest = after
		next = max(next, batch.LastOffset+1)
		hidden := aborted.hides(&batch) || batch.IsControl()
		if !hidden && batch.Count > 0 && batch.LastOffset >= from {
			items = append(items, item{batch: batch})
		}
	}
	return items, next, false
}

// afterCorrupt returns the offset at which reading can go on after a batch that is corrupt, -1 if that
// cannot be told. The beginning of the batch behind it is believed before its own header is.
func afterCorrupt(bad *wire.Batch, rest []byte, highWatermark int64) int64 {
	if rest == nil {
		return -1
	}
	end := bad.LastOffset + 1
	if len(rest) >= 8 {
		if base := int64(binary.BigEndian.Uint64(rest)); base > bad.BaseOffset {
			end = base
		}
	}
	if end <= bad.BaseOffset || end > highWatermark {
		return -1
	}
	return end
}

// abortFilter tells the batches of aborted transactions, as they come in the order of their offsets.
type abortFilter struct {
	pending []wire.AbortedTransaction // by first offset
	open    map[int64]bool            // producers within an aborted transaction
}

func (a *abortFilter) init(aborted []wire.AbortedTransaction) {
	if len(aborted) == 0 {
		return
	}
	a.pending = slices.Clone(aborted)
	slices.SortFunc(a.pending, func(x, y wire.AbortedTransaction) int { return cmp.Compare(x.FirstOffset, y.FirstOffset) })
	a.open = make(map[int64]bool)
}

// hides reports whether the batch belongs to an aborted transaction. A control batch ends its
// producer's transaction, whatever it was.
func (a *abortFilter) hides(b *wire.Batch) bool {
	if a.open == nil {
		return false
	}
	for len(a.pending) > 0 && a.pending[0].FirstOffset <= b.LastOffset {
		a.open[a.pending[0].ProducerID] = true
		a.pending = a.pending[1:]
	}
	if b.IsControl() {
		delete(a.open, b.ProducerID)
		return true
	}
	return b.IsTransactional() && a.open[b.ProducerID]
}
