package wire

import (
	"cmp"
	"encoding/binary"
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
	Leader   int32   // the broker's id
	ClientID string  // Kafka's client.id, by which brokers log and apply quotas
	Limit    uint32  // bytes of the response. Defaults to DefaultResponseLimit.
	Memory   *Memory // what the records are read into. Defaults to new memory for each response.

	version int16
}

// Broker implements protocol.BrokerMessage.
func (r *FetchRequest) Broker(c protocol.Cluster) (protocol.Broker, error) {
	return leader(c, r.Leader, "fetching")
}

// Required implements protocol.RawExchanger.
func (r *FetchRequest) Required(versions map[protocol.ApiKey]int16) bool {
	r.version = versions[protocol.Fetch]
	return true
}

// RawExchange implements protocol.RawExchanger.
func (r *FetchRequest) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if err := needVersion("fetching", r.version, fetchVersion, fetchVersion, "2.3"); err != nil {
		return nil, err
	}
	limit := cmp.Or(r.Limit, DefaultResponseLimit)
	size, err := ask(rw, r.version, r.ClientID, &r.Request, limit)
	if err != nil {
		return nil, err
	}
	res, err := readFetch(rw, size, r.Memory)
	if err != nil {
		return nil, readError(r, err)
	}
	return res, nil
}

// FetchResponse is the answer to a FetchRequest.
type FetchResponse struct {
	ThrottleMs int32
	Code       int16 // Kafka's error code for the request as a whole
	Session    int32 // the fetch session that the answer belongs to, or has begun; 0 = none
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
	Preferred     int32  // the replica that the leader wants to be asked instead; -1 = none
	Records       []byte // batches for NextBatch, the last one possibly cut off; not in another partition's memory
}

// AbortedTransaction is a transaction in the fetched range that was given up.
type AbortedTransaction struct {
	ProducerID  int64
	FirstOffset int64
}

// readFetch reads the size bytes of a fetch response of version 11 behind its correlation id. The records
// of each partition get memory of their own: who holds on to one of them holds on to no other partition's.
func readFetch(src io.Reader, size int, memory *Memory) (*FetchResponse, error) {
	s := newStream(src, size)
	s.memory = memory
	head := s.fields(4 + 2 + 4 + 4)
	res := &FetchResponse{ThrottleMs: head.int32(), Code: head.int16(), Session: head.int32(), Size: size}
	for topics := s.count(head.int32(), 2+4); topics > 0 && s.err == nil; topics-- {
		name := s.fields(2)
		topic := string(s.bytes(int(name.int16())))
		parts := s.fields(4)
		for n := s.count(parts.int32(), 4+2+3*8+4+4+4); n > 0 && s.err == nil; n-- {
			if p := readPartition(s, topic); s.err == nil {
				res.Partitions = append(res.Partitions, p)
			}
		}
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	return res, nil
}

func readPartition(s *stream, topic string) FetchedPartition {
	f := s.fields(4 + 2 + 3*8 + 4)
	p := FetchedPartition{
		Topic: topic, Partition: f.int32(), Code: f.int16(),
		HighWatermark: f.int64(), LastStable: f.int64(), LogStart: f.int64(),
	}
	for n := s.count(f.int32(), 8+8); n > 0 && s.err == nil; n-- {
		a := s.fields(8 + 8)
		p.Aborted = append(p.Aborted, AbortedTransaction{ProducerID: a.int64(), FirstOffset: a.int64()})
	}
	f = s.fields(4 + 4)
	p.Preferred = f.int32()
	p.Records = s.batches(int(f.int32()))
	return p
}

// batches reads n bytes of batches. Where the first of them takes more than half of that, most of what follows is the
// beginning of a batch that comes whole in a later response: that is passed over, and takes no memory.
func (s *stream) batches(n int) []byte {
	first := s.batchSize(n)
	if first <= n/2 {
		return s.bytes(n)
	}
	b := s.bytes(first)
	for s.err == nil && len(b) < n {
		next := s.batchSize(n - len(b))
		if next == 0 {
			s.skip(n - len(b))
			break
		}
		b = append(b, s.bytes(next)...)
	}
	return b
}

// batchSize returns the size of the batch that comes next; 0 if n bytes do not hold it as a whole, or there is none.
func (s *stream) batchSize(n int) int {
	if s.err != nil || n < headerSize || n > s.left {
		return 0
	}
	head, err := s.src.Peek(lengthFrom)
	if err != nil {
		s.err = err
		return 0
	}
	size := int(binary.BigEndian.Uint32(head[atLength:])) + lengthFrom
	if size < headerSize || size > n {
		return 0
	}
	return size
}

var (
	_ protocol.BrokerMessage = (*FetchRequest)(nil)
	_ protocol.RawExchanger  = (*FetchRequest)(nil)
)
