package consume

import (
	"cmp"
	"slices"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// Status is what a Consumer is at, at one moment.
type Status struct {
	Member     group.Status
	Fetch      fetch.Stats
	Partitions []PartitionStatus // by topic and partition
	// Handled counts finished items since Run began; Corrupt batches that could not be read and were passed over.
	Handled, Corrupt uint64
	// Running counts handlers that run now; Abandoned those that did not return when their context ended.
	Running, Abandoned int
	// LastError is the last thing that went wrong in reading.
	LastError   error
	LastErrorAt time.Time
}

// PartitionStatus is what is known of an assigned partition.
type PartitionStatus struct {
	kafka.TopicPartition
	Committed int64        // -1 = nothing yet
	Watermark int64        // the first offset that is not finished; -1 = not known yet
	Position  int64        // where reading goes on; -1 = not known yet
	End       int64        // of the partition, when it was last heard of; -1 = not known yet
	Held      int          // items that were read and are not finished
	Bytes     int64        // of them, and of what has been fetched and not been decoded
	Running   int          // handlers that run now
	Handling  int          // items that they have been called with
	Paused    bool         // it is not being read, because enough is held or what is held has to wait
	Oldest    *wire.Record // the first item that is not finished; nil if nothing is held
}

// Status may be called at any time.
func (c *Consumer) Status() Status {
	s := Status{Member: c.member.Status(), Running: c.pool.Running(), Corrupt: c.corrupt.Load()}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Handled, s.LastError, s.LastErrorAt = c.handled, c.lastError, c.errorAt
	s.Abandoned = c.abandonedLocked()
	if c.fetcher != nil {
		s.Fetch = c.fetcher.Stats()
	}
	g := c.current
	if g == nil || g.drained.Load() {
		return s
	}
	s.Handled += g.finished()
	for _, p := range g.partitions {
		s.Partitions = append(s.Partitions, p.status(s.Member.Committed))
	}
	slices.SortFunc(s.Partitions, func(a, b PartitionStatus) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return s
}

func (p *partition) status(committed map[kafka.TopicPartition]int64) PartitionStatus {
	s := PartitionStatus{
		TopicPartition: p.tp, Committed: p.committed.Load(), Watermark: p.committed.Load(),
		Position: p.position.Load(), End: p.lastEnd(), Held: p.held(), Paused: p.isPaused(),
	}
	if offset, ok := committed[p.tp]; ok {
		s.Committed = offset
	}
	if mark, ok := p.lane.Load().Mark(); ok {
		s.Watermark = mark
	}
	_, s.Bytes, s.Running = p.lane.Load().Held()
	s.Handling = p.lane.Load().Handling()
	s.Bytes += int64(p.g.c.fetcher.Buffered(p.tp))
	if item, ok := p.lane.Load().Oldest(); ok {
		s.Oldest = &item
	} else if item, ok := p.firstWaiting(); ok {
		s.Oldest = &item
	}
	return s
}

// lastEnd returns the partition's end as it was last heard of: from the fetcher, or, while that leaves the partition
// out, from watch.
func (p *partition) lastEnd() int64 {
	end, seen := p.end.Load(), p.g.c.fetcher.HighWatermark(p.tp)
	switch {
	case seen < 0:
		return end
	case p.isPaused():
		return max(end, seen)
	}
	return seen
}

func (p *partition) firstWaiting() (item wire.Record, ok bool) {
	p.feed.Lock()
	defer p.feed.Unlock()
	if len(p.waiting) == 0 {
		return item, false
	}
	return p.waiting[0], true
}
