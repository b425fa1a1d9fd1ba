package bus

import (
	"errors"
	"fmt"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// outcomeKind is what a handler says of its record.
type outcomeKind int

const (
	handled  outcomeKind = iota // nil
	broken                      // any error without a meaning of its own
	postpone                    // RetryAfter
	reject                      // Reject
	stop                        // ErrStop
	abort                       // Abort
	failedAt                    // FailedAt: err says which of these it is for one record of the batch
)

// handlerOutcome is what a handler's error means. As an error it is what Reject, RetryAfter and Abort return, and
// ErrStop.
type handlerOutcome struct {
	kind  outcomeKind
	delay time.Duration // of postpone
	index int           // of failedAt
	err   error         // why; nil for handled and stop
}

func (o *handlerOutcome) Error() string {
	switch o.kind {
	case reject:
		return fmt.Sprintf("rejected: %v", o.err)
	case postpone:
		return fmt.Sprintf("again in %s: %v", o.delay, o.err)
	case abort:
		return fmt.Sprintf("aborted: %v", o.err)
	case failedAt:
		return fmt.Sprintf("record %d of the batch: %v", o.index, o.err)
	}
	return "stop this subscription"
}

func (o *handlerOutcome) Unwrap() error { return o.err }

// outcomeOf returns what an error of a handler means. Where one outcome wraps another the outermost counts, because
// the handler gave it itself: what lies beneath is why.
func outcomeOf(err error) handlerOutcome {
	if err == nil {
		return handlerOutcome{}
	}
	o, ok := errors.AsType[*handlerOutcome](err)
	switch {
	case !ok:
		return handlerOutcome{kind: broken, err: err}
	case o.kind == failedAt:
		return outcomeOf(o.err)
	}
	return *o
}

// causeOf returns the error of the application beneath what Reject, RetryAfter, Abort and FailedAt have wrapped around
// it.
func causeOf(err error) error {
	for {
		o, ok := err.(*handlerOutcome)
		if !ok || o.err == nil {
			return err
		}
		err = o.err
	}
}

// action is what is done with a record after a call of its handler.
type action int

const (
	finishRecord     action = iota
	callAgain               // after a pause
	moveRecord              // to a retry stream or to the dead letters
	rejectRecord            // finish it without a dead letter
	leaveRecord             // to the next owner of its partition
	stopSubscription        // and leave the record
	failRun                 // and leave the record
)

// attempt is what there is to know about a call of a handler, beside its outcome.
type attempt struct {
	number  int           // of the call, from 1; calls that RetryAfter asked for do not count
	late    bool          // the record's Timeout is over
	several bool          // it was for more records than this one
	shared  bool          // and it is not known that this one is why it failed
	revoked bool          // its partition was taken away, and the time to finish is over
	moves   bool          // there are dead letters
	paused  time.Duration // how long the open breaker has it wait; 0: not
	policy  RetryPolicy
}

// decision is a decision about a record.
type decision struct {
	action action
	pause  time.Duration // of callAgain
}

// next decides what is done with a record. Its outcome belongs to a run of records of one lane, of which a single
// record is the usual one.
func next(o handlerOutcome, a attempt) decision {
	giveUp := failRun
	if a.moves {
		giveUp = moveRecord
	}
	switch {
	case o.kind == handled:
		return decision{action: finishRecord}
	case o.kind == stop:
		return decision{action: stopSubscription}
	case o.kind == abort:
		return decision{action: failRun}
	case o.kind == reject && !a.shared && a.moves:
		return decision{action: moveRecord}
	case o.kind == reject && !a.shared:
		return decision{action: rejectRecord}
	case a.revoked:
		return decision{action: leaveRecord}
	case a.paused > 0:
		return decision{callAgain, a.paused}
	case a.suspect(o):
		return decision{callAgain, a.policy.pause(a.number)}
	case a.late:
		return decision{action: giveUp}
	case o.kind == postpone:
		return decision{callAgain, max(o.delay, leastPause)}
	case a.number < a.policy.Attempts:
		return decision{callAgain, a.policy.pause(a.number)}
	}
	return decision{action: giveUp}
}

// suspect reports whether the call failed for more records than this one, which has to be called for alone before it is
// given up.
func (a attempt) suspect(o handlerOutcome) bool {
	return a.several && a.late || a.shared && o.kind != postpone
}

// together reports whether all records of the call wait.
func (a attempt) together(o handlerOutcome) bool { return a.shared && o.kind == postpone && !a.late }

// pause returns a random pause after a number of attempts.
func (p RetryPolicy) pause(attempts int) time.Duration {
	return kafka.Backoff{First: p.FirstPause, Max: p.MaxPause}.Delay(attempts - 1)
}

// OutcomeOf returns what the error of a handler means for its record. It is for tests that call a handler themselves.
// It returns [OutcomeHandled] for nil, [OutcomeRejected] for [Reject], [OutcomeFailed] for [Abort] and [ErrStop], and
// [OutcomeRetry] for [RetryAfter] and any other error. It does not know the RetryPolicy: the error of a last attempt
// is OutcomeRetry, too. For [FailedAt] it is the outcome of the record that failed. When one of these errors wraps
// another, the outer one counts.
func OutcomeOf(err error) Outcome {
	switch outcomeOf(err).kind {
	case handled:
		return OutcomeHandled
	case reject:
		return OutcomeRejected
	case stop, abort:
		return OutcomeFailed
	}
	return OutcomeRetry
}
