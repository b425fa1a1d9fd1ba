package fetch

import (
	"context"
	"slices"
	"sync"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// segment is what one response has for one partition: batches, errors in their places, and where
// reading goes on after it. A segment without a partition carries the error of a broker.
type segment struct {
	part          *partition
	from          int64 // records below it were not asked for
	next          int64
	highWatermark int64
	items         []item
	bytes         int // of the response
	broker        *BrokerError
}

// item is a batch to decode, or an error that stands in its place.
type item struct {
	batch wire.Batch
	err   *PartitionError
}

// queue holds the segments between the loops of the brokers and Next, in order, and counts their bytes.
type queue struct {
	limit int
	ready chan struct{} // there may be a segment

	mu       sync.Mutex
	segments []*segment
	bytes    int           // of segments, and of the one that Next works at
	room     chan struct{} // closed when bytes fall below limit; nil while they are
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, ready: make(chan struct{}, 1)}
}

func (q *queue) push(segments ...*segment) {
	q.insert(segments, func() { q.segments = append(q.segments, segments...) })
}

// pushFront is push in front of all others.
func (q *queue) pushFront(segments ...*segment) {
	q.insert(segments, func() { q.segments = slices.Concat(segments, q.segments) })
}

func (q *queue) insert(segments []*segment, insert func()) {
	if len(segments) == 0 {
		return
	}
	q.mu.Lock()
	insert()
	for _, s := range segments {
		q.bytes += s.bytes
	}
	if q.bytes >= q.limit && q.room == nil {
		q.room = make(chan struct{})
	}
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// report pushes a broker's refusal, unless its last one is still there to be seen.
func (q *queue) report(err *BrokerError) {
	q.mu.Lock()
	n := len(q.segments)
	known := n > 0 && q.segments[n-1].broker != nil && q.segments[n-1].broker.Broker == err.Broker
	q.mu.Unlock()
	if !known {
		q.push(&segment{broker: err})
	}
}

// take returns the next segment, whose bytes count until release; nil if there is none.
func (q *queue) take() *segment {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.segments) == 0 {
		q.segments = nil // let go of the array, which has grown behind its beginning
		return nil
	}
	s := q.segments[0]
	q.segments[0] = nil
	q.segments = q.segments[1:]
	return s
}

// wait returns when there may be a segment, ctx ends, or closed does.
func (q *queue) wait(ctx context.Context, closed <-chan struct{}) error {
	select {
	case <-q.ready:
		return nil
	case <-closed:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// release gives back the bytes of a segment that has been decoded or dropped.
func (q *queue) release(s *segment) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes -= s.bytes
	if q.bytes < q.limit && q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// waitRoom returns when fewer bytes than the limit are held, or ctx ends.
func (q *queue) waitRoom(ctx context.Context) error {
	for {
		q.mu.Lock()
		room := q.room
		q.mu.Unlock()
		if room == nil {
			return ctx.Err()
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (q *queue) buffered() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}
