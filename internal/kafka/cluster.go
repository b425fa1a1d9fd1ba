package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/createtopics"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

// NoLeader stands in [Topic.Leaders] for a partition that nobody leads at the moment.
const NoLeader int32 = -1

// Cluster is what the brokers said about themselves at one moment. It is shared by all who asked for it: read only.
type Cluster struct {
	// Brokers are those that are up, by id.
	Brokers []Broker
	// Topics by name, Kafka's internal ones too.
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
	// Internal: Kafka's own (__consumer_offsets); its partitions cannot be asked for anything through the Transport.
	Internal bool
	// Leaders has the id of each partition's leader, by partition; [NoLeader] for none, or one that is not up.
	Leaders []int32
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

// Cluster returns the latest snapshot. It waits for the first one; later ones are at most MetadataMaxAge old while the brokers
// answer, and the same pointer is returned until there is a newer one.
func (c *Client) Cluster(ctx context.Context) (*Cluster, error) {
	cluster, err := c.cluster(ctx)
	if err != nil {
		return nil, fmt.Errorf("kafka: looking at the cluster: %w", err)
	}
	return cluster, nil
}

func (c *Client) cluster(ctx context.Context) (*Cluster, error) {
	pool := c.pools.Load()
	// No topic names: all of them, which the Transport has in its cache.
	response, err := c.roundTrip(ctx, new(metadata.Request), 0)
	if err != nil {
		if ctx.Err() == nil {
			// The Transport has never heard from a broker, and would answer with this error until it asks again in its own time.
			c.drop(pool)
		}
		return nil, err
	}
	cluster, fresh := c.snapshots.of(response.(*metadata.Response))
	if fresh {
		c.dialer.learn(cluster.addresses())
	}
	return cluster, nil
}

func (c *Cluster) addresses() []string {
	addresses := make([]string, len(c.Brokers))
	for i, b := range c.Brokers {
		addresses[i] = b.Address()
	}
	return addresses
}

// Refresh makes the Transport ask a broker for metadata now, and returns when the answer is there, or nobody gave one. Use it
// after a [Moved] or [TopicMissing] error, with a pause: each call is a request for all topics. It takes a quarter of RequestTimeout
// at most (but a second, where that allows it); the broker that hangs is left then.
func (c *Client) Refresh(ctx context.Context) error {
	if err := c.refresh(ctx); err != nil {
		return fmt.Errorf("kafka: asking for metadata: %w", err)
	}
	return nil
}

func (c *Client) refresh(ctx context.Context) error {
	pool := c.pools.Load()
	patience := min(max(c.settings.RequestTimeout/4, time.Second), c.settings.RequestTimeout)
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := c.roundTrip(limited, refresh{}, 0)
	if limited.Err() == nil || ctx.Err() != nil || c.ctx.Err() != nil {
		return err
	}
	// The Transport has one connection for metadata, and MetadataMaxAge may let it wait there for minutes.
	c.drop(pool)
	return fmt.Errorf("no answer within %s: %w", patience, os.ErrDeadlineExceeded)
}

// refresh is a message that is never sent. The Transport refreshes its metadata when it sees the response of CreateTopics, and
// there is no other way to make it; so this one exchanges nothing and returns such a response, without topics to wait for.
type refresh struct{}

func (refresh) ApiKey() protocol.ApiKey                 { return protocol.Metadata }
func (refresh) Required(map[protocol.ApiKey]int16) bool { return true }
func (refresh) RawExchange(io.ReadWriter) (protocol.Message, error) {
	return new(createtopics.Response), nil
}

var _ protocol.RawExchanger = refresh{}

// snapshots makes a Cluster of each metadata response once. The Transport returns a new header each time, around the same
// arrays as long as its cache has not changed.
type snapshots struct {
	mu      sync.Mutex
	brokers []metadata.ResponseBroker
	topics  []metadata.ResponseTopic
	cluster *Cluster
}

func (s *snapshots) of(r *metadata.Response) (_ *Cluster, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster == nil || !same(s.brokers, r.Brokers) || !same(s.topics, r.Topics) {
		s.brokers, s.topics, s.cluster = r.Brokers, r.Topics, newCluster(r)
		fresh = true
	}
	return s.cluster, fresh
}

// same reports whether a and b are the same array, not only equal ones. Holding one keeps its address from being used again.
func same[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

func newCluster(r *metadata.Response) *Cluster {
	c := &Cluster{
		Brokers: make([]Broker, len(r.Brokers)),
		Topics:  make(map[string]*Topic, len(r.Topics)),
	}
	up := make(map[int32]bool, len(r.Brokers))
	for i, b := range r.Brokers {
		c.Brokers[i] = Broker{ID: b.NodeID, Host: b.Host, Port: b.Port}
		up[b.NodeID] = true
	}
	for _, t := range r.Topics {
		c.Topics[t.Name] = newTopic(t, up)
	}
	return c
}

func newTopic(t metadata.ResponseTopic, up map[int32]bool) *Topic {
	topic := &Topic{Name: t.Name, Internal: t.IsInternal, Err: CodeErr(t.ErrorCode), Leaders: make([]int32, len(t.Partitions))}
	for i := range topic.Leaders {
		topic.Leaders[i] = NoLeader
	}
	for _, p := range t.Partitions {
		// Kafka numbers partitions from 0 without a gap; what does not fit is no partition of this topic.
		if p.PartitionIndex < 0 || int(p.PartitionIndex) >= len(topic.Leaders) {
			topic.Err = errors.New("the broker's partition numbers have gaps")
			continue
		}
		if up[p.LeaderID] {
			topic.Leaders[p.PartitionIndex] = p.LeaderID
		}
	}
	return topic
}
