package bus

import (
	"context"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
)

// Handler handles one record. What it returns is the record's outcome: nil when it is done, or an error, of which
// [Reject], [RetryAfter], [Abort] and [ErrStop] have a meaning of their own. Any other error is tried again as the
// subscription's [RetryPolicy] says, then goes to the dead letters if there are any ([DeadLetter]), else ends the App's
// Run. A panic is such an error, with its stack. Where one of them wraps another the outer one counts. A handler that
// ends its goroutine, by [runtime.Goexit] or testing's FailNow, ends the App's Run.
//
// The context ends when the record's partition has been taken away and the time to finish is over
// ([Config.DrainTimeout]), or when [Timeout] is: a handler has to return then. A record that was not finished will be
// handled again.
type Handler func(ctx context.Context, r *Record) error

// Middleware wraps a Handler. It is called for each attempt at a record, after the record was decoded and so never for
// one that cannot be. When it hands on another record than it was given, that one is decoded for the handler.
//
// With a [Batch] it is called for each of its records, too, nested: next of the first record's calls that of the second
// record, and so on; the last one calls the handler with all records that have come through. So a record can be left
// out, be replaced, or have an outcome of its own; and what next returns is the outcome of that record, for one behind
// a failed record an error that says so, however often next is called: it is handed over again. A panic of the handler
// is an error of next. A middleware that has a lock, or a place among so many, while it calls next has one for each
// record of the batch.
type Middleware func(next Handler) Handler

var (
	// ErrStop is the outcome of a handler that wants no more records: its subscription ends without an error, its member
	// leaves the group. The record it is returned for is not committed, and will be handled by whoever reads on.
	ErrStop error = &handlerOutcome{kind: stop}
	// ErrRevoked is what [Message.Commit] returns when the record's partition has been given to another member, or the
	// member has stopped: the record may be handled again.
	ErrRevoked = group.ErrRevoked
)

// Reject gives up the record, because of err: it is counted, logged, written to the dead letters if there are any, and
// then the next one has its turn. There are no further attempts. A nil err rejects the record, too: return nil itself
// for a record that is handled. The same holds for RetryAfter and Abort.
func Reject(err error) error { return &handlerOutcome{kind: reject, err: err} }

// RetryAfter wants the record handled again after d, because of err: for example when a service has said how long
// to wait. Meanwhile the record holds back the records behind it in its partition (ByPartition), the later
// ones of its key in its partition (ByKey), or none (Unordered), and no other handler. The committed offset cannot
// pass it, and a partition with 10,000 unfinished records is not read further: [RetryTopics] are for long waits. It
// does not count as one of the attempts of the [RetryPolicy].
func RetryAfter(d time.Duration, err error) error {
	return &handlerOutcome{kind: postpone, delay: d, err: err}
}

// Abort ends the App's Run with err, whatever the retry policy says, and leaves the record uncommitted.
func Abort(err error) error { return &handlerOutcome{kind: abort, err: err} }
