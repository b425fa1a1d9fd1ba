package bus

import (
	"time"

	"github.com/kafkaesk/kafkaesk/internal/breaker"
)

// Breaker pauses a subscription while something that its handlers need is down, such as a database. It opens when that
// many calls in a row (after) have failed, of all lanes of the subscription in this App together. While it is open no
// handler is called, except for one record each time that probe is over. When such a call succeeds the breaker closes,
// and the other records go on within the time of probe.
//
// While it is open no record is given up. The call that opens it, and those of the probes, are not attempts of the
// [RetryPolicy]. [Timeout] does not run, and begins anew afterwards. Nothing goes to dead letters or retry streams,
// except what is rejected. The committed offset waits with the records.
//
// A failed call returns an error without a meaning of its own, panics, or is ended by Timeout. [Reject],
// [RetryAfter], [Abort], [ErrStop] and data that cannot be decoded count neither as a failure nor as a success. A
// success sets the count to 0.
//
// A breaker cannot tell a record that always fails from a dependency that is down, when its lane has nothing else to
// try. If after is at most the Attempts of the RetryPolicy (5), no record is given up while a dependency is down, and a
// record that always fails pauses its subscription, unless another lane succeeds. If after is larger, such a record
// becomes a dead letter, and so may a few records at the start of an outage. So return Reject where a retry does not
// help. The log says when the pause begins, every minute that it goes on, with the error, and when it is over;
// [SubscriptionStats] has PausedSince.
//
// after has to be 1 or more and probe above 0: else Subscribe returns an error. With [Batch] a probe is one record.
func Breaker(after int, probe time.Duration) SubscribeOption {
	return func(s *subscription) { s.breaker = &breaker.Options{After: after, Probe: probe} }
}
