package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/createtopics"
	"github.com/segmentio/kafka-go/protocol/describeconfigs"
)

// HeaderBytes is how many bytes larger a batch of a new topic may be than one of its [TopicSpec.Source]. The headers
// that the bus adds to a record it moves have to fit into it: 8 KiB for the text of an error, and less than 1 KiB for
// each of the others.
const HeaderBytes = 16 << 10

// sourceAttempts is how often a broker that does not know a source topic is asked again before the topic is taken for
// gone.
const sourceAttempts = 5

const (
	maxMessageBytes = "max.message.bytes"
	retentionMs     = "retention.ms"
)

// sourceConfigs returns the settings that a topic takes over from spec.Source: its largest batch with HeaderRoom more,
// and its retention with spec.Delay more, unless spec has a retention of its own. A source that is gone, or whose
// settings may not be read, leaves both to the broker.
func (c *Client) sourceConfigs(ctx context.Context, name string, spec TopicSpec) ([]createtopics.RequestConfig, error) {
	var source map[string]string
	var err error
	for n := 0; ; n++ {
		source, err = c.topicConfig(ctx, spec.Source, maxMessageBytes, retentionMs)
		// A broker may hear of a new topic late.
		if Classify(err) != TopicMissing || n == sourceAttempts || Sleep(ctx, c.settings.Backoff().Delay(n)) != nil {
			break
		}
	}
	if err != nil {
		class := Classify(err)
		if ctx.Err() != nil || c.ctx.Err() != nil || class.Retriable() && class != TopicMissing {
			return nil, fmt.Errorf("read the configuration of topic %q: %w", spec.Source, err)
		}
		c.logger.Warn("kafka: the configuration of a topic cannot be read: another one that is to take its records is "+
			"created with the broker's defaults; allow DescribeConfigs, or create the other one yourself",
			"topic", spec.Source, "other", name, "error", err)
		return nil, nil
	}
	var configs []createtopics.RequestConfig
	set := func(name string, value int64) {
		configs = append(configs, createtopics.RequestConfig{Name: name, Value: strconv.FormatInt(value, 10)})
	}
	if n, err := strconv.ParseInt(source[maxMessageBytes], 10, 64); err == nil {
		set(maxMessageBytes, min(n+HeaderBytes, math.MaxInt32))
	}
	if ms, err := strconv.ParseInt(source[retentionMs], 10, 64); err == nil && spec.Retention == 0 {
		if ms >= 0 { // -1 is for ever
			ms += min(spec.Delay.Milliseconds(), math.MaxInt64-ms)
		}
		set(retentionMs, ms)
	}
	return configs, nil
}

// topicConfig asks for settings of a topic, the broker's defaults where it has none of its own.
func (c *Client) topicConfig(ctx context.Context, topic string, names ...string) (map[string]string, error) {
	resources, err := c.describeTopics(ctx, []string{topic}, names)
	if err != nil {
		return nil, err
	}
	if len(resources) != 1 {
		return nil, fmt.Errorf("the response has %d topics instead of one", len(resources))
	}
	if err := codeErr(resources[0].ErrorCode, resources[0].ErrorMessage); err != nil {
		return nil, err
	}
	return valuesOf(&resources[0]), nil
}

// topicConfigs adds to found the settings of those topics that the broker describes. It asks once.
func (c *Client) topicConfigs(ctx context.Context, topics, names []string, found map[string]map[string]string) error {
	resources, err := c.describeTopics(ctx, topics, names)
	if errors.Is(err, ErrTooOld) {
		return nil
	}
	if err != nil {
		return err
	}
	for i := range resources {
		if resources[i].ErrorCode == 0 {
			found[resources[i].ResourceName] = valuesOf(&resources[i])
		}
	}
	return nil
}

// describeTopics asks for settings of topics; for all settings without names.
func (c *Client) describeTopics(ctx context.Context, topics, names []string) (
	[]describeconfigs.ResponseResource, error,
) {
	request := &describeTopic{clientID: c.settings.ClientID}
	for _, topic := range topics {
		request.message.Resources = append(request.message.Resources, describeconfigs.RequestResource{
			ResourceType: topicResource, ResourceName: topic, ConfigNames: names,
		})
	}
	answer, err := c.roundTrip(ctx, request, 0)
	if err != nil {
		return nil, err
	}
	if !request.offered {
		return nil, fmt.Errorf("%w: it does not know DescribeConfigs", ErrTooOld)
	}
	return answer.(*describeconfigs.Response).Resources, nil
}

func valuesOf(resource *describeconfigs.ResponseResource) map[string]string {
	values := make(map[string]string, len(resource.ConfigEntries))
	for _, entry := range resource.ConfigEntries {
		values[entry.ConfigName] = entry.ConfigValue
	}
	return values
}

// topicResource is Kafka's number for a topic in DescribeConfigs.
const topicResource = 2

// describeTopic is a DescribeConfigs request that is not sent to a broker which does not know it: such a broker would
// close the connection.
type describeTopic struct {
	message  describeconfigs.Request
	clientID string
	version  int16
	offered  bool // valid after RoundTrip
}

func (*describeTopic) ApiKey() protocol.ApiKey { return protocol.DescribeConfigs }

// Broker implements protocol.BrokerMessage. Every broker knows the topics' settings, and the controller has just been
// asked for others.
func (*describeTopic) Broker(c protocol.Cluster) (protocol.Broker, error) { return controllerOf(c) }

// Required implements protocol.RawExchanger.
func (r *describeTopic) Required(versions map[protocol.ApiKey]int16) bool {
	r.version, r.offered = versions[protocol.DescribeConfigs]
	return true
}

// RawExchange implements protocol.RawExchanger.
func (r *describeTopic) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if !r.offered {
		return new(describeconfigs.Response), nil
	}
	return protocol.RoundTrip(rw, r.version, 1, r.clientID, &r.message)
}

var (
	_ protocol.BrokerMessage = (*describeTopic)(nil)
	_ protocol.RawExchanger  = (*describeTopic)(nil)
)
