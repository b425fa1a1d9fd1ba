package bus

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Breaker pauses a subscription while something that its handlers need is down, such as a database. It opens after so
// many failed calls in a row, of all lanes of the subscription in this App together. While it is open no handler is
// called, except for one record after each probe. When such a call succeeds the breaker closes, and the others go on
// within a probe.
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
// try. With after up to the attempts of the policy (5), no record is given up while a dependency is down, and a
// record that always fails pauses its subscription, unless another lane succeeds. With a larger after such a record
// becomes a dead letter, and so may a few records at the start of an outage. So return Reject where a retry does not
// help. The log says when the pause begins, every minute that it goes on, with the error, and when it is over;
// [SubscriptionStats] has PausedSince.
//
// after has to be 1 or more and probe above 0: else Subscribe returns an error. With [Batch] a probe is one record.
func Breaker(after int, probe time.Duration) SubscribeOption {
	return func(s *subscription) { s.breaker = &breakerOptions{after, probe} }
}

type breakerOptions struct {
	after int
	probe time.Duration
}

// breaker is the state of Breaker. A nil one never opens.
type breaker struct {
	breakerOptions
	log  *slog.Logger
	open atomic.Bool // whether since is set, for those who need not wait

	mu       sync.Mutex
	failures int       // in a row
	since    time.Time // when it opened; zero while it is closed
	next     time.Time // when a record may be tried
	probing  bool      // one is
	loggedAt time.Time // when the log was last told
}

func newBreaker(o *breakerOptions, log *slog.Logger) *breaker {
	if o == nil {
		return nil
	}
	return &breaker{breakerOptions: *o, log: log}
}

// isOpen reports whether records have to ask admit one by one.
func (b *breaker) isOpen() bool { return b != nil && b.open.Load() }

// admit asks for a call. It returns 0 when the call may be made, and whether it is the probe; else how long the record
// has to wait before it asks again.
func (b *breaker) admit(now time.Time) (probe bool, wait time.Duration) {
	if !b.isOpen() {
		return false, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.since.IsZero():
		return false, 0
	case b.probing:
		return false, b.probe
	case now.Before(b.next):
		return false, b.next.Sub(now)
	}
	b.probing = true
	return true, 0
}

// succeeded takes a call that returned nil.
func (b *breaker) succeeded(now time.Time) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = 0
	if b.since.IsZero() {
		return
	}
	b.log.Info("bus: handlers succeed again: the subscription goes on", "paused", now.Sub(b.since).Round(time.Millisecond))
	b.since, b.probing = time.Time{}, false
	b.open.Store(false)
}

// failed takes a call that returned an error. counts says whether the error may be that of a dependency. failed returns
// how long the record waits because the breaker is open; 0 when it does not.
func (b *breaker) failed(now time.Time, probe, counts bool, err error) (wait time.Duration) {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !counts {
		if probe && b.probing {
			b.probing, b.next = false, now // it has said nothing: the next record is tried
		}
		return 0
	}
	b.failures++
	switch {
	case b.since.IsZero() && b.failures < b.after:
		return 0
	case b.since.IsZero():
		b.since, b.next, b.loggedAt = now, now.Add(b.probe), now
		b.open.Store(true)
		b.log.Warn("bus: handlers fail: the subscription pauses, and tries one record for each probe",
			"failures", b.failures, "probe", b.probe, "error", brief(err))
	case probe && b.probing:
		b.probing, b.next = false, now.Add(b.probe)
		if now.Sub(b.loggedAt) >= blockedEvery {
			b.loggedAt = now
			b.log.Warn("bus: handlers fail: the subscription is still paused", "since", b.since, "error", brief(err))
		}
	}
	// A little later than those that wait for the next probe: another record has the next turn.
	return max(b.next.Sub(now), 0) + b.probe/8
}

// pausedSince returns when the breaker opened; zero while it is closed.
func (b *breaker) pausedSince() time.Time {
	if b == nil {
		return time.Time{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since
}
