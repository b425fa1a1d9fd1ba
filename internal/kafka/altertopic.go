package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/segmentio/kafka-go/protocol/createpartitions"
	"github.com/segmentio/kafka-go/protocol/incrementalalterconfigs"
)

// AddPartitions gives a topic more partitions; total is how many it has then. Keyed records go to other partitions from
// then on. Transient errors are retried until ctx ends.
func (c *Client) AddPartitions(ctx context.Context, topic string, total int) error {
	err := c.retry(ctx, func() error {
		response, err := c.roundTrip(ctx, &createpartitions.Request{
			Topics:    []createpartitions.RequestTopic{{Name: topic, Count: int32(total)}},
			TimeoutMs: int32((c.settings.RequestTimeout / 2).Milliseconds()),
		}, 0)
		if err != nil {
			return err
		}
		results := response.(*createpartitions.Response).Results
		if len(results) != 1 {
			return fmt.Errorf("the response has %d topics instead of one", len(results))
		}
		return codeErr(results[0].ErrorCode, results[0].ErrorMessage)
	})
	if err != nil {
		return fmt.Errorf("kafka: adding partitions to topic %q: %w", topic, err)
	}
	return nil
}

// SetTopicConfigs sets settings of a topic, and leaves its others as they are.
func (c *Client) SetTopicConfigs(ctx context.Context, topic string, configs map[string]string) error {
	const set = 0 // of AlterConfigOp
	resource := incrementalalterconfigs.RequestResource{ResourceType: topicResource, ResourceName: topic}
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		resource.Configs = append(resource.Configs,
			incrementalalterconfigs.RequestConfig{Name: name, ConfigOperation: set, Value: configs[name]})
	}
	err := c.retry(ctx, func() error {
		request := &incrementalalterconfigs.Request{Resources: []incrementalalterconfigs.RequestResource{resource}}
		response, err := c.roundTrip(ctx, request, 0)
		if err != nil {
			return err
		}
		answers := response.(*incrementalalterconfigs.Response).Responses
		if len(answers) != 1 {
			return fmt.Errorf("the response has %d topics instead of one", len(answers))
		}
		return codeErr(answers[0].ErrorCode, answers[0].ErrorMessage)
	})
	if err != nil {
		return fmt.Errorf("kafka: changing the settings of topic %q: %w", topic, err)
	}
	return nil
}
