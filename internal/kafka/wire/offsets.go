package wire

import (
	"io"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/listoffsets"
)

// LeaderOffsets asks one leader for an offset in each of many of its partitions, one timestamp per partition.
// kafka-go's own request would split itself into one request per partition. The answer is a *listoffsets.Response.
type LeaderOffsets struct {
	Request  listoffsets.Request
	Leader   int32  // the broker's id
	ClientID string // Kafka's client.id

	version int16
}

// ApiKey implements protocol.Message.
func (*LeaderOffsets) ApiKey() protocol.ApiKey { return protocol.ListOffsets }

// Broker implements protocol.BrokerMessage.
func (r *LeaderOffsets) Broker(c protocol.Cluster) (protocol.Broker, error) {
	return leader(c, r.Leader, "listing offsets")
}

// Required implements protocol.RawExchanger.
func (r *LeaderOffsets) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = versions[protocol.ListOffsets]
	return true
}

// RawExchange implements protocol.RawExchanger.
func (r *LeaderOffsets) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	return protocol.RoundTrip(rw, r.version, correlationID, r.ClientID, &r.Request)
}

var (
	_ protocol.BrokerMessage = (*LeaderOffsets)(nil)
	_ protocol.RawExchanger  = (*LeaderOffsets)(nil)
)
