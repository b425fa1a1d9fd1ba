package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/initproducerid"
	"github.com/segmentio/kafka-go/protocol/produce"
	"github.com/segmentio/kafka-go/protocol/rawproduce"
)

// PartitionBatch is a sealed batch and where it goes.
type PartitionBatch struct {
	Topic     string
	Partition int32
	Batch     []byte // as Builder.Seal returns it
}

// Writing tells whether a produce request has begun to be written, and can keep it from that. The zero value is for one request.
type Writing struct{ state atomic.Int32 }

const (
	writingBegun     = 1
	writingCancelled = 2
)

// Cancel reports whether none of the request was written, and keeps it so: a request that its caller has given up may still wait for a
// connection.
func (w *Writing) Cancel() bool {
	return w.state.CompareAndSwap(0, writingCancelled) || w.state.Load() == writingCancelled
}

// batchReader is a batch with its size before it, as kafka-go copies it into the request.
type batchReader struct {
	net.Buffers
	writing *Writing
}

// WriteTo is what kafka-go calls when it writes the request.
func (r *batchReader) WriteTo(to io.Writer) (int64, error) {
	if !r.writing.state.CompareAndSwap(0, writingBegun) && r.writing.state.Load() == writingCancelled {
		return 0, protocol.ErrNoRecord // the error after which kafka-go keeps the connection, on which nothing was written
	}
	return r.Buffers.WriteTo(to)
}

// ProduceRequest writes batches of partitions that Leader leads. The answer is read by [ProduceResponse].
type ProduceRequest struct {
	Request  rawproduce.Request
	Leader   int32  // the broker's id
	ClientID string // Kafka's client.id

	version int16
}

// ApiKey implements protocol.Message.
func (*ProduceRequest) ApiKey() protocol.ApiKey { return protocol.Produce }

// Broker implements protocol.BrokerMessage.
func (r *ProduceRequest) Broker(c protocol.Cluster) (protocol.Broker, error) {
	return leader(c, r.Leader, "producing")
}

// Required implements protocol.RawExchanger.
func (r *ProduceRequest) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = versions[protocol.Produce]
	return true
}

// RawExchange implements protocol.RawExchanger.
func (r *ProduceRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	return protocol.RoundTrip(rw, r.version, correlationID, r.ClientID, &r.Request)
}

// NewProduceRequest returns the request that writes the batches, at most one per partition, all of
// which leader has to lead. The request can be sent once. For the next attempt make a new one
// over the same batches: the bytes, and so the sequences, stay the same.
//
// timeout is how long the broker may wait for its replicas. acks is -1 for all of them. w tells of the request whether it was written.
func NewProduceRequest(leader int32, clientID string, acks int16, timeout time.Duration, batches []PartitionBatch, w *Writing) *ProduceRequest {
	r := &rawproduce.Request{Acks: acks, Timeout: int32(timeout.Milliseconds())}
	topics := make(map[string]int, len(batches))
	for _, b := range batches {
		i, ok := topics[b.Topic]
		if !ok {
			i = len(r.Topics)
			topics[b.Topic] = i
			r.Topics = append(r.Topics, rawproduce.RequestTopic{Topic: b.Topic})
		}
		size := binary.BigEndian.AppendUint32(nil, uint32(len(b.Batch)))
		t := &r.Topics[i]
		t.Partitions = append(t.Partitions, rawproduce.RequestPartition{
			Partition: b.Partition,
			RecordSet: protocol.RawRecordSet{Reader: &batchReader{net.Buffers{size, b.Batch}, w}},
		})
	}
	return &ProduceRequest{Request: *r, Leader: leader, ClientID: clientID}
}

// ProducedPartition is a broker's answer for one partition of a produce request.
type ProducedPartition struct {
	Topic         string
	Partition     int32
	Code          int16         // Kafka's error code; 0 = written
	BaseOffset    int64         // of the batch's first record
	LogAppendTime int64         // ms since the epoch where the topic stamps records itself, else -1
	RecordErrors  []RecordError // the records at fault, where the broker says so
	ErrorMessage  string        // the broker's own words, often empty
}

// RecordError names one record that the broker refused.
type RecordError struct {
	Index   int // in the batch
	Message string
}

// ProduceResponse returns the answers in m, which is what the Transport answered to a request of
// NewProduceRequest. With acks 0 there is no answer, and no partitions.
func ProduceResponse(m protocol.Message) ([]ProducedPartition, error) {
	if m == nil {
		return nil, nil
	}
	r, ok := m.(*produce.Response)
	if !ok {
		return nil, fmt.Errorf("wire: reading a produce response: got %T", m)
	}
	var parts []ProducedPartition
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			var bad []RecordError
			for _, e := range p.RecordErrors {
				bad = append(bad, RecordError{Index: int(e.BatchIndex), Message: e.BatchIndexErrorMessage})
			}
			parts = append(parts, ProducedPartition{
				Topic: t.Topic, Partition: p.Partition, Code: p.ErrorCode, BaseOffset: p.BaseOffset,
				LogAppendTime: p.LogAppendTime, RecordErrors: bad, ErrorMessage: p.ErrorMessage,
			})
		}
	}
	return parts, nil
}

// InitProducerID asks any broker for a producer id. kafka-go's own request would look for a
// transaction coordinator first, which an idempotent producer without transactions has not.
type InitProducerID initproducerid.Request

// NewInitProducerID returns the request for a new producer id without transactions.
func NewInitProducerID() *InitProducerID {
	return &InitProducerID{TransactionTimeoutMs: 60_000, ProducerID: -1, ProducerEpoch: -1}
}

// ApiKey implements protocol.Message.
func (*InitProducerID) ApiKey() protocol.ApiKey { return protocol.InitProducerId }

// InitProducerIDResponse returns the producer in m, which is what the Transport answered to an
// InitProducerID, and the broker's error code. With a code other than 0 there is no producer: a broker
// that has just started answers 14, and the id -1 in that answer must not be used.
func InitProducerIDResponse(m protocol.Message) (p Producer, code int16, err error) {
	r, ok := m.(*initproducerid.Response)
	if !ok {
		return NoProducer(), 0, fmt.Errorf("wire: reading a producer id: got %T", m)
	}
	if r.ErrorCode != 0 {
		return NoProducer(), r.ErrorCode, nil
	}
	if r.ProducerID < 0 {
		return NoProducer(), 0, fmt.Errorf("wire: reading a producer id: the broker answered %d without an error", r.ProducerID)
	}
	return Producer{ID: r.ProducerID, Epoch: r.ProducerEpoch}, 0, nil
}

var (
	_ protocol.BrokerMessage = (*ProduceRequest)(nil)
	_ protocol.RawExchanger  = (*ProduceRequest)(nil)
	_ protocol.Message       = (*InitProducerID)(nil)
)
