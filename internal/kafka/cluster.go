package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/createtopics"
	"github.com/segmentio/kafka-go/protocol/metadata"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// NoLeader stands in [Topic.Leaders] for a partition that nobody leads at the moment.
const NoLeader int32 = -1

// Cluster is what the brokers said about themselves. It is shared by all who asked for it: read only.
type Cluster struct {
	// Brokers are those that are up, by id.
	Brokers []Broker
	// Topics by name: those that were asked for and are there; when all were, Kafka's internal ones too.
	Topics map[string]*Topic
}

// Broker is one node of a cluster.
type Broker struct {
	ID   int32
	Host string
	Port int32
}

// Address returns host:port.
func (b Broker) Address() string { return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))) }

// Topic is one topic of a cluster.
type Topic struct {
	Name string
	// Internal: Kafka's own (__consumer_offsets).
	Internal bool
	// Leaders has the id of each partition's leader, by partition; [NoLeader] for none, or one that is not up.
	Leaders []int32
	// Replicas is how many replicas a partition has, itself included.
	Replicas int
	// Err is what the broker said instead of partitions; nil if nothing.
	Err error
}

// led reports how many of the partitions have a leader.
func (t *Topic) led() int {
	n := 0
	for _, leader := range t.Leaders {
		if leader != NoLeader {
			n++
		}
	}
	return n
}

// Up reports whether a broker is among those that are up.
func (c *Cluster) Up(id int32) bool {
	return slices.ContainsFunc(c.Brokers, func(b Broker) bool { return b.ID == id })
}

// complete reports whether the topic is there and all its partitions have a leader.
func (t *Topic) complete() bool { return t != nil && len(t.Leaders) > 0 && t.led() == len(t.Leaders) }

func (t *Topic) equal(other *Topic) bool {
	return t != nil && t.Internal == other.Internal && slices.Equal(t.Leaders, other.Leaders) &&
		(t.Err == nil) == (other.Err == nil) &&
		(t.Err == nil || t.Err.Error() == other.Err.Error())
}

// AllTopics asks a broker, now, for all topics. A caller that needs them again and again uses [Client.Watch].
func (c *Client) AllTopics(ctx context.Context) (*Cluster, error) {
	return c.ask(ctx, true, nil)
}

// Topics asks a broker, now, for these topics; with none, for the brokers alone. A topic that does not exist
// is not in the answer, and is not created.
func (c *Client) Topics(ctx context.Context, names ...string) (*Cluster, error) {
	return c.ask(ctx, false, names)
}

func (c *Client) ask(ctx context.Context, all bool, names []string) (*Cluster, error) {
	cluster, err := c.topics(ctx, all, names)
	if err != nil {
		return nil, fmt.Errorf("kafka: looking at the cluster: %w", err)
	}
	return cluster, nil
}

func (c *Client) topics(ctx context.Context, all bool, names []string) (*Cluster, error) {
	answer, err := c.askMetadata(ctx, all, names)
	if err != nil {
		return nil, err
	}
	cluster := &Cluster{Brokers: brokersOf(answer)}
	cluster.Topics, err = topicsOf(answer, cluster.Brokers)
	return cluster, err
}

// askMetadata asks a broker about topics. The Transport knows of the brokers in the answer when it returns. It takes
// at most a quarter of RequestTimeout, or a second if that is more; then it drops the connections, and with them the
// broker that hangs.
func (c *Client) askMetadata(ctx context.Context, all bool, names []string) (*wire.Metadata, error) {
	pool := c.pools.Load()
	attempt := min(max(c.settings.RequestTimeout/4, time.Second), c.settings.RequestTimeout)
	limited, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	answer, err := c.metadata(limited, all, names)
	if err == nil || limited.Err() == nil || ctx.Err() != nil || c.ctx.Err() != nil {
		return answer, err
	}
	c.drop(pool)
	return nil, fmt.Errorf("no answer within %s: %w%s", attempt, os.ErrDeadlineExceeded, c.connHint())
}

