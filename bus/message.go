package bus

import (
	"context"
	"errors"
)

// Message is a record with its data decoded, for handlers that need both: func(ctx, *Message[Content]) error.
//
// X is the type of the data: a struct, or whatever else encoding/json can decode. []byte and json.RawMessage are the
// JSON of the data as the record has it. A record without data is rejected, and one whose data is null unless X is a
// pointer, a map, a slice or any: those are nil then. A tombstone, a record without a value, is rejected unless X is a
// pointer, which is nil then. Numbers in an any are float64, which is exact up to 2^53.
//
// Every attempt at a record gets a Message of its own, which the handler may keep. For one that is made by hand,
// Forward and Commit return an error that says what is missing, unless their context is that of a Message of package
// bustest, which is for the tests of handlers and records both.
type Message[X any] struct {
	// Schema is the name that the record gives its schema, as in "Content:1". It is empty when the record gives none.
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

// Commit commits the offset of the record's partition, for a subscription with ManualCommit, and returns when the
// group's coordinator has it, or when ctx ends. The group goes on behind this record then; or, where the handler of an
// earlier one has not returned, with that one. This record's own handler, which calls Commit, counts as returned, and
// so do those of the records before it in its [Batch]. [ErrRevoked] says that the partition has been taken away
// meanwhile: its next owner handles the record again.
func (m *Message[X]) Commit(ctx context.Context) error {
	if m.call == nil {
		return commitInTest(ctx, m.Record, errNotDelivered)
	}
	return m.call.commit(ctx, m.Record)
}

// Forward publishes the record to another stream, and returns when it is acknowledged there, as [App.Publish] does.
// Value, key and headers are the record's; options add headers behind them, and may set another key ([Key]) or time
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
