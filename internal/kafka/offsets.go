package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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

// Compare orders partitions by topic, then by number.
func (p TopicPartition) Compare(other TopicPartition) int {
	return cmp.Or(strings.Compare(p.Topic, other.Topic), cmp.Compare(p.Partition, other.Partition))
}

// Places to list offsets at, besides a time.
const (
	// FirstOffset is that of the oldest record that is still there.
	FirstOffset int64 = -2
	// EndOffset is that of the next record to be written; with read_committed, of the first one in an open transaction.
	EndOffset int64 = -1
)

// OffsetsError says for which partitions ListOffsets has found nothing, and why. The others have been found.
type OffsetsError struct {
	Failed map[TopicPartition]error // the last error of each
	cause  error                    // of the end of the context; nil when no retry would have helped
}

func (e *OffsetsError) Error() string {
	first := e.first()
	text := fmt.Sprintf("kafka: listing offsets: %d partitions failed, the first is %s: %v", len(e.Failed), first,
		e.Failed[first])
	if e.cause != nil {
		text += fmt.Sprintf(" (no further attempt: %v)", e.cause)
	}
	return text
}

// Unwrap returns why no further attempt was made, and the error of the first partition.
func (e *OffsetsError) Unwrap() []error {
	first := e.Failed[e.first()]
	if e.cause == nil {
		return []error{first}
	}
	return []error{e.cause, first}
}

func (e *OffsetsError) first() TopicPartition {
	return slices.MinFunc(slices.Collect(maps.Keys(e.Failed)), TopicPartition.Compare)
}

// ListOffsets returns, for each of parts, the offset at [FirstOffset], at [EndOffset], or of the first record whose
// timestamp is at or after at (milliseconds since 1970), -1 when there is none. Transient errors are retried
// again until ctx ends. Partitions that do not exist, or not any longer, are left out.
//
// The error is an [*OffsetsError]; the offsets of all other partitions are returned with it.
func (c *Client) ListOffsets(ctx context.Context, parts []TopicPartition, at int64) (map[TopicPartition]int64, error) {
	return c.listOffsets(ctx, parts, at, c.settings.isolation())
}

// ListHighWatermarks is ListOffsets at the ends of partitions, which count records of transactions that are still
// open, whatever the isolation level is.
func (c *Client) ListHighWatermarks(ctx context.Context, parts []TopicPartition) (map[TopicPartition]int64, error) {
	return c.listOffsets(ctx, parts, EndOffset, 0)
}

func (c *Client) listOffsets(ctx context.Context, parts []TopicPartition, at int64, isolation int8) (
	map[TopicPartition]int64, error,
) {
	found := make(map[TopicPartition]int64, len(parts))
	failed := make(map[TopicPartition]error) // at the last attempt
	refused := make(map[TopicPartition]error)
	wanted := slices.Clone(parts)
	fresh := false // nothing that was known before the first attempt counts any more
	err := c.retry(ctx, func() error {
		offsets, errs := c.findOffsets(ctx, wanted, at, isolation, fresh)
		maps.Copy(found, offsets)
		wanted = wanted[:0]
		var retriable error
		for p, err := range errs {
			switch missing := errors.Is(err, errNoPartition); {
			case missing && errors.Is(failed[p], errNoPartition):
				// The partition is missing before and after a refresh: it is no fault of the cache.
			case missing || Classify(err).Retriable():
				wanted = append(wanted, p)
				retriable = err
			default:
				refused[p] = err
			}
		}
		failed = errs
		if len(wanted) == 0 {
			return nil
		}
		fresh = true
		return fmt.Errorf("listing offsets of %d partitions: %w", len(wanted), retriable)
	})
	for _, p := range wanted {
		refused[p] = failed[p]
		if ctx.Err() != nil && errors.Is(failed[p], context.Cause(ctx)) {
			refused[p] = err // the context cut off the last attempt: the attempt before it says what is wrong
		}
	}
	if len(refused) == 0 {
		return found, nil
	}
	bad := &OffsetsError{Failed: refused}
	if err != nil {
		bad.cause = context.Cause(ctx)
	}
	return found, bad
}

// errNoPartition says that the metadata does not have a partition.
var errNoPartition = fmt.Errorf("not in the cluster's metadata: %w", CodeErr(3))

