package bus

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// What is done with a record follows from what its handler said, and from nothing else but this.
func TestNext(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	policy := RetryPolicy{Attempts: 3, FirstPause: 100 * time.Millisecond, MaxPause: time.Second}
	for _, test := range []struct {
		name string
		err  error
		attempt
		want        action
		least, most time.Duration
	}{
		{"done", nil, attempt{number: 1}, finishRecord, 0, 0},
		{"done, though late and revoked", nil, attempt{number: 1, late: true, revoked: true}, finishRecord, 0, 0},
		{"stop", ErrStop, attempt{number: 1, moves: true}, stopSubscription, 0, 0},
		{"stop, wrapped", fmt.Errorf("no more: %w", ErrStop), attempt{number: 1}, stopSubscription, 0, 0},
		{"abort", Abort(why), attempt{number: 1, moves: true}, failRun, 0, 0},
		{"reject", Reject(why), attempt{number: 1}, rejectRecord, 0, 0},
		{"reject, with dead letters", Reject(why), attempt{number: 1, moves: true}, moveRecord, 0, 0},
		{"reject of what was to be repeated", Reject(RetryAfter(time.Hour, why)), attempt{number: 1}, rejectRecord, 0, 0},
		{"the first error", why, attempt{number: 1}, callAgain, 10 * time.Millisecond, 100 * time.Millisecond},
		{"the second error", why, attempt{number: 2, moves: true}, callAgain, 20 * time.Millisecond, 200 * time.Millisecond},
		{"the last error", why, attempt{number: 3}, failRun, 0, 0},
		{"the last error, with dead letters", why, attempt{number: 3, moves: true}, moveRecord, 0, 0},
		{"an error of a partition taken away", why, attempt{number: 1, revoked: true, moves: true}, leaveRecord, 0, 0},
		{"the last error of a partition taken away", why, attempt{number: 3, revoked: true}, leaveRecord, 0, 0},
		{"an error when the time is over", why, attempt{number: 1, late: true}, failRun, 0, 0},
		{"an error when the time is over, with dead letters", why, attempt{number: 1, late: true, moves: true},
			moveRecord, 0, 0},
		{"the last error while the breaker is open", why, attempt{number: 3, moves: true, paused: time.Hour}, callAgain,
			time.Hour, time.Hour},
		{"a late error while the breaker is open", why, attempt{number: 1, late: true, paused: time.Hour}, callAgain,
			time.Hour, time.Hour},
		{"an error of a partition taken away while the breaker is open", why,
			attempt{number: 1, revoked: true, paused: time.Hour}, leaveRecord, 0, 0},
		{"later", RetryAfter(time.Hour, why), attempt{number: 3}, callAgain, time.Hour, time.Hour},
		{"later, at once", RetryAfter(-time.Hour, why), attempt{number: 1}, callAgain, leastPause, leastPause},
		{"later, of a rejection", RetryAfter(time.Hour, Reject(why)), attempt{number: 1}, callAgain, time.Hour, time.Hour},
		{"later, of a partition taken away", RetryAfter(time.Hour, why), attempt{number: 1, revoked: true},
			leaveRecord, 0, 0},
		{"later, when the time is over", RetryAfter(time.Hour, why), attempt{number: 1, late: true}, failRun, 0, 0},
		{"a panic with an outcome", &PanicError{Value: Reject(why)}, attempt{number: 1}, callAgain, 10 * time.Millisecond,
			100 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.policy = policy
			for range 100 { // pauses are random
				got := next(outcomeOf(test.err), test.attempt)
				if got.action != test.want || got.pause < test.least || got.pause > test.most {
					t.Fatalf("got action %d after %v, want %d after %v to %v", got.action, got.pause, test.want, test.least, test.most)
				}
			}
		})
	}
}

func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	for _, test := range []struct {
		err  error
		want Outcome
	}{
		{nil, OutcomeHandled},
		{why, OutcomeRetry},
		{RetryAfter(time.Second, why), OutcomeRetry},
		{Reject(why), OutcomeRejected},
		{fmt.Errorf("wrapped: %w", Reject(Abort(why))), OutcomeRejected},
		{Abort(why), OutcomeFailed},
		{fmt.Errorf("wrapped: %w", ErrStop), OutcomeFailed},
		{&PanicError{Value: "x"}, OutcomeRetry},
	} {
		if got := OutcomeOf(test.err); got != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}
