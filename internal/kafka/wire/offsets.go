package wire

import (
	"errors"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

// LeaderOffsets asks one leader for an offset in each of many of its partitions. kafka-go's own request
// would split itself into one request per partition. It goes to the leader of its first partition; one
// timestamp per partition. The answer is a *listoffsets.Response.
type LeaderOffsets listoffsets.Request

// ApiKey implements protocol.Message.
func (*LeaderOffsets) ApiKey() protocol.ApiKey { return protocol.ListOffsets }

// Broker implements protocol.BrokerMessage.
func (r *LeaderOffsets) Broker(c protocol.Cluster) (protocol.Broker, error) {
	none := protocol.Broker{ID: -1}
	if len(r.Topics) == 0 || len(r.Topics[0].Partitions) == 0 {
		return none, errors.New("wire: listing offsets: the request names no partition")
	}
	name, id := r.Topics[0].Topic, r.Topics[0].Partitions[0].Partition
	topic, ok := c.Topics[name]
	if !ok {
		return none, protocol.NewErrNoTopic(name)
	}
	partition, ok := topic.Partitions[id]
	if !ok {
		return none, protocol.NewErrNoPartition(name, id)
	}
	broker, ok := c.Brokers[partition.Leader]
	if !ok {
		return none, protocol.NewErrNoLeader(name, id)
	}
	return broker, nil
}

var _ protocol.BrokerMessage = (*LeaderOffsets)(nil)
