package reading

import (
	"sync"
	"time"
)

// silence calls a function when Kafka has delivered nothing for too long. The time while a chunk is processed, or
// while partitions are paused because of slow output, does not count. Its methods may be called concurrently, and do
// nothing on nil.
type silence struct {
	limit time.Duration

	mu      sync.Mutex
	timer   *time.Timer
	pauses  int
	stopped bool
}

func newSilence(limit time.Duration, onLimit func()) *silence {
	return &silence{limit: limit, timer: time.AfterFunc(limit, onLimit)}
}

// start starts the time.
func (s *silence) start() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped && s.pauses == 0 {
		s.timer.Reset(s.limit)
	}
}

// end stops the time until the next start.
func (s *silence) end() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer.Stop()
}

// paused counts paused partitions, and starts the time when none is left.
func (s *silence) paused(change int) {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.pauses += change
	s.timer.Stop()
	s.mu.Unlock()
	s.start()
}

// stop disables the silence for good.
func (s *silence) stop() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.timer.Stop()
}
