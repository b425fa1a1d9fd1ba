package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/initproducerid"
	"github.com/segmentio/kafka-go/protocol/produce"
)

// PartitionBatch is a sealed batch and where it goes.
type PartitionBatch struct {
	Topic     string
	Partition int32
	Batch     []byte // as Builder.Seal returns it
}

// Writing reports whether a produce request has begun to be written, and can keep it from that. The zero value is for
// one request.
type Writing struct{ state atomic.Int32 }

const (
	writingBegun     = 1
	writingCancelled = 2
)

// Cancel reports whether none of the request was written, and keeps it so: a request that its caller has given up may
// still wait for a connection.
func (w *Writing) Cancel() bool {
	return w.state.CompareAndSwap(0, writingCancelled) || w.state.Load() == writingCancelled
}

// start reports whether the request may be written.
func (w *Writing) start() bool {
	return w.state.CompareAndSwap(0, writingBegun) || w.state.Load() == writingBegun
}

// ProduceRequest writes batches of partitions that Leader leads. The answer is read by [ProduceResponse].
//
// It writes itself to the connection: kafka-go would copy the batches into pages of 64 KiB, and make a system call
// for each.
type ProduceRequest struct {
	Leader   int32  // the broker's id
	ClientID string // Kafka's client.id

	acks    int16
	timeout time.Duration
	batches []PartitionBatch // by topic
	writing *Writing
}

// produceVersion is the only version that is written. kafka.WireVersions refuses brokers without it.
const produceVersion = 8

// copiedBatch is the largest batch that is copied behind what is before it, which saves a system call.
const copiedBatch = 32 << 10

// ApiKey implements protocol.Message.
func (*ProduceRequest) ApiKey() protocol.ApiKey { return protocol.Produce }

// Broker implements protocol.BrokerMessage.
func (r *ProduceRequest) Broker(c protocol.Cluster) (protocol.Broker, error) {
	return leader(c, r.Leader, "producing")
}

// Required implements protocol.RawExchanger.
func (*ProduceRequest) Required(map[protocol.ApiKey]int16) bool { return true }

// RawExchange implements protocol.RawExchanger.
func (r *ProduceRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if !r.writing.start() {
		return nil, protocol.ErrNoRecord // the error after which kafka-go keeps the connection, on which nothing was written
	}
	if err := r.write(rw); err != nil {
		return nil, fmt.Errorf("wire: writing a produce request: %w", err)
	}
	if r.acks == 0 {
		return nil, nil
	}
	id, answer, err := protocol.ReadResponse(rw, protocol.Produce, produceVersion)
	if err == nil && id != correlationID {
		err = fmt.Errorf("wire: the answer to a produce request has the correlation id %d instead of %d", id, correlationID)
	}
	return answer, err
}

// write writes the request. Large batches are not copied.
func (r *ProduceRequest) write(to io.Writer) error {
	size, copied, topics := 8+2+len(r.ClientID)+2+2+4+4, 4, 0 // without the size itself, which has 4 bytes
	for i, b := range r.batches {
		if r.startsTopic(i) {
			topics++
			size += 2 + len(b.Topic) + 4
		}
		size += 8 + len(b.Batch)
		if len(b.Batch) <= copiedBatch {
			copied += len(b.Batch)
		}
	}
	if size > math.MaxInt32 {
		return fmt.Errorf("%d bytes are more than a request can have", size)
	}
	out := make([]byte, 0, copied+size-r.batchBytes())
	out = binary.BigEndian.AppendUint32(out, uint32(size))
	out = binary.BigEndian.AppendUint16(out, uint16(protocol.Produce))
	out = binary.BigEndian.AppendUint16(out, produceVersion)
	out = binary.BigEndian.AppendUint32(out, correlationID)
	out = appendString(out, r.ClientID)
	out = binary.BigEndian.AppendUint16(out, 0xffff) // null: no transaction
	out = binary.BigEndian.AppendUint16(out, uint16(r.acks))
	out = binary.BigEndian.AppendUint32(out, uint32(r.timeout.Milliseconds()))
	out = binary.BigEndian.AppendUint32(out, uint32(topics))
	for i, b := range r.batches {
		if r.startsTopic(i) {
			n := 1
			for i+n < len(r.batches) && r.batches[i+n].Topic == b.Topic {
				n++
			}
			out = appendString(out, b.Topic)
			out = binary.BigEndian.AppendUint32(out, uint32(n))
		}
		out = binary.BigEndian.AppendUint32(out, uint32(b.Partition))
		out = binary.BigEndian.AppendUint32(out, uint32(len(b.Batch)))
		if len(b.Batch) <= copiedBatch {
			out = append(out, b.Batch...)
			continue
		}
		for _, part := range [][]byte{out, b.Batch} {
			if _, err := to.Write(part); err != nil {
				return err
			}
		}
		out = out[:0]
	}
	if len(out) == 0 {
		return nil
	}
	_, err := to.Write(out)
	return err
}

// startsTopic reports whether batch i is the first one of its topic.
func (r *ProduceRequest) startsTopic(i int) bool {
	return i == 0 || r.batches[i-1].Topic != r.batches[i].Topic
}

func (r *ProduceRequest) batchBytes() (n int) {
	for _, b := range r.batches {
		n += len(b.Batch)
	}
	return n
}

func appendString(to []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(to, uint16(len(s))), s...)
}

// NewProduceRequest returns the request that writes the batches, at most one per partition, all of
// which leader has to lead. The request can be sent once. For the next attempt make a new one
// over the same batches: the bytes, and so the sequences, stay the same.
//
// timeout is how long the broker may wait for its replicas. acks is -1 for all of them. w tells of the request
// whether it was written.
func NewProduceRequest(leader int32, clientID string, acks int16, timeout time.Duration, batches []PartitionBatch,
	w *Writing) *ProduceRequest {
	batches = slices.Clone(batches)
	slices.SortStableFunc(batches, func(a, b PartitionBatch) int { return strings.Compare(a.Topic, b.Topic) })
	return &ProduceRequest{Leader: leader, ClientID: clientID, acks: acks, timeout: timeout, batches: batches, writing: w}
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
		return NoProducer(), 0, fmt.Errorf("wire: reading a producer id: the broker answered %d without an error",
			r.ProducerID)
	}
	return Producer{ID: r.ProducerID, Epoch: r.ProducerEpoch}, 0, nil
}

var (
	_ protocol.BrokerMessage = (*ProduceRequest)(nil)
	_ protocol.RawExchanger  = (*ProduceRequest)(nil)
	_ protocol.Message       = (*InitProducerID)(nil)
)
