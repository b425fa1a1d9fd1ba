package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/createtopics"
)

// TopicSpec says how a topic is created. The zero value is complete.
type TopicSpec struct {
	// Partitions defaults to 7.
	Partitions int
	// ReplicationFactor defaults to the number of brokers that are up, at most 3.
	ReplicationFactor int
	// Retention is how long records are kept. 0 leaves it to the broker, or to Source. Kafka: retention.ms, so at
	// least 1ms.
	Retention time.Duration
	// Source is a topic whose records the new one is to take, with more headers ([HeaderRoom]): its max.message.bytes
	// and retention.ms, which may be the broker's defaults, count for the new one too. Defaults to none.
	Source string
	// Delay is how much longer than those of Source the records are kept.
	Delay time.Duration
	// Configs are further settings of the topic, by Kafka's names. They win over those of Source. Defaults to none.
	Configs map[string]string
	// Existing says that the topic is not created: without it EnsureTopic fails with [ErrNoTopic].
	Existing bool
}

const (
	defaultPartitions  = 7
	defaultReplication = 3
)

// EnsureTopic returns nil when the topic exists and a produce request can find its leaders. It creates the topic unless
// it is there; one that another process creates at the same moment is as good, and a spec never changes a topic that
// exists. Calls for one name at one time send one request among them. Transient errors are retried until ctx ends.
func (c *Client) EnsureTopic(ctx context.Context, name string, spec TopicSpec) error {
	if err := checkTopic(name, spec); err != nil {
		return err
	}
	for {
		mine, f := c.creating.join(name)
		if mine {
			err := c.retry(ctx, func() error { return c.ensureTopic(ctx, name, spec) })
			if err != nil {
				doing := "creating"
				if spec.Existing {
					doing = "looking for"
				}
				err = fmt.Errorf("kafka: %s topic %q: %w", doing, name, err)
			}
			c.creating.leave(name, f, err, ctx.Err() != nil)
			return err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return fmt.Errorf("kafka: waiting for topic %q: %w", name, context.Cause(ctx))
		}
		if !f.abandoned {
			return f.err
		}
	}
}

// checkTopic says at once what a broker would refuse later, with less words.
func checkTopic(name string, spec TopicSpec) error {
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-'
	}
	illegal := strings.IndexFunc(name, func(r rune) bool { return !legal(r) })
	if name == "" || name == "." || name == ".." || len(name) > 249 || illegal >= 0 {
		return fmt.Errorf("kafka: topic %.300q: %w: Kafka wants 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-', and neither "+
			"\".\" nor \"..\"", name, kafkago.InvalidTopic)
	}
	if spec.Partitions < 0 || spec.ReplicationFactor < 0 || spec.ReplicationFactor > 1<<15-1 || spec.Retention < 0 ||
		spec.Delay < 0 || spec.Partitions > 1<<31-1 {
		return fmt.Errorf("kafka: topic %q: partitions, replication factor, retention or delay are out of range: %+v",
			name, spec)
	}
	return nil
}

// ensureTopic is one attempt.
func (c *Client) ensureTopic(ctx context.Context, name string, spec TopicSpec) error {
	cluster, err := c.topics(ctx, false, []string{name})
	if err != nil {
		return err
	}
	topic, exists := cluster.Topics[name]
	switch {
	case exists && topic.Err != nil && !Classify(topic.Err).Retriable():
		return topic.Err
	case exists && topic.Internal:
		return fmt.Errorf("%w: the topic is Kafka's own", kafkago.InvalidTopic)
	case exists && topic.led() > 0:
		// A partition without a leader does not stop the others.
		return nil
	case !exists && spec.Existing:
		return ErrNoTopic
	case !exists:
		if err := c.createTopic(ctx, name, spec, len(cluster.Brokers)); err != nil {
			return err
		}
	}
	return c.awaitLeaders(ctx, name)
}

// createTopic asks the controller.
func (c *Client) createTopic(ctx context.Context, name string, spec TopicSpec, brokers int) error {
	partitions := spec.Partitions
	if partitions == 0 {
		partitions = defaultPartitions
	}
	replicas := spec.ReplicationFactor
	if replicas == 0 {
		replicas = max(1, min(brokers, defaultReplication))
	}
	topic := createtopics.RequestTopic{Name: name, NumPartitions: int32(partitions), ReplicationFactor: int16(replicas)}
	if spec.Source != "" {
		var err error
		if topic.Configs, err = c.sourceConfigs(ctx, name, spec); err != nil {
			return err
		}
	}
	if spec.Retention > 0 {
		retention := max(1, spec.Retention.Milliseconds())
		topic.Configs = append(topic.Configs, createtopics.RequestConfig{Name: retentionMs,
			Value: strconv.FormatInt(retention, 10)})
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Configs)) {
		topic.Configs = slices.DeleteFunc(topic.Configs, func(c createtopics.RequestConfig) bool { return c.Name == name })
		topic.Configs = append(topic.Configs, createtopics.RequestConfig{Name: name, Value: spec.Configs[name]})
	}
	// The broker gets half of our own patience, so that its answer arrives before that ends.
	timeout := int32((c.settings.RequestTimeout / 2).Milliseconds())
	request := &createTopic{clientID: c.settings.ClientID}
	request.message = createtopics.Request{TimeoutMs: timeout, Topics: []createtopics.RequestTopic{topic}}
	_, err := c.roundTrip(ctx, request, 0)
	if err == nil {
		err = request.err
	}
	if spec.ReplicationFactor == 0 && errors.Is(err, kafkago.InvalidReplicationFactor) {
		// We counted a broker that has gone meanwhile. The next attempt counts again.
		return fmt.Errorf("%w: with %d replicas: %v", kafkago.LeaderNotAvailable, replicas, err)
	}
	return err
}

// awaitLeaders returns when every partition has a leader, or some have and RequestTimeout has passed.
func (c *Client) awaitLeaders(ctx context.Context, name string) error {
	deadline := time.Now().Add(c.settings.RequestTimeout)
	for n := 0; ; n++ {
		cluster, err := c.topics(ctx, false, []string{name})
		if err != nil {
			return err
		}
		topic, late := cluster.Topics[name], time.Now().After(deadline)
		switch {
		case topic == nil && late:
			return fmt.Errorf("%w: not seen after %s", kafkago.UnknownTopicOrPartition, c.settings.RequestTimeout)
		case topic != nil && len(topic.Leaders) > 0 && topic.led() == len(topic.Leaders):
			return nil
		case topic != nil && topic.led() > 0 && late:
			return nil
		case late:
			return fmt.Errorf("%w: after %s", kafkago.LeaderNotAvailable, c.settings.RequestTimeout)
		}
		if err := Sleep(ctx, c.settings.Backoff().Delay(min(n, 2))); err != nil {
			return err
		}
	}
}