// FindOffsets is one attempt of ListOffsets: it asks each leader once. Each of parts is either in found or in
// failed; one that is not in the metadata has failed with code 3 (UNKNOWN_TOPIC_OR_PARTITION).
func (c *Client) FindOffsets(ctx context.Context, parts []TopicPartition, at int64) (
	found map[TopicPartition]int64, failed map[TopicPartition]error,
) {
	return c.findOffsets(ctx, parts, at, c.settings.isolation(), false)
}

// HighWatermarks is LookUpOffsets at the ends of partitions, which count records of transactions that are still open,
// whatever the isolation level is.
func (c *Client) HighWatermarks(ctx context.Context, parts []TopicPartition) (
	found map[TopicPartition]int64, failed map[TopicPartition]error,
) {
	return c.findOffsets(ctx, parts, EndOffset, 0, false)
}

func (c *Client) findOffsets(ctx context.Context, parts []TopicPartition, at int64, isolation int8, fresh bool) (
	found map[TopicPartition]int64, failed map[TopicPartition]error,
) {
	found, failed = make(map[TopicPartition]int64, len(parts)), make(map[TopicPartition]error)
	if len(parts) == 0 {
		return found, failed
	}
	cluster, err := c.leaders(ctx, parts, fresh)
	if err != nil {
		for _, p := range parts {
			failed[p] = err
		}
		return found, failed
	}
	byLeader := make(map[int32][]TopicPartition)
	for _, p := range parts {
		switch leader, exists := cluster.leader(p); {
		case failed[p] != nil: // named twice
		case !exists:
			failed[p] = errNoPartition
		case leader == NoLeader:
			failed[p] = CodeErr(5)
		default:
			failed[p] = errLeftOut // until it is answered
			byLeader[leader] = append(byLeader[leader], p)
		}
	}
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for leader, led := range byLeader {
		wg.Go(func() {
			response, err := c.roundTrip(ctx, c.offsetsRequest(leader, led, at, isolation), 0)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				for _, p := range led {
					failed[p] = err
				}
				return
			}
			for _, t := range response.(*listoffsets.Response).Topics {
				for _, p := range t.Partitions {
					part := TopicPartition{t.Topic, p.Partition}
					if _, asked := failed[part]; !asked {
						continue
					}
					if failed[part] = CodeErr(p.ErrorCode); failed[part] == nil {
						found[part] = p.Offset
						delete(failed, part)
					}
				}
			}
		})
	}
	wg.Wait()
	return found, failed
}

// leaders returns a snapshot with the topics of parts. What is watched, and complete, is asked for again only where
// it has to be fresh.
func (c *Client) leaders(ctx context.Context, parts []TopicPartition, fresh bool) (*Cluster, error) {
	var names []string
	for _, p := range parts {
		if len(names) == 0 || names[len(names)-1] != p.Topic {
			names = append(names, p.Topic)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if cluster := c.watcher.known(names); cluster != nil && !fresh {
		return cluster, nil
	}
	return c.topics(ctx, false, names)
}

// errLeftOut says that a broker did not answer for a partition that it was asked for.
var errLeftOut = errors.New("the broker left the partition out of its answer")

// leader returns who leads p, and whether p exists.
func (c *Cluster) leader(p TopicPartition) (int32, bool) {
	topic := c.Topics[p.Topic]
	if topic == nil || topic.Internal || p.Partition < 0 || int(p.Partition) >= len(topic.Leaders) {
		return NoLeader, false
	}
	return topic.Leaders[p.Partition], true
}

// offsetsRequest asks one leader for one offset in each of its partitions.
func (c *Client) offsetsRequest(leader int32, parts []TopicPartition, at int64, isolation int8) *wire.LeaderOffsets {
	byTopic := make(map[string][]listoffsets.RequestPartition)
	for _, p := range parts {
		byTopic[p.Topic] = append(byTopic[p.Topic], listoffsets.RequestPartition{
			Partition: p.Partition, CurrentLeaderEpoch: -1, Timestamp: at,
		})
	}
	request := &wire.LeaderOffsets{Leader: leader, ClientID: c.settings.ClientID}
	request.Request = listoffsets.Request{ReplicaID: -1, IsolationLevel: isolation}
	for _, topic := range slices.Sorted(maps.Keys(byTopic)) {
		request.Request.Topics = append(request.Request.Topics, listoffsets.RequestTopic{Topic: topic,
			Partitions: byTopic[topic]})
	}
	return request
}
