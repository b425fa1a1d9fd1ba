package bus

import (
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// Header is one header of a Kafka record. Names may repeat; their order is kept.
//
// Values that other languages read should be UTF-8 text: Python's kafkaesk stops at a header that is not.
//
//	type Header struct {
//		Name  string
//		Value []byte
//	}
type Header = wire.Header

// Record is one Kafka record as the application sees it.
type Record struct {
	// Stream is the name the application uses: the topic without [Config.TopicPrefix].
	Stream string
	// Topic is the Kafka topic the record lies in.
	Topic string
	// Partition and Offset are the record's position in its topic.
	Partition int
	Offset    int64
	// Key decides the partition of a keyed record. A nil Key means that the record has none; an empty one is a key.
	Key []byte
	// Value is the record's value: an envelope, if the bus wrote it. A nil Value is Kafka's null (a tombstone).
	Value []byte
	// Headers are the record's headers in the order they were written.
	Headers []Header
	// Time is the record's timestamp, in milliseconds as Kafka keeps it.
	Time time.Time
}

// Header returns the value of the last header of that name, and whether there is one.
func (r *Record) Header(name string) ([]byte, bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Name == name {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// Outgoing is one record of [App.PublishBatch].
type Outgoing struct {
	// Key decides the partition. A nil Key means none, and any partition; an empty one is a key.
	Key []byte
	// Value is sent as it is.
	Value []byte
	// Headers go out first and are never overwritten. The bus adds its own behind them.
	Headers []Header
	// Time is the record's timestamp. Defaults to the time of the call.
	Time time.Time
	// Err is set by PublishBatch: nil when the record is acknowledged.
	Err error
}
