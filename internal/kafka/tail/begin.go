package tail

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
)

// offsets are places in partitions.
type offsets map[kafka.TopicPartition]int64

// findOffsets looks up where the partitions that exist begin to be read, and where they end. The ends are
// looked up first: whatever is written after that lies behind them. With From: Last, starts are the
// first offsets of the partitions.
//
// Partitions without a leader are in neither: nothing can be looked up for them. follow picks them up
// later; with StopAtEnd each is yielded as an error.
func (t *tail) findOffsets(ctx context.Context, cluster *kafka.Cluster) (starts, ends offsets, err error) {
	var parts []kafka.TopicPartition
	for _, name := range slices.Sorted(maps.Keys(cluster.Topics)) {
		topic := cluster.Topics[name]
		if !t.matches(topic) {
			continue
		}
		for id, leader := range topic.Leaders {
			tp := kafka.TopicPartition{Topic: name, Partition: int32(id)}
			switch {
			case leader != kafka.NoLeader:
				parts = append(parts, tp)
			case t.opts.StopAtEnd:
				if !t.yield(nil, &fetch.PartitionError{Topic: name, Partition: int32(id), Offset: -1, Next: -1,
					Err: fetch.ErrNoLeader}) {
					return nil, nil, errBreak
				}
			}
		}
	}
	if len(parts) == 0 {
		return nil, nil, nil
	}
	if t.opts.From == End {
		ends, err = t.listOffsets(ctx, parts, t.listEnds)
		return ends, ends, err
	}
	if (t.opts.StopAtEnd || t.opts.ReportOpen) && t.client.Settings().IsolationLevel == kafka.ReadCommitted {
		// Before the ends: what is behind these then belongs to open transactions, and has not been written in between.
		if t.highest, err = t.listOffsets(ctx, parts, t.client.ListHighWatermarks); err != nil {
			return nil, nil, err
		}
		parts = slices.Collect(maps.Keys(t.highest))
	}
	if ends, err = t.listOffsets(ctx, parts, t.listEnds); err != nil {
		return nil, nil, err
	}
	if starts, err = t.listOffsets(ctx, slices.Collect(maps.Keys(ends)), t.listStarts); err != nil {
		return nil, nil, err
	}
	for tp, start := range starts {
		end, ok := ends[tp]
		switch {
		case !ok: // deleted in between
			delete(starts, tp)
		case start < 0: // no record since that time
			starts[tp] = end
		}
	}
	return starts, ends, nil
}

// How long the look-ups of where to begin are tried again before the tail goes on without the partitions that fail.
const (
	listTimeout      = time.Second
	listTimeoutAtEnd = 10 * time.Second // with StopAtEnd, which does not come back to them
)

// listOffsets returns the offsets of the partitions that can be looked up. The others hold them back for a limited time
// only: follow looks them up again later; with StopAtEnd each is yielded as an error.
func (t *tail) listOffsets(ctx context.Context, parts []kafka.TopicPartition, list lister) (offsets, error) {
	limit := listTimeout
	if t.opts.StopAtEnd {
		limit = listTimeoutAtEnd
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	found, err := list(limited, parts)
	failed, ok := errors.AsType[*kafka.OffsetsError](err)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil:
		return found, nil
	case !ok:
		return nil, fmt.Errorf("tail: looking up where partitions begin and end: %w", err)
	}
	t.opts.Logger.Warn("tail: some partitions cannot be looked up now", "partitions", len(failed.Failed), "error", err)
	if !t.opts.StopAtEnd {
		return found, nil
	}
	for _, tp := range slices.SortedFunc(maps.Keys(failed.Failed), kafka.TopicPartition.Compare) {
		if !t.yield(nil, &fetch.PartitionError{Topic: tp.Topic, Partition: tp.Partition, Offset: -1, Next: -1,
			Err: failed.Failed[tp]}) {
			return nil, errBreak
		}
	}
	return found, nil
}

// lister looks up one offset of each partition.
type lister func(ctx context.Context, parts []kafka.TopicPartition) (map[kafka.TopicPartition]int64, error)

func (t *tail) listEnds(ctx context.Context, parts []kafka.TopicPartition) (map[kafka.TopicPartition]int64, error) {
	return t.client.ListOffsets(ctx, parts, kafka.EndOffset)
}

func (t *tail) listStarts(ctx context.Context, parts []kafka.TopicPartition) (map[kafka.TopicPartition]int64, error) {
	return t.client.ListOffsets(ctx, parts, t.at())
}

// at is the place of Options.From as ListOffsets takes it.
func (t *tail) at() int64 {
	switch t.opts.From {
	case First, Last:
		return kafka.FirstOffset
	case Time:
		// Up to the next whole millisecond: a record's timestamp has no finer one.
		return max(t.opts.Time.Add(time.Millisecond-time.Nanosecond).UnixMilli(), 0)
	}
	return kafka.EndOffset
}
