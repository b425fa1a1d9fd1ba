package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

// DefaultResponseLimit is the largest fetch response that is read where nothing else is said. A
// response is larger than its request allows only by the first batch in it.
const DefaultResponseLimit = 128 << 20

const fetchVersion = 11 // the highest that kafka-go encodes; Kafka 2.3 and later

// FetchRequest asks one broker for records of partitions that it leads. It goes to Leader whatever
// kafka-go's own view of the topics is: a topic that has just been deleted then fails alone, in the
// broker's answer, and not the request with all its other topics. The answer is a *FetchResponse.
type FetchRequest struct {
	fetch.Request
	Leader   int32  // the broker's id
	ClientID string // Kafka's client.id, by which brokers log and apply quotas
	Limit    uint32 // bytes of the response. Defaults to DefaultResponseLimit.

	version int16
}

// Broker implements protocol.BrokerMessage.
func (r *FetchRequest) Broker(c protocol.Cluster) (protocol.Broker, error) {
	b, ok := c.Brokers[r.Leader]
	if !ok {
		return protocol.Broker{ID: -1}, fmt.Errorf("wire: fetching: broker %d is not in the cluster's metadata: %w", r.Leader, protocol.ErrNoLeader)
	}
	return b, nil
}

// Required implements protocol.RawExchanger.
func (r *FetchRequest) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = versions[protocol.Fetch]
	return true
}

// RawExchange implements protocol.RawExchanger.
func (r *FetchRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if r.version != fetchVersion {
		return nil, fmt.Errorf("wire: fetching: version %d was agreed with the broker and %d is needed, which is Kafka 2.3 or later", r.version, fetchVersion)
	}
	limit := r.Limit
	if limit == 0 {
		limit = DefaultResponseLimit
	}
	b, err := Exchange(rw, r.version, r.ClientID, &r.Request, limit)
	if err != nil {
		return nil, err
	}
	return parseFetch(b)
}

// FetchResponse is the answer to a FetchRequest.
type FetchResponse struct {
	ThrottleMs int32
	Code       int16 // Kafka's error code for the request as a whole
	Partitions []FetchedPartition
	Size       int // bytes of the response
}

// ApiKey implements protocol.Message.
func (*FetchResponse) ApiKey() protocol.ApiKey { return protocol.Fetch }

// FetchedPartition is what a broker has for one partition.
type FetchedPartition struct {
	Topic         string
	Partition     int32
	Code          int16 // Kafka's error code; 0 = none
	HighWatermark int64
	LastStable    int64 // where the first open transaction begins; the high watermark if there is none
	LogStart      int64
	Aborted       []AbortedTransaction
	Records       []byte // batches for NextBatch, the last one possibly cut off
}

// AbortedTransaction is a transaction in the fetched range that was given up.
type AbortedTransaction struct {
	ProducerID  int64
	FirstOffset int64
}

// parseFetch reads a fetch response of version 11 from behind its correlation id.
func parseFetch(b []byte) (*FetchResponse, error) {
	r := reader{b: b}
	res := &FetchResponse{ThrottleMs: r.int32(), Code: r.int16(), Size: len(b)}
	r.int32() // session id
	for range r.count(2 + 4) {
		topic := r.string()
		for range r.count(4 + 2 + 3*8 + 4 + 4 + 4) {
			p := FetchedPartition{
				Topic: topic, Partition: r.int32(), Code: r.int16(),
				HighWatermark: r.int64(), LastStable: r.int64(), LogStart: r.int64(),
			}
			if n := r.count(8 + 8); n > 0 {
				p.Aborted = make([]AbortedTransaction, n)
				for i := range p.Aborted {
					p.Aborted[i] = AbortedTransaction{ProducerID: r.int64(), FirstOffset: r.int64()}
				}
			}
			r.int32() // preferred read replica
			p.Records = r.bytes()
			if r.failed {
				return nil, errFetch
			}
			res.Partitions = append(res.Partitions, p)
		}
	}
	if r.failed {
		return nil, errFetch
	}
	return res, nil
}

var errFetch = errors.New("wire: reading a fetch response: a count or a length in it exceeds its bytes")

// reader reads the protocol's types one after another. After the first that is not there it has failed,
// and all that follow are zero.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || n > len(r.b) {
		r.failed, r.b = true, nil
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// count returns the length of an array whose elements have at least size bytes each; 0 for null.
func (r *reader) count(size int) int {
	n := int(r.int32())
	if n > len(r.b)/size {
		r.failed = true
	}
	if r.failed || n < 0 {
		return 0
	}
	return n
}

func (r *reader) string() string { return string(r.take(max(int(r.int16()), 0))) }

func (r *reader) bytes() []byte { return r.take(max(int(r.int32()), 0)) }

var (
	_ protocol.BrokerMessage = (*FetchRequest)(nil)
	_ protocol.RawExchanger  = (*FetchRequest)(nil)
)
