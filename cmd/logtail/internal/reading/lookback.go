package reading

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/merge"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
)

// errLookedBack ends a search whose limits are reached.
var errLookedBack = errors.New("reading: looked back for long enough")

// lookBack prints the latest records that pass the filter, ordered by time. Kafka can be read forwards only, so it
// reads windows further and further back until it has found enough records and all unread ones are older.
func (r *reader) lookBack(ctx context.Context, starts, ends map[kafka.TopicPartition]int64) error {
	found := &newest{n: r.Lines, oldest: make(map[kafka.TopicPartition]time.Time)}
	searched, err := 0, error(nil)
	if r.Lines > 0 {
		searched, err = r.search(ctx, found, starts, ends)
	}
	limited := errors.Is(err, errLookedBack)
	if err != nil && !limited {
		return err
	}
	kept := found.sorted()
	if r.Limit > 0 && len(kept) > r.Limit {
		kept = kept[:r.Limit]
	}
	for _, k := range kept {
		if err := r.print(k.text, []merge.Item{{NoEnvelope: k.noEnvelope}}); err != nil {
			return err
		}
	}
	if err := r.out.flushText(); err != nil {
		return err
	}
	if limited && len(kept) < r.Lines && r.LookedBack != nil {
		r.LookedBack(searched, len(kept), found.reached())
	}
	if r.Limit > 0 {
		if r.Limit -= len(kept); r.Limit == 0 {
			return errDone
		}
	}
	return nil
}

// search reads windows into found. It returns the number of offsets that it has read.
func (r *reader) search(ctx context.Context, found *newest, starts,
	ends map[kafka.TopicPartition]int64) (searched int, err error) {
	if r.LookBackTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, r.LookBackTime, errLookedBack)
		defer cancel()
	}
	r.pool.found = found.add
	defer func() { r.pool.found = nil }()
	const firstWindow = 1000 // offsets of each partition; larger when few records pass
	width := int64(max(r.Lines, firstWindow))
	position := maps.Clone(ends)
	for {
		from, to := make(map[kafka.TopicPartition]int64), make(map[kafka.TopicPartition]int64)
		for tp, start := range starts {
			if at := position[tp]; start < at && found.needs(tp) {
				from[tp], to[tp] = max(start, at-width), at
			}
		}
		if len(from) == 0 {
			return searched, nil
		}
		if r.LookBackRecords > 0 && searched >= r.LookBackRecords {
			return searched, errLookedBack
		}
		err := r.session.Read(ctx, from, to)
		r.pool.busy.Wait()
		for tp := range from {
			searched += int(to[tp] - from[tp])
			position[tp] = from[tp]
		}
		if err != nil {
			return searched, err
		}
		if width < 1<<40 {
			width *= 4
		}
	}
}

// newest keeps the n latest records: a heap with the oldest of them on top. Its methods may be called concurrently.
type newest struct {
	n int

	mu     sync.Mutex
	kept   []kept
	oldest map[kafka.TopicPartition]time.Time // Kafka's time of the first record read from each partition
}

type kept struct {
	tp            kafka.TopicPartition
	nanos, offset int64
	late          int64 // effective time: at least that of the records before it in its partition
	noEnvelope    bool
	text          []byte
}

func (h *newest) Len() int           { return len(h.kept) }
func (h *newest) Less(i, j int) bool { return compare(&h.kept[i], &h.kept[j]) < 0 }
func (h *newest) Swap(i, j int)      { h.kept[i], h.kept[j] = h.kept[j], h.kept[i] }
func (h *newest) Push(x any)         { h.kept = append(h.kept, x.(kept)) }
func (h *newest) Pop() any {
	last := h.kept[len(h.kept)-1]
	h.kept = h.kept[:len(h.kept)-1]
	return last
}

// compare orders records by time, and equal times by partition and offset.
func compare(a, b *kept) int {
	return cmp.Or(cmp.Compare(a.nanos, b.nanos), a.tp.Compare(b.tp), cmp.Compare(a.offset, b.offset))
}

// add adds the records of a batch that are among the latest.
func (h *newest) add(c *fetch.Chunk, b *merge.Batch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(c.Records) > 0 {
		if t, ok := h.oldest[b.Partition]; !ok || c.Records[0].Time.Before(t) {
			h.oldest[b.Partition] = c.Records[0].Time
		}
	}
	start := 0
	for _, item := range b.Items {
		k := kept{tp: b.Partition, nanos: item.Nanos, offset: item.Offset, noEnvelope: item.NoEnvelope,
			text: b.Text[start:item.End]}
		start = item.End
		switch {
		case len(h.kept) < h.n:
			k.text = slices.Clone(k.text)
			heap.Push(h, k)
		case compare(&h.kept[0], &k) < 0:
			k.text = slices.Clone(k.text)
			h.kept[0] = k
			heap.Fix(h, 0)
		}
	}
}

// needs reports whether unread records further back in the partition may be among the latest.
func (h *newest) needs(tp kafka.TopicPartition) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.kept) < h.n {
		return true
	}
	oldest, ok := h.oldest[tp]
	return !ok || oldest.UnixMilli()*1e6 > h.kept[0].nanos
}

// reached returns the time back to which everything has been read.
func (h *newest) reached() (t time.Time) {
	for _, oldest := range h.oldest {
		if oldest.After(t) {
			t = oldest
		}
	}
	return t
}

// sorted returns the records ordered by time, those of one partition by offset.
func (h *newest) sorted() []kept {
	slices.SortFunc(h.kept, func(a, b kept) int { return cmp.Or(a.tp.Compare(b.tp), cmp.Compare(a.offset, b.offset)) })
	for i := range h.kept {
		k := &h.kept[i]
		if k.late = k.nanos; i > 0 && h.kept[i-1].tp == k.tp {
			k.late = max(k.late, h.kept[i-1].late)
		}
	}
	slices.SortStableFunc(h.kept, func(a, b kept) int { return cmp.Compare(a.late, b.late) })
	return h.kept
}
