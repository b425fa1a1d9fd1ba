package inspect

import (
	"context"
	"errors"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

type offsets = map[kafka.TopicPartition]int64

// bounds returns the first and the last readable offset of the partitions. A partition whose lookup fails is in
// neither.
func (i *Inspector) bounds(ctx context.Context, parts []kafka.TopicPartition) (firsts, ends offsets) {
	firsts, _ = i.client.FindOffsets(ctx, parts, kafka.FirstOffset)
	ends, _ = i.client.FindOffsets(ctx, parts, kafka.EndOffset)
	return firsts, ends
}

const (
	// firstWait bounds the reading of single records from many partitions.
	firstWait = 10 * time.Second
	// firstBytes is the fetch size of a partition for one record; a larger batch is returned whole.
	firstBytes = 4 << 10
)

// first returns the first record of each range. It leaves out a range without a record, and one that cannot be read
// within firstWait.
func (i *Inspector) first(ctx context.Context, from, to offsets) map[kafka.TopicPartition]wire.Record {
	return i.read(ctx, from, to, func(found map[kafka.TopicPartition]wire.Record, c *fetch.Chunk) bool {
		if len(c.Records) > 0 {
			found[kafka.TopicPartition{Topic: c.Topic, Partition: c.Partition}] = c.Records[0]
		}
		return len(c.Records) > 0
	})
}

// read reads each range until enough returns true or the range ends.
func (i *Inspector) read(ctx context.Context, from, to offsets,
	enough func(map[kafka.TopicPartition]wire.Record, *fetch.Chunk) bool,
) map[kafka.TopicPartition]wire.Record {
	ctx, cancel := context.WithTimeout(ctx, firstWait)
	defer cancel()
	found := make(map[kafka.TopicPartition]wire.Record)
	open := make(offsets, len(from))
	for tp, start := range from {
		if start < to[tp] {
			open[tp] = start
		}
	}
	if len(open) == 0 {
		return found
	}
	f := fetch.New(i.client, fetch.Options{TopicPrefix: i.prefix, OutOfRange: kafka.NoReset, MaxPartition: firstBytes})
	defer f.Close()
	f.AddAll(open)
	for len(open) > 0 {
		chunk, err := f.Next(ctx)
		if bad, ok := errors.AsType[*fetch.PartitionError](err); ok && bad.Next < 0 {
			delete(open, kafka.TopicPartition{Topic: bad.Topic, Partition: bad.Partition})
			continue
		} else if ok {
			continue
		}
		if err != nil {
			return found // timeout, or no partition may be read
		}
		tp := kafka.TopicPartition{Topic: chunk.Topic, Partition: chunk.Partition}
		if enough(found, chunk) || chunk.Next >= to[tp] {
			f.Remove(tp)
			delete(open, tp)
		}
	}
	return found
}

// newest returns the time of the newest record of each topic, from the last records of its partitions.
func (i *Inspector) newest(ctx context.Context, firsts, ends offsets) map[string]time.Time {
	from := make(offsets, len(ends))
	for tp, end := range ends {
		if first, ok := firsts[tp]; ok && first < end {
			from[tp] = max(first, end-2) // the last one may be a transaction marker
		}
	}
	last := i.read(ctx, from, ends, func(found map[kafka.TopicPartition]wire.Record, c *fetch.Chunk) bool {
		tp := kafka.TopicPartition{Topic: c.Topic, Partition: c.Partition}
		for _, r := range c.Records {
			if r.Offset < ends[tp] {
				found[tp] = r
			}
		}
		return false
	})
	times := make(map[string]time.Time)
	for tp, r := range last {
		if hasTime(r.Time) && r.Time.After(times[tp.Topic]) {
			times[tp.Topic] = r.Time.UTC()
		}
	}
	return times
}

// hasTime reports whether JSON can represent the time of a record: Kafka's -1 means no time, and JSON ends at year
// 9999.
func hasTime(t time.Time) bool { return t.UnixMilli() > 0 && t.UTC().Year() <= 9999 }
