// Package shipping is the part of the bus that the log handler needs beside the public methods: it sends records and
// reports the outcome of each, and an App closes its log handlers.
package shipping

import (
	"context"
	"errors"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// Header is one header of a record.
type Header = wire.Header

// Record is one encoded record. The bus copies its bytes before Ship returns.
type Record struct {
	Stream     string
	Key, Value []byte
	Headers    []Header
	Time       time.Time
	Outcome    Outcome
}

// Outcome receives the outcome of a record.
type Outcome interface {
	// Resolved is called once for each record, possibly before Ship returns; err is nil for an acknowledged record.
	// It must not block, and must not call the bus.
	Resolved(err error)
}

// Stream configures the topic of a log stream. The zero value means the broker's retention and 7 partitions.
type Stream struct {
	Retention  time.Duration
	Partitions int
}

// Bus is an App as the log handler uses it.
type Bus interface {
	// CheckStream returns the reason for which Kafka would refuse the name of a stream.
	CheckStream(name string) error
	// Configured reports whether there are servers to connect to.
	Configured() bool
	// Connect waits until a broker answers. It does not call the functions of OnInitialize: these may log, and must
	// not wait for the connection that sends their records.
	Connect(ctx context.Context) error
	// Connected reports whether Connect would return at once.
	Connected() bool
	// Initialize is the App's Initialize, which calls the functions of OnInitialize.
	Initialize(ctx context.Context) error
	// Ship passes records to the producer, in their order. It blocks while the producer's buffer is full, until ctx
	// ends. Unacknowledged records fail with the context's error when ctx ends, also after Ship has returned. A
	// missing topic is created as spec defines.
	Ship(ctx context.Context, spec Stream, records []Record)
	// Expire fails the records whose context has ended.
	Expire()
	// Waiting returns the reason why records wait, with the broker's address and its last error; nil when none waits.
	Waiting() error
	// Attach makes the App close the handler when it closes, after the functions of OnFinalize, which may log. detach
	// undoes this. A closed App returns ErrClosed.
	Attach(stream string, h Handler) (detach func(), err error)
}

// Handler is a log handler as an App uses it.
type Handler interface {
	Close(ctx context.Context) error
}

// Attached is a log handler that ships through an App.
type Attached struct {
	Stream  string
	Handler Handler
}

// ErrTimeRefused is the broker's error for a record whose timestamp is too far from the broker's clock.
var ErrTimeRefused = kafka.CodeErr(32)

// TimeRefused reports whether the broker refused a record because of its timestamp.
func TimeRefused(err error) bool { return errors.Is(err, ErrTimeRefused) }

// TopicMissing reports whether a record's topic does not exist and must not be created: it may be created later.
func TopicMissing(err error) bool { return errors.Is(err, kafka.ErrNoTopic) }
