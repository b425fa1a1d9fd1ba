// Package breaker decides when a subscription pauses because the calls of its handlers fail, and when it goes on.
package breaker

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// logInterval is how often the log says that the breaker is still open.
const logInterval = time.Minute

// Options are those of bus.Breaker.
type Options struct {
	// After is how many calls in a row have to fail for the breaker to open.
	After int
	// Probe is the time after which one record is tried.
	Probe time.Duration
}

// Breaker is closed, or open since a time. A nil one never opens. All methods may be called concurrently.
type Breaker struct {
	options Options
	brief   func(error) string // the text of an error for the log
	log     *slog.Logger
	open    atomic.Bool // whether since is set, for those who need not wait

	mu       sync.Mutex
	failures int       // in a row
	since    time.Time // when it opened; zero while it is closed
	next     time.Time // when a record may be tried
	probing  bool      // one is
	loggedAt time.Time // when the log said so last
}

// New returns a closed Breaker; nil without options. brief gives the text of an error for the log.
func New(o *Options, log *slog.Logger, brief func(error) string) *Breaker {
	if o == nil {
		return nil
	}
	return &Breaker{options: *o, log: log, brief: brief}
}

// IsOpen reports whether records have to ask Admit one by one.
func (b *Breaker) IsOpen() bool { return b != nil && b.open.Load() }

// Admit asks for a call. It returns 0 when the call may be made, and whether it is the probe; else how long the record
// has to wait before it asks again.
func (b *Breaker) Admit(now time.Time) (probe bool, wait time.Duration) {
	if !b.IsOpen() {
		return false, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.since.IsZero():
		return false, 0
	case b.probing:
		return false, b.options.Probe
	case now.Before(b.next):
		return false, b.next.Sub(now)
	}
	b.probing = true
	return true, 0
}

// Succeeded takes a call that returned nil.
func (b *Breaker) Succeeded(now time.Time) {
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

// Failed takes a call that returned an error. probe is what Admit returned for the call, and counts says whether the
// error may be that of a dependency. Failed returns how long the record waits because the breaker is open; 0 when the
// breaker is closed, or the error does not count.
func (b *Breaker) Failed(now time.Time, probe, counts bool, err error) (wait time.Duration) {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !counts {
		if probe && b.probing {
			b.probing, b.next = false, now // it shows nothing about the dependency: the next record is the probe
		}
		return 0
	}
	b.failures++
	switch {
	case b.since.IsZero() && b.failures < b.options.After:
		return 0
	case b.since.IsZero():
		b.since, b.next, b.loggedAt = now, now.Add(b.options.Probe), now
		b.open.Store(true)
		b.log.Warn("bus: handlers fail: the subscription pauses, and tries one record for each probe",
			"failures", b.failures, "probe", b.options.Probe, "error", b.brief(err))
	case probe && b.probing:
		b.probing, b.next = false, now.Add(b.options.Probe)
		if now.Sub(b.loggedAt) >= logInterval {
			b.loggedAt = now
			b.log.Warn("bus: handlers fail: the subscription is still paused", "since", b.since, "error", b.brief(err))
		}
	}
	// A little later than those that wait for the next probe: another record has the next turn.
	return max(b.next.Sub(now), 0) + b.options.Probe/8
}

// PausedSince returns when the breaker opened; zero while it is closed.
func (b *Breaker) PausedSince() time.Time {
	if b == nil {
		return time.Time{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since
}
