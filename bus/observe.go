package bus

import (
	"time"
)

// Outcome is what became of a record.
type Outcome string

// The outcomes. A record can have several when its partition moves to another member.
const (
	OutcomeHandled    Outcome = "handled"     // the handler returned nil
	OutcomeRejected   Outcome = "rejected"    // given up without a dead letter: see Reject
	OutcomePostponed  Outcome = "postponed"   // moved to a retry stream: see RetryTopics
	OutcomeDeadLetter Outcome = "dead_letter" // moved to the dead letters: see DeadLetter
	OutcomeFailed     Outcome = "failed"      // its error ends the subscription or the App's Run
	OutcomeUnfinished Outcome = "unfinished"  // its partition was taken away before it was finished; it is handled again
	OutcomeRetry      Outcome = "retry"       // to be handled once more: only OutcomeOf returns it
)

// Consumed describes what became of one record, and how long it took.
type Consumed struct {
	// Record must not be changed.
	Record *Record
	// Group is that of the subscription.
	Group string
	// Outcome is what became of the record.
	Outcome Outcome
	// Err is its last error; nil for OutcomeHandled.
	Err error
	// Batch is how many records the handler's last call was for, of a subscription with [Batch]; 0 of any other.
	Batch int
	// Duration is how long the record was worked on, with all attempts, the pauses between them, and the write of its
	// dead letter or retry.
	Duration time.Duration
	// Latency is the time from the record's timestamp to the end of the work. In a retry or replay stream the timestamp is
	// when the record was written there; FirstTimeHeader has that of the original.
	Latency time.Duration
}