func (c *Client) metadata(ctx context.Context, all bool, names []string) (*wire.Metadata, error) {
	known, err := c.brokers(ctx)
	if err != nil {
		return nil, err
	}
	response, err := c.roundTrip(ctx, &wire.MetadataRequest{All: all, Topics: names, ClientID: c.settings.ClientID}, 0)
	if err != nil {
		return nil, err
	}
	answer := response.(*wire.Metadata)
	if len(answer.Brokers) == 0 {
		return nil, errors.New("the broker names no brokers: it has just started")
	}
	c.dialer.learn(addresses(answer.Brokers))
	if differ(known, answer.Brokers) {
		if _, err := c.roundTrip(ctx, refresh{}, 0); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// brokers returns those that the Transport knows. It waits for the first answer to the Transport's own question.
func (c *Client) brokers(ctx context.Context) ([]metadata.ResponseBroker, error) {
	pool := c.pools.Load()
	response, err := c.roundTrip(ctx, &metadata.Request{TopicNames: []string{}}, 0) // answered from the Transport's cache
	if err != nil {
		if ctx.Err() == nil {
			// The Transport has never heard from a broker, and would answer with this error until it asks again in its own time.
			c.drop(pool)
		}
		return nil, err
	}
	return response.(*metadata.Response).Brokers, nil
}

func differ(known []metadata.ResponseBroker, brokers []wire.MetadataBroker) bool {
	for _, b := range brokers {
		if !slices.ContainsFunc(known,
			func(k metadata.ResponseBroker) bool { return k.NodeID == b.ID && k.Host == b.Host && k.Port == b.Port }) {
			return true
		}
	}
	return len(known) != len(brokers)
}

func addresses(brokers []wire.MetadataBroker) []string {
	addresses := make([]string, len(brokers))
	for i, b := range brokers {
		addresses[i] = Broker(b).Address()
	}
	return addresses
}

// refresh is a message that is never sent. The Transport asks for the brokers anew when it sees the response of
// CreateTopics, and there is no other way to make it; so this one exchanges nothing and returns such a response,
// without topics to wait for.
type refresh struct{}

func (refresh) ApiKey() protocol.ApiKey                 { return protocol.Metadata }
func (refresh) Required(map[protocol.ApiKey]int16) bool { return true }
func (refresh) RawExchange(io.ReadWriter) (protocol.Message, error) {
	return new(createtopics.Response), nil
}

var _ protocol.RawExchanger = refresh{}

// brokersOf returns the brokers of an answer, by id.
func brokersOf(answer *wire.Metadata) []Broker {
	brokers := make([]Broker, len(answer.Brokers))
	for i, b := range answer.Brokers {
		brokers[i] = Broker(b)
	}
	slices.SortFunc(brokers, func(a, b Broker) int { return cmp.Compare(a.ID, b.ID) })
	return brokers
}

// topicsOf decodes the topics of an answer that are there, or that the broker will not describe.
func topicsOf(answer *wire.Metadata, brokers []Broker) (map[string]*Topic, error) {
	decoded, err := answer.Topics()
	if err != nil {
		return nil, err
	}
	up := make(map[int32]bool, len(brokers))
	for _, b := range brokers {
		up[b.ID] = true
	}
	topics := make(map[string]*Topic, len(decoded))
	for _, t := range decoded {
		if CodeError(t.Code) != kafkago.UnknownTopicOrPartition {
			topics[t.Name] = newTopic(t, up)
		}
	}
	return topics, nil
}

func newTopic(t wire.MetadataTopic, up map[int32]bool) *Topic {
	topic := &Topic{Name: t.Name, Internal: t.Internal, Err: CodeErr(t.Code), Replicas: t.Replicas,
		Leaders: make([]int32, len(t.Leaders))}
	for i := range topic.Leaders {
		topic.Leaders[i] = NoLeader
	}
	for _, p := range t.Leaders {
		// Kafka numbers partitions from 0 without a gap; what does not fit is no partition of this topic.
		if p.Partition < 0 || int(p.Partition) >= len(topic.Leaders) {
			topic.Err = errors.New("the broker's partition numbers have gaps")
			continue
		}
		if up[p.Leader] {
			topic.Leaders[p.Partition] = p.Leader
		}
	}
	return topic
}
