package bustest

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/testcall"
)

// Message is a message for a test that calls a handler itself, without a Kafka. It records what the handler forwards
// and commits, by its bus.Message or by bus.Forward and bus.Commit, with the context of [Message.Context] or one made
// of it. With that context bus.Records returns its record, and bus.Attempt 1. The methods may be called concurrently.
type Message[X any] struct {
	// Message is the handler's argument. A test may change it and its Record before it calls the handler.
	*bus.Message[X]

	ctx      context.Context
	recorder *recorder
}

// NewMessage returns a message with this data: the first record of stream. Its Record has the envelope as its value
// and the present time, and neither key nor headers; the envelope has no schema name. A []byte is the data's JSON:
// give a log record so, because logrecord.Record has no JSON of its own. Data that encoding/json cannot encode fails
// the test.
func NewMessage[X any](t testing.TB, stream string, data X) *Message[X] {
	t.Helper()
	var envelope struct {
		Data any `json:"data"`
	}
	envelope.Data = data
	if raw, ok := any(data).([]byte); ok {
		envelope.Data = json.RawMessage(raw)
	}
	value, err := json.Marshal(envelope)
	if err != nil {
		t.Fatalf("bustest: message of stream %q: encode its data: %v", stream, err)
	}
	r := &bus.Record{Stream: stream, Topic: stream, Value: value, Time: time.Now().Truncate(time.Millisecond)}
	m := &Message[X]{Message: &bus.Message[X]{Data: data, Record: r}, recorder: &recorder{record: r}}
	m.ctx = context.WithValue(t.Context(), testcall.Key{}, m.recorder)
	return m
}

// Context returns the context to call the handler with. It ends with the test.
func (m *Message[X]) Context() context.Context { return m.ctx }

// Forwarded returns the records that the handler forwarded, in order. Stream and Topic are where to, Key and Headers
// are those of the record and of the options, and Time is that of bus.Timestamp, or zero. Headers that the bus adds
// are left out.
func (m *Message[X]) Forwarded() []*bus.Record { return m.recorder.get(&m.recorder.forwarded) }

// Committed returns the records for which Commit was called, in order.
func (m *Message[X]) Committed() []*bus.Record { return m.recorder.get(&m.recorder.committed) }

// recorder is the value that bus finds in the context of the call.
type recorder struct {
	record *bus.Record

	mu                   sync.Mutex
	forwarded, committed []*bus.Record
}

// Records returns the records that the handler is called with.
func (r *recorder) Records() []*bus.Record { return []*bus.Record{r.record} }

// Forwarded records a record that the handler forwards.
func (r *recorder) Forwarded(out *bus.Record) { r.add(&r.forwarded, out) }

// Committed records a record that the handler commits.
func (r *recorder) Committed(c *bus.Record) { r.add(&r.committed, c) }

func (r *recorder) add(to *[]*bus.Record, record *bus.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*to = append(*to, record)
}

func (r *recorder) get(from *[]*bus.Record) []*bus.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(*from)
}
