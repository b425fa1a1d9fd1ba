package bus

import (
	"context"
	"errors"
)

// Message is a record with its data decoded, for handlers that need both: func(ctx, *Message[Content]) error.
//
// X is the type of the data: a struct, or any other type that encoding/json can decode. []byte and json.RawMessage
// are the data's JSON as the record has it. A record without data is rejected. So is one whose data is null, and a
// tombstone (a record without a value), unless X can be nil for it: null is nil for a pointer, a map, a slice or any,
// and a tombstone is nil for a pointer. Numbers in an any are float64, which is exact up to 2^53.
//
// Each attempt at a record gets a Message of its own, which the handler may keep. A Message that a program makes
// itself can neither Forward nor Commit: both return an error that says so. Tests of handlers make one with package
// bustest, which records both.
type Message[X any] struct {
	// Schema is the name of the record's schema, such as "Content:1". It is empty when the envelope has none.
	Schema string
	// Data is the data of the envelope.
	Data X
	// Record is the record itself. It must not be changed: further attempts, Forward and the dead letters use its bytes,
	// and Data may point into them.
	Record *Record

	call *call
}

// errNotDelivered says that a Message was not made by a subscription, which alone knows where it came from.
var errNotDelivered = errors.New("this Message was not delivered by a subscription: use the one that the handler was" +
	" given; a test that calls the handler itself gives it a bustest.Message and its Context")

// Commit commits the offset of the record's partition, for a subscription with [ManualCommit]. It returns when the
// group's coordinator has it, or when ctx ends. The committed offset is the one behind this record. When the handler of
// an earlier record has not returned, it is the offset of that record. This record's handler, which calls Commit,
// counts as returned, and so do those of the records before it in its [Batch]. [ErrRevoked] says that the partition was
// taken away meanwhile: its next owner handles the record again.
func (m *Message[X]) Commit(ctx context.Context) error {
	if m.call == nil {
		return commitInTest(ctx, m.Record, errNotDelivered)
	}
	return m.call.commit(ctx, m.Record)
}

// Forward publishes the record to another stream, and returns when it is acknowledged there, as [App.Publish] does.
// Value, key and headers are the record's. Options add headers behind them, and may set another key ([Key]) or time
// ([Timestamp]).
func (m *Message[X]) Forward(ctx context.Context, stream string, opts ...PublishOption) error {
	if m.call == nil {
		return forwardInTest(ctx, m.Record, stream, opts, errNotDelivered)
	}
	return m.call.x.app.forward(ctx, stream, m.Record, opts)
}

// anyMessage is every *Message, for code that does not know its X.
type anyMessage interface {
	deliver(*call)
}

// deliver ties the message to the call that it is for, before the handler gets it.
func (m *Message[X]) deliver(c *call) { m.call = c }
