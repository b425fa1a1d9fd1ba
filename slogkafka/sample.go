package slogkafka

import (
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"
)

// samples is the number of counters of a sampler.
const samples = 4096

// sampler drops records whose level and message repeat too often. Its memory is constant: two messages may share a
// counter, which is rare while there are fewer messages than counters.
type sampler struct {
	first, every uint64
	per          time.Duration
	seed         maphash.Seed
	omitted      atomic.Uint64
	counters     [samples]struct {
		window atomic.Int64 // start of the counted period, in nanoseconds
		count  atomic.Uint64
	}
}

// keep reports whether to log the record.
func (s *sampler) keep(r *slog.Record) bool {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_ = h.WriteByte(byte(r.Level))
	_, _ = h.WriteString(r.Message)
	c := &s.counters[h.Sum64()%samples]
	now := r.Time.UnixNano()
	if r.Time.IsZero() {
		now = time.Now().UnixNano()
	}
	n := uint64(1)
	if window := c.window.Load(); now-window >= int64(s.per) && c.window.CompareAndSwap(window, now) {
		c.count.Store(1)
	} else {
		n = c.count.Add(1)
	}
	if n <= s.first || s.every > 0 && (n-s.first)%s.every == 0 {
		return true
	}
	s.omitted.Add(1)
	return false
}
