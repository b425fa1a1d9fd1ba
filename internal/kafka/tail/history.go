package tail

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// history yields the newest records of all partitions together, Options.Last of them, in the order of
// their timestamps; those of one partition in the order of their offsets.
//
// It reads the last n offsets of each partition. They may hold fewer than n records (markers of
// transactions, compaction), so it goes further back where they do.
func (t *tail) history(ctx context.Context, firsts, ends offsets) error {
	n := t.opts.Last
	if n <= 0 {
		return nil
	}
	found := newest{n: n}
	count := make(map[kafka.TopicPartition]int)
	from, to := make(offsets), make(offsets)
	for tp, first := range firsts {
		if end := ends[tp]; first < end {
			from[tp], to[tp] = max(first, end-int64(n)), end
		}
	}
	for width := int64(n); len(from) > 0; {
		f := t.untilEnd()
		err := t.readUntil(ctx, f, from, to, func(c *fetch.Chunk) error {
			tp := kafka.TopicPartition{Topic: c.Topic, Partition: c.Partition}
			count[tp] += len(c.Records)
			for _, r := range c.Records {
				found.add(tp, r)
			}
			return nil
		})
		f.Close()
		if err != nil {
			return err
		}
		if width < math.MaxInt64/4 {
			width *= 4
		}
		for tp, start := range from {
			if first := firsts[tp]; start > first && count[tp] < n {
				from[tp], to[tp] = max(first, start-width), start
			} else {
				delete(from, tp)
			}
		}
	}
	for _, c := range found.chunks(ends) {
		if err := t.emit(c); err != nil {
			return err
		}
	}
	return nil
}

// newest keeps the n records with the highest timestamps: a heap with the oldest of them on top.
type newest struct {
	n    int
	kept []located
}

// located is a record and where it comes from.
type located struct {
	tp kafka.TopicPartition
	wire.Record
}

func (h *newest) Len() int           { return len(h.kept) }
func (h *newest) Less(i, j int) bool { return older(&h.kept[i], &h.kept[j]) < 0 }
func (h *newest) Swap(i, j int)      { h.kept[i], h.kept[j] = h.kept[j], h.kept[i] }
func (h *newest) Push(x any)         { h.kept = append(h.kept, x.(located)) }
func (h *newest) Pop() any {
	last := h.kept[len(h.kept)-1]
	h.kept = h.kept[:len(h.kept)-1]
	return last
}

// add keeps a record if it is among the newest so far.
func (h *newest) add(tp kafka.TopicPartition, r wire.Record) {
	p := located{tp, r}
	switch {
	case len(h.kept) < h.n:
		p.Record = own(r)
		heap.Push(h, p)
	case older(&h.kept[0], &p) < 0:
		p.Record = own(r)
		h.kept[0] = p
		heap.Fix(h, 0)
	}
}

// older orders records by time, and those of one time by place: in a partition the later is the newer.
func older(a, b *located) int {
	if c := a.Time.Compare(b.Time); c != 0 {
		return c
	}
	return compareRecords(a, b)
}

// compareRecords orders records by topic, partition and offset.
func compareRecords(a, b *located) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition),
		cmp.Compare(a.Offset, b.Offset))
}

// own copies a record, so that it does not keep the response that it came in.
func own(r wire.Record) wire.Record {
	r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	r.Headers = slices.Clone(r.Headers)
	for i := range r.Headers {
		r.Headers[i].Value = bytes.Clone(r.Headers[i].Value)
	}
	return r
}

// chunks returns the records merged by time. Where timestamps fall within a partition, a record counts
// as being as late as the latest before it, so that the partition's order stays.
func (h *newest) chunks(ends offsets) []*fetch.Chunk {
	slices.SortFunc(h.kept, func(a, b located) int { return compareRecords(&a, &b) })
	type dated struct {
		located
		late time.Time
	}
	all := make([]dated, len(h.kept))
	for i, p := range h.kept {
		all[i] = dated{p, p.Time}
		if i > 0 && all[i-1].tp == p.tp {
			if before := all[i-1].late; before.After(p.Time) {
				all[i].late = before
			}
		}
	}
	slices.SortFunc(all, func(a, b dated) int {
		return cmp.Or(a.late.Compare(b.late), compareRecords(&a.located, &b.located))
	})
	var chunks []*fetch.Chunk
	for i, d := range all {
		if i == 0 || all[i-1].tp != d.tp {
			chunks = append(chunks, &fetch.Chunk{Topic: d.Topic, Partition: d.tp.Partition, HighWatermark: ends[d.tp]})
		}
		c := chunks[len(chunks)-1]
		c.Records, c.Next = append(c.Records, d.Record), d.Offset+1
	}
	return chunks
}
