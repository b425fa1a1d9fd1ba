package bus

import (
	"context"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
)

// Handler handles one record. Its error is the record's outcome: nil for a record that is finished, or an error, of
// which [Reject], [RetryAfter], [Abort] and [ErrStop] have a meaning of their own. After any other error the record
// is tried again by the subscription's [RetryPolicy]. Then it becomes a dead letter ([DeadLetter]), or the App's Run
// ends. A panic is such an error, with its stack. When one of these errors wraps another, the outer one counts. A
// handler that ends its goroutine, by runtime.Goexit or testing's FailNow, ends the App's Run.
//
// The context ends when the record's partition has been taken away and [Config.DrainTimeout] is over, or when
// [Timeout] is. The handler has to return then. A record that was not finished will be handled again.
type Handler func(ctx context.Context, r *Record) error

// Middleware wraps a [Handler]. It is called for each attempt at a record, after the record was decoded, and so not
// for a record that cannot be decoded. When it passes another record to next, that record is decoded for the handler.
//
// With a [Batch] it is called for each of the records, nested: next of the first record calls it for the second one,
// and so on. The last next calls the handler with all records that were passed on. So a middleware can leave a record
// out, replace it, or give it an outcome of its own. What next returns is the outcome of that record; for a record
// behind a failed one it is an error that says so, and the record is handed over again. A panic of the handler is an
// error of next. A middleware that holds a lock while it calls next holds one for each record of the batch.
type Middleware func(next Handler) Handler

var (
	// ErrStop is the outcome of a handler that wants no more records. Its subscription ends without an error, and its
	// member leaves the group. The record it is returned for is not committed; the next member that reads the
	// partition handles it.
	ErrStop error = &handlerOutcome{kind: stop}
	// ErrRevoked is what [Message.Commit] returns when the record's partition has been given to another member, or the
	// member has stopped: the record may be handled again.
	ErrRevoked = group.ErrRevoked
)

// Reject gives the record up, because of err. The record is not tried again: it is counted, logged, and written to
// the dead letters if the subscription has any. Then the next record is handled. A nil err rejects the record, too:
// return nil itself for a record that is handled. The same holds for [RetryAfter] and [Abort].
func Reject(err error) error { return &handlerOutcome{kind: reject, err: err} }

// RetryAfter asks for another attempt after d, for example when a service answers with Retry-After. It does not count
// as one of the attempts of the [RetryPolicy].
//
// Meanwhile the record holds back the records behind it in its partition ([ByPartition]), the later ones of its key
// ([ByKey]), or none ([Unordered]). It holds back no other partition. The committed offset does not pass it, and a
// partition with 10,000 unfinished records is not read on: use [RetryTopics] for long waits.
func RetryAfter(d time.Duration, err error) error {
	return &handlerOutcome{kind: postpone, delay: d, err: err}
}

// Abort ends the App's Run with err, whatever the retry policy says. The record is not committed.
func Abort(err error) error { return &handlerOutcome{kind: abort, err: err} }
