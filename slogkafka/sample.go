package slogkafka

import (
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"
)

// samples is how many counters a sampler has.
const samples = 4096

// sampler leaves out records of a level and message that come too often. Its memory is the same whatever is logged: two
// messages may share a counter, which is rare while there are fewer of them than counters.
type sampler struct {
	first, every uint64
	per          time.Duration
	seed         maphash.Seed
	omitted      atomic.Uint64
	counters     [samples]struct {
		window atomic.Int64 // when the counter began to count, in nanoseconds
		count  atomic.Uint64
	}
}

// keep tells whether the record is logged.
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
