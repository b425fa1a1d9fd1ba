package tail

import (
	"context"
	"errors"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
)

// readOn reads from starts on, and topics and partitions that appear later from their first record,
// until ctx ends, the loop is left, or nothing of it may be read.
func (t *tail) readOn(ctx context.Context, cluster *kafka.Cluster, starts offsets,
	emit func(*fetch.Chunk) error) error {
	t.fetcher = t.newFetcher(fetch.Options{RetryDenied: true})
	defer t.fetcher.Close()
	for name, topic := range cluster.Topics {
		if !t.matches(topic) {
			continue
		}
		for id := range topic.Leaders {
			tp := kafka.TopicPartition{Topic: name, Partition: int32(id)}
			if start, ok := starts[tp]; ok {
				t.fetcher.Add(tp, start)
			} else if t.opts.From == Last {
				t.fetcher.AddAt(tp, kafka.EndOffset)
			} else {
				t.fetcher.AddAt(tp, t.at())
			}
		}
		t.topics[name] = len(topic.Leaders)
	}
	t.seen = cluster
	err := t.read(ctx, t.fetcher, emit, t.stopped, t.addPartitions)
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

// addPartitions compares the topics that there are with those that are read. Following is never done by that.
func (t *tail) addPartitions(cluster *kafka.Cluster) error {
	if cluster == t.seen {
		return nil
	}
	t.seen = cluster
	for name, n := range t.topics {
		// Fewer partitions than before can only be those of another topic of the same name.
		if topic := cluster.Topics[name]; topic == nil || len(topic.Leaders) < n && topic.Err == nil {
			t.opts.Logger.Info("tail: topic is gone", "topic", name)
			for id := range n {
				tp := kafka.TopicPartition{Topic: name, Partition: int32(id)}
				t.fetcher.Remove(tp)
				delete(t.refused, tp)
				delete(t.missing, tp)
			}
			delete(t.topics, name)
		}
	}
	for name, topic := range cluster.Topics {
		n, known := t.topics[name]
		if n >= len(topic.Leaders) || !t.matches(topic) {
			continue
		}
		if !known {
			t.opts.Logger.Info("tail: new topic", "topic", name, "partitions", len(topic.Leaders))
		}
		for id := n; id < len(topic.Leaders); id++ {
			t.fetcher.AddAt(kafka.TopicPartition{Topic: name, Partition: int32(id)}, kafka.FirstOffset)
		}
		t.topics[name] = len(topic.Leaders)
	}
	return nil
}

// stopped takes in that reading of a partition has ended with an error. A tail that may read nothing of
// what it matches has ended.
func (t *tail) stopped(e *fetch.PartitionError) (done bool) {
	if kafka.Classify(e.Err) != kafka.Denied {
		return false
	}
	t.refused[kafka.TopicPartition{Topic: e.Topic, Partition: e.Partition}] = true
	total := 0
	for _, n := range t.topics {
		total += n
	}
	for tp := range t.refused {
		if t.fetcher.HighWatermark(tp) >= 0 { // it has been read since
			delete(t.refused, tp)
		}
	}
	return len(t.refused) >= total
}

// restart looks for the first record of a partition, as the broker does not have the offset to read on from.
func (t *tail) restart(f *fetch.Fetcher, e *fetch.PartitionError) {
	tp := kafka.TopicPartition{Topic: e.Topic, Partition: e.Partition}
	t.missing[tp] = e.Offset
	f.AddAt(tp, kafka.FirstOffset)
}

// restarted tells of what was not read, if the chunk is the first one after a restart.
func (t *tail) restarted(c *fetch.Chunk, failed func(*fetch.PartitionError) bool) error {
	tp := kafka.TopicPartition{Topic: c.Topic, Partition: c.Partition}
	from, ok := t.missing[tp]
	if !ok {
		return nil
	}
	delete(t.missing, tp)
	to := c.Next
	if len(c.Records) > 0 {
		to = c.Records[0].Offset
	}
	e := &fetch.PartitionError{Topic: c.Topic, Partition: c.Partition, Offset: from, Next: to, Err: ErrDeleted}
	if to < from {
		e.Next = -1 // all that was there is gone
	}
	log := t.opts.Logger.With("topic", c.Topic, "partition", c.Partition, "from", from, "to", to)
	switch {
	case t.opts.StopAtEnd:
		if !t.yield(nil, e) {
			return errBreak
		}
	case to < from:
		log.Warn("tail: the partition has been made anew; it is read from its first record")
	default:
		log.Warn("tail: records were deleted before they were read; reading goes on behind them")
	}
	if failed(e) {
		return errDone
	}
	return nil
}

// readUntil reads each partition from its start to its end, and drops it there. What is written behind
// the end meanwhile is not seen.
func (t *tail) readUntil(ctx context.Context, f *fetch.Fetcher, starts, ends offsets,
	emit func(*fetch.Chunk) error) error {
	open, position := make(offsets), make(offsets)
	for tp, start := range starts {
		if end := ends[tp]; start < end {
			open[tp], position[tp] = end, start
			f.Add(tp, start)
		}
	}
	if len(open) == 0 {
		return nil
	}
	drop := func(tp kafka.TopicPartition) {
		f.Remove(tp)
		delete(open, tp)
		delete(t.missing, tp)
	}
	passed := func(topic string, partition int32, next int64) (done bool) {
		tp := kafka.TopicPartition{Topic: topic, Partition: partition}
		// Where reading goes on counts, not what was seen: the last records may have been compacted away,
		// or belong to an aborted transaction.
		if position[tp] = next; next < 0 || next >= open[tp] {
			drop(tp)
		}
		return len(open) == 0
	}
	err := t.read(ctx, f,
		func(c *fetch.Chunk) error {
			end := open[kafka.TopicPartition{Topic: c.Topic, Partition: c.Partition}]
			for n := len(c.Records); n > 0 && c.Records[n-1].Offset >= end; n-- {
				c.Records = c.Records[:n-1]
			}
			if err := emit(c); err != nil {
				return err
			}
			if passed(c.Topic, c.Partition, c.Next) {
				return errDone
			}
			return nil
		},
		func(e *fetch.PartitionError) bool { return passed(e.Topic, e.Partition, e.Next) },
		func(cluster *kafka.Cluster) error {
			for tp := range open {
				if topic := cluster.Topics[tp.Topic]; topic != nil && int(tp.Partition) < len(topic.Leaders) {
					continue
				}
				drop(tp) // deleted: there is nothing left to read
				e := &fetch.PartitionError{Topic: tp.Topic, Partition: tp.Partition, Offset: position[tp], Next: -1,
					Err: ErrDeleted}
				if t.opts.StopAtEnd && !t.yield(nil, e) {
					return errBreak
				}
			}
			if len(open) == 0 {
				return errDone
			}
			return nil
		})
	if errors.Is(err, errDone) {
		return nil
	}
	return err
}

// errDone says that all has been read.
var errDone = errors.New("tail: all has been read")

// read hands each chunk to emit and each error of a partition to the loop and then to failed. When the
// topics change it has look look at them. failed says whether that was all, look by errDone. It returns what
// ended it.
func (t *tail) read(ctx context.Context, f *fetch.Fetcher, emit func(*fetch.Chunk) error,
	failed func(*fetch.PartitionError) bool, update func(*kafka.Cluster) error) error {
	t.current.Store(f)
	for {
		limited, cancel := context.WithCancel(ctx)
		t.interrupt.Store(&cancel) // before the look: a later change ends what is read under limited
		// The fetcher reports a failure to look, because it looks at the same topics.
		if cluster, asked, _ := t.watch.Cluster(); cluster != nil && asked.After(t.began) {
			if err := update(cluster); err != nil {
				cancel()
				return err
			}
		}
		err := t.readUntilChanged(ctx, limited, f, emit, failed)
		cancel()
		if err != nil {
			return err
		}
	}
}

// changed is called by the watch.
func (t *tail) changed() {
	if cancel := t.interrupt.Load(); cancel != nil {
		(*cancel)()
	}
}

// readUntilChanged is read until limited ends, without looking at the topics.
func (t *tail) readUntilChanged(ctx, limited context.Context, f *fetch.Fetcher, emit func(*fetch.Chunk) error,
	failed func(*fetch.PartitionError) bool) error {
	for {
		chunk, err := f.Next(limited)
		switch {
		case err == nil:
			if err := t.restarted(chunk, failed); err != nil {
				return err
			}
			if err := emit(chunk); err != nil {
				return err
			}
			continue
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case limited.Err() != nil:
			return nil
		}
		bad, ok := errors.AsType[*fetch.PartitionError](err)
		if !ok {
			return err
		}
		if errors.Is(err, fetch.ErrOutOfRange) {
			t.restart(f, bad)
			continue
		}
		if !t.yield(nil, bad) {
			return errBreak
		}
		if failed(bad) {
			return errDone
		}
	}
}
