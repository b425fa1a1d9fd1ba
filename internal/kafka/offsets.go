package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/segmentio/kafka-go/protocol/listoffsets"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// String returns topic/partition.
func (p TopicPartition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Partition) }

// Places to list offsets at, besides a time.
const (
	// FirstOffset is that of the oldest record that is still there.
	FirstOffset int64 = -2
	// EndOffset is that of the next record to be written; with read_committed, of the first one in an open transaction.
	EndOffset int64 = -1
)

// ListOffsets returns, for each of parts, the offset at [FirstOffset], at [EndOffset], or of the first record whose timestamp
// is at or after at (milliseconds since 1970), -1 when there is none. It asks each leader once, and asks again what a retry can
// mend, until ctx ends. Partitions that do not exist, or not any longer, are left out.
func (c *Client) ListOffsets(ctx context.Context, parts []TopicPartition, at int64) (map[TopicPartition]int64, error) {
	l := offsetLister{
		client: c,
		at:     at,
		wanted: make(map[TopicPartition]bool, len(parts)),
		absent: make(map[TopicPartition]bool),
		found:  make(map[TopicPartition]int64, len(parts)),
	}
	for _, p := range parts {
		l.wanted[p] = true
	}
	if err := c.retry(ctx, func() error { return l.attempt(ctx) }); err != nil {
		return nil, fmt.Errorf("kafka: listing offsets of %d partitions: %w", len(l.wanted), err)
	}
	return l.found, nil
}

// offsetLister is one call of ListOffsets over its attempts.
type offsetLister struct {
	client *Client
	at     int64
	wanted map[TopicPartition]bool // not answered yet
	absent map[TopicPartition]bool // not in the last snapshot
	found  map[TopicPartition]int64
}

// attempt asks each leader for what is still wanted. It returns nil when nothing is.
func (l *offsetLister) attempt(ctx context.Context) error {
	cluster, err := l.client.cluster(ctx)
	if err != nil {
		return err
	}
	var errs []error
	byLeader := make(map[int32][]TopicPartition)
	for p := range l.wanted {
		leader, exists := cluster.leader(p)
		switch {
		case exists && leader == NoLeader:
			errs = append(errs, fmt.Errorf("%s: %w", p, CodeErr(5)))
		case exists:
			byLeader[leader] = append(byLeader[leader], p)
		case l.absent[p]:
			// Missing before and after a refresh: it is no fault of the cache.
			delete(l.wanted, p)
		default:
			l.absent[p] = true
			errs = append(errs, fmt.Errorf("%s: %w", p, CodeErr(3)))
		}
	}
	errs = append(errs, l.ask(ctx, byLeader)...)
	for p := range l.found {
		delete(l.wanted, p)
	}
	if len(l.wanted) == 0 {
		return nil
	}
	for _, err := range errs {
		if !Classify(err).Retriable() {
			return err
		}
	}
	if err := l.client.refresh(ctx); err != nil {
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return fmt.Errorf("the brokers left out %d partitions of their answers", len(l.wanted))
	}
	return fmt.Errorf("%d problems, the first: %w", len(errs), errs[0])
}

// ask sends one request to each leader, all at once. It notes what it finds, and returns what went wrong with the others.
func (l *offsetLister) ask(ctx context.Context, byLeader map[int32][]TopicPartition) (errs []error) {
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for _, parts := range byLeader {
		wg.Go(func() {
			response, err := l.client.roundTrip(ctx, offsetsRequest(parts, l.at, l.client.settings.isolation()), 0)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			for _, t := range response.(*listoffsets.Response).Topics {
				for _, p := range t.Partitions {
					part := TopicPartition{t.Topic, p.Partition}
					if err := CodeErr(p.ErrorCode); err != nil {
						errs = append(errs, fmt.Errorf("%s: %w", part, err))
					} else if l.wanted[part] {
						l.found[part] = p.Offset
					}
				}
			}
		})
	}
	wg.Wait()
	return errs
}

// leader returns who leads p, and whether p exists.
func (c *Cluster) leader(p TopicPartition) (int32, bool) {
	topic := c.Topics[p.Topic]
	if topic == nil || topic.Internal || p.Partition < 0 || int(p.Partition) >= len(topic.Leaders) {
		return NoLeader, false
	}
	return topic.Leaders[p.Partition], true
}

// offsetsRequest asks one leader for one offset in each of its partitions.
func offsetsRequest(parts []TopicPartition, at int64, isolation int8) *wire.LeaderOffsets {
	byTopic := make(map[string][]listoffsets.RequestPartition)
	for _, p := range parts {
		byTopic[p.Topic] = append(byTopic[p.Topic], listoffsets.RequestPartition{
			Partition: p.Partition, CurrentLeaderEpoch: -1, Timestamp: at,
		})
	}
	request := &wire.LeaderOffsets{ReplicaID: -1, IsolationLevel: isolation}
	for _, topic := range slices.Sorted(maps.Keys(byTopic)) {
		request.Topics = append(request.Topics, listoffsets.RequestTopic{Topic: topic, Partitions: byTopic[topic]})
	}
	return request
}
