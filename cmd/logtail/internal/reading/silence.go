package reading

import (
	"sync"
	"time"
)

// silence calls a function when Kafka has been waited for, for too long. It is not waited for while a chunk is taken,
// nor while partitions are paused because the output is slow. Its methods may be called concurrently; those of nil do
// nothing.
type silence struct {
	limit time.Duration

	mu      sync.Mutex
	timer   *time.Timer
	pauses  int
	stopped bool
}

func newSilence(limit time.Duration, over func()) *silence {
	return &silence{limit: limit, timer: time.AfterFunc(limit, over)}
}

// begin waits from now on.
func (s *silence) begin() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped && s.pauses == 0 {
		s.timer.Reset(s.limit)
	}
}

// end does not wait until the next begin.
func (s *silence) end() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer.Stop()
}

// paused counts partitions that are paused, and begins to wait when none is.
func (s *silence) paused(change int) {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.pauses += change
	s.timer.Stop()
	s.mu.Unlock()
	s.begin()
}

// stop never waits again.
func (s *silence) stop() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.timer.Stop()
}
