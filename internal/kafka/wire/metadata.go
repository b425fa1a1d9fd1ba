package wire

import (
	"cmp"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/metadata"
)

const metadataVersion = 8 // the highest that kafka-go encodes; Kafka 2.3 and later

// MetadataRequest asks any broker about the cluster, and never creates a topic. The Transport would answer kafka-go's
// own request from its cache. The answer is a *Metadata.
type MetadataRequest struct {
	All      bool     // topics
	Topics   []string // without All
	ClientID string   // Kafka's client.id
	Limit    uint32   // bytes of the response. Defaults to DefaultResponseLimit.

	version int16
}

// Metadata is the head of an answer; its topics are yet to be decoded.
type Metadata struct {
	Brokers []MetadataBroker
	topics  []byte
}

// MetadataBroker is a broker that is up.
type MetadataBroker struct {
	ID   int32
	Host string
	Port int32
}

// MetadataTopic is one topic. It and its Leaders are its receiver's.
type MetadataTopic struct {
	Code     int16 // Kafka's error code; 0 = the topic is described
	Name     string
	Internal bool
	Replicas int // of the partition that has the most
	Leaders  []PartitionLeader
}

// PartitionLeader says who leads a partition, -1 for nobody.
type PartitionLeader struct {
	Partition, Leader int32
}

// ApiKey implements protocol.Message.
func (*MetadataRequest) ApiKey() protocol.ApiKey { return protocol.Metadata }

// Required implements protocol.RawExchanger.
func (r *MetadataRequest) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = versions[protocol.Metadata]
	return true
}

// RawExchange implements protocol.RawExchanger.
func (r *MetadataRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if err := needVersion("asking for metadata", r.version, metadataVersion, metadataVersion, "2.3"); err != nil {
		return nil, err
	}
	limit := cmp.Or(r.Limit, DefaultResponseLimit)
	request := &metadata.Request{TopicNames: r.Topics}
	switch {
	case r.All:
		request.TopicNames = nil
	case r.Topics == nil:
		request.TopicNames = []string{} // nil would be all of them
	}
	b, err := Exchange(rw, r.version, r.ClientID, request, limit)
	if err != nil {
		return nil, err
	}
	return readMetadata(b)
}

// ApiKey implements protocol.Message.
func (*Metadata) ApiKey() protocol.ApiKey { return protocol.Metadata }

func readMetadata(b []byte) (*Metadata, error) {
	r := reader{b: b}
	r.int32() // throttle time
	m := new(Metadata)
	for range r.count(4 + 2 + 4 + 2) {
		m.Brokers = append(m.Brokers, MetadataBroker{ID: r.int32(), Host: r.string(), Port: r.int32()})
		r.string() // rack
	}
	r.string() // cluster id
	r.int32()  // controller: with KRaft any broker that is up, another one each time
	if r.failed {
		return nil, errShortMetadata
	}
	m.topics = r.b
	return m, nil
}

var errShortMetadata = fmt.Errorf("wire: the answer to %s ends early", protocol.Metadata)

// TopicBytes are the topics as the broker sent them. Where they are equal to those of an earlier answer there is
// nothing to decode.
func (m *Metadata) TopicBytes() []byte { return m.topics }

// Topics decodes the topics.
func (m *Metadata) Topics() ([]MetadataTopic, error) {
	r := reader{b: m.topics}
	topics := make([]MetadataTopic, r.count(2+2+1+4+4))
	for i := range topics {
		t := &topics[i]
		t.Code, t.Name = r.int16(), r.string()
		if b := r.next(1); b != nil {
			t.Internal = b[0] != 0
		}
		t.Leaders = make([]PartitionLeader, r.count(2+4+4+4+4+4+4))
		for j := range t.Leaders {
			r.int16() // the partition's error: it has no leader then
			t.Leaders[j] = PartitionLeader{Partition: r.int32(), Leader: r.int32()}
			r.int32() // leader epoch
			replicas := r.count(4)
			r.next(4 * replicas)
			t.Replicas = max(t.Replicas, replicas)
			for range 2 {
				r.next(4 * r.count(4)) // those in sync, those offline
			}
		}
		r.int32() // authorized operations
	}
	if r.int32(); r.failed { // authorized operations on the cluster
		return nil, errShortMetadata
	}
	return topics, nil
}

var _ protocol.RawExchanger = (*MetadataRequest)(nil)
