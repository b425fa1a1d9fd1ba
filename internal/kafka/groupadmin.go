package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// Groups asks every broker for the consumer groups that it coordinates, and returns their names, sorted. Groups of
// other protocols, such as those of Kafka Connect, are left out. Transient errors are retried until ctx
// ends.
func (c *Client) Groups(ctx context.Context) ([]string, error) {
	var names []string
	err := c.retry(ctx, func() error {
		cluster, err := c.topics(ctx, false, nil)
		if err != nil {
			return err
		}
		names, err = c.listGroups(ctx, cluster.Brokers)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("kafka: listing groups: %w", err)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// listGroups asks each of the brokers once.
func (c *Client) listGroups(ctx context.Context, brokers []Broker) ([]string, error) {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		names  []string
		failed error
	)
	for _, b := range brokers {
		wg.Go(func() {
			response, err := c.roundTrip(ctx, &wire.ListGroups{BrokerID: b.ID, ClientID: c.settings.ClientID}, 0)
			var list *wire.GroupList
			if err == nil {
				list = response.(*wire.GroupList)
				err = CodeErr(list.Code)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = fmt.Errorf("broker %d: %w", b.ID, err)
				return
			}
			for _, g := range list.Groups {
				if g.ProtocolType == "consumer" || g.ProtocolType == "" {
					names = append(names, g.Group)
				}
			}
		})
	}
	wg.Wait()
	return names, failed
}

// DescribeGroup asks for the state and the members of a group. A group that does not exist has the state "Dead". What
// a retry can mend is asked for again until ctx ends.
func (c *Client) DescribeGroup(ctx context.Context, group string) (*wire.GroupDescription, error) {
	var answer *wire.GroupDescription
	err := c.retry(ctx, func() error {
		response, err := c.roundTrip(ctx, &wire.DescribeGroup{Member: c.asker(group)}, 0)
		if err != nil {
			return err
		}
		answer = response.(*wire.GroupDescription)
		return CodeErr(answer.Code)
	})
	if err != nil {
		return nil, fmt.Errorf("kafka: describing group %q: %w", group, err)
	}
	return answer, nil
}

// Committed returns all offsets that a group has committed. Transient errors are retried until ctx ends.
func (c *Client) Committed(ctx context.Context, group string) (map[TopicPartition]int64, error) {
	var found map[TopicPartition]int64
	err := c.retry(ctx, func() error {
		response, err := c.roundTrip(ctx, &wire.FetchOffsets{Member: c.asker(group), All: true}, 0)
		if err != nil {
			return err
		}
		answer := response.(*wire.OffsetsAnswer)
		if err := CodeErr(answer.Code); err != nil && !errors.Is(err, kafkago.GroupIdNotFound) {
			return err
		}
		found = make(map[TopicPartition]int64, len(answer.Partitions))
		for _, p := range answer.Partitions {
			if err := CodeErr(p.Code); err != nil {
				return fmt.Errorf("%s/%d: %w", p.Topic, p.Partition, err)
			}
			if p.Offset >= 0 {
				found[TopicPartition{p.Topic, p.Partition}] = p.Offset
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("kafka: asking for the offsets that group %q has committed: %w", group, err)
	}
	return found, nil
}

// ResetOffsets writes offsets of a group that has no members, which it may not have had until now. A group with members
// is refused by its coordinator: only they can commit. All partitions are written, or the error names those that were
// not.
func (c *Client) ResetOffsets(ctx context.Context, group string, offsets map[TopicPartition]int64) error {
	var written []wire.PartitionOffset
	for _, p := range slices.SortedFunc(maps.Keys(offsets), TopicPartition.Compare) {
		written = append(written, wire.PartitionOffset{Topic: p.Topic, Partition: p.Partition, Offset: offsets[p]})
	}
	err := c.retry(ctx, func() error {
		const nobody = -1 // the generation
		response, err := c.roundTrip(ctx, &wire.CommitOffsets{Member: c.asker(group), Generation: nobody,
			Offsets: written}, 0)
		if err != nil {
			return err
		}
		return refusedCommits(response.(*wire.CommitAnswer), len(offsets))
	})
	if err != nil {
		return fmt.Errorf("kafka: writing %d offsets of group %q: %w", len(offsets), group, err)
	}
	return nil
}

// refusedCommits names the partitions that were not written.
func refusedCommits(answer *wire.CommitAnswer, asked int) error {
	if len(answer.Partitions) < asked {
		return fmt.Errorf("the broker answered for %d of them", len(answer.Partitions))
	}
	var refused []string
	var first error
	for _, p := range answer.Partitions {
		if err := CodeErr(p.Code); err != nil {
			refused = append(refused, fmt.Sprintf("%s/%d", p.Topic, p.Partition))
			first = err
		}
	}
	if first != nil {
		return fmt.Errorf("%s not written: %w", strings.Join(refused, ", "), first)
	}
	return nil
}

// asker is who asks about a group without being its member.
func (c *Client) asker(group string) wire.Member {
	return wire.Member{GroupID: group, ClientID: c.settings.ClientID}
}

// TopicConfigs asks for settings of topics, by name; the broker's defaults stand where a topic has none of its own.
// Topics that are gone, or that may not be described, are left out; all of them are where the broker is too old.
func (c *Client) TopicConfigs(ctx context.Context, topics []string, names ...string) (
	map[string]map[string]string, error,
) {
	found := make(map[string]map[string]string, len(topics))
	for part := range slices.Chunk(topics, topicsOfARequest) {
		err := c.retry(ctx, func() error { return c.topicConfigs(ctx, part, names, found) })
		if err != nil {
			return nil, fmt.Errorf("kafka: asking for the settings of %d topics: %w", len(part), err)
		}
	}
	return found, nil
}

// topicsOfARequest bounds a DescribeConfigs request.
const topicsOfARequest = 500
