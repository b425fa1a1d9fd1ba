// Package shipping is what the log handler needs of the bus beside the bus's public methods: it ships records of which
// it learns each outcome, and its handlers end when the App does.
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

// Record is one ready record. The bus copies its bytes before Ship returns.
type Record struct {
	Stream     string
	Key, Value []byte
	Headers    []Header
	Time       time.Time
	Outcome    Outcome
}

// Outcome is told what became of a record.
type Outcome interface {
	// Resolved is called once for each record, perhaps before Ship returns, with nil when the record is acknowledged. It
	// must not block, and must not call the bus.
	Resolved(err error)
}

// Stream says how the topic of a log stream is created. The zero value is the broker's retention and 7 partitions.
type Stream struct {
	Retention  time.Duration
	Partitions int
}

// Bus is an App as the log handler sees it.
type Bus interface {
	// CheckStream returns why Kafka would refuse the name of a stream.
	CheckStream(name string) error
	// Configured tells whether there are servers to connect to.
	Configured() bool
	// Connect waits until a broker answers. It does not call the functions of OnInitialize: these may log, and must not
	// wait for what ships their records.
	Connect(ctx context.Context) error
	// Connected tells whether Connect would return at once.
	Connected() bool
	// Initialize is that of the App, which calls the functions of OnInitialize.
	Initialize(ctx context.Context) error
	// Ship hands records to the producer, in their order. It blocks while the producer's buffer is full, until ctx ends;
	// then, and when ctx ends later, records that are not acknowledged fail with the context's error. A record whose
	// stream has no topic yet has it created as spec says.
	Ship(ctx context.Context, spec Stream, records []Record)
	// Expire fails at once the records whose context has ended.
	Expire()
	// Waiting returns why records wait, with the broker's address and its last error; nil when none does.
	Waiting() error
	// Attach has the App close the handler when it closes, after the functions of OnFinalize, which may log. detach
	// takes that back. A closed App returns ErrClosed.
	Attach(stream string, h Handler) (detach func(), err error)
}

// Handler is a log handler as an App sees it.
type Handler interface {
	Close(ctx context.Context) error
}

// Attached is a log handler that ships through an App, to a stream as a rule.
type Attached struct {
	Stream  string
	Handler Handler
}

// ErrTimeRefused is the broker's error for a record whose time is too far from the broker's own.
var ErrTimeRefused = kafka.CodeErr(32)

// TimeRefused tells whether the broker refused a record because of its time.
func TimeRefused(err error) bool { return errors.Is(err, ErrTimeRefused) }

// TopicMissing tells whether a record's topic does not exist, and is not to be created: somebody may do so later.
func TopicMissing(err error) bool { return errors.Is(err, kafka.ErrNoTopic) }
