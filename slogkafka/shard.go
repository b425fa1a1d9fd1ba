package slogkafka

import "sync"

// shard is a part of the queue, so that goroutines that log at one time do not wait for each other. It holds its
// records in the order in which they came, until each has its outcome, and its own part of the counts: each part adds
// up at every moment, and so does their sum.
type shard struct {
	queue *queue

	mu          sync.Mutex
	first, last *queued // all without an outcome
	next        *queued // the first of them that waits; nil: none
	closed      bool    // nothing comes in any more
	reserves    bool    // its records have taken room of the queue; false: they come from the disk
	readTo      uint64  // of those from the disk: all below it were read
	counts      counts

	_ [64]byte // keeps two shards out of one cache line
}

// counts are the counts of one shard.
type counts struct {
	accepted, delivered uint64
	queued, bytes       uint64
	spooled             int64 // moved to the disk, less those that came back in this shard
	recovered           uint64
	dropped             [reasons]uint64
	invalid, truncated  uint64
}

// push appends a record. It returns false when the queue is closed. The caller has counted its size.
func (s *shard) push(r *queued, e *entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.note(e)
	r.seq = s.queue.seq.Add(1)
	s.append(r)
	return true
}

// append puts a record behind the others. The caller holds the mutex.
func (s *shard) append(r *queued) {
	s.counts.queued++
	s.counts.bytes += uint64(r.charge())
	r.shard, r.state = s, waiting
	r.prev = s.last
	if s.last == nil {
		s.first = r
	} else {
		s.last.next = r
	}
	s.last = r
	if s.next == nil {
		s.next = r
	}
}

// note counts a record as accepted. The caller holds the mutex.
func (s *shard) note(e *entry) {
	s.counts.accepted++
	if e.invalid {
		s.counts.invalid++
	}
	if e.truncated {
		s.counts.truncated++
	}
}

// refuse counts a record that does not get in.
func (s *shard) refuse(e *entry, why reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(e)
	s.counts.dropped[why]++
}

// take appends to batch the oldest records that wait, at most n, with about as many bytes as its share of the room.
// They are sending then. It returns what is left of the room.
func (s *shard) take(batch []*queued, n int, share, room int64) ([]*queued, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := s.next; r != nil && n > 0 && share > 0; r = s.next {
		n--
		share -= r.charge()
		room -= r.charge()
		r.state = sending
		s.advance(r)
		batch = append(batch, r)
	}
	return batch, room
}

// advance makes the next one that waits behind r the first that does. The caller holds the mutex.
func (s *shard) advance(r *queued) {
	for r = r.next; r != nil && r.state != waiting; r = r.next {
	}
	s.next = r
}

// giveBack has a record wait again, at its place in the order. The caller holds the mutex.
func (s *shard) giveBack(r *queued) {
	r.state = waiting
	if s.next == nil || r.seq < s.next.seq {
		s.next = r
	}
}

// finish takes out a record that has its outcome. The caller holds the mutex, and counts the outcome.
func (s *shard) finish(r *queued) {
	if s.next == r {
		s.advance(r)
	}
	if r.prev == nil {
		s.first = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		s.last = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.state, r.prev, r.next = finished, nil, nil
	s.counts.queued--
	s.counts.bytes -= uint64(r.charge())
}

// dropOldest takes out and returns the oldest record if it still waits and is the one with that number; else nil.
func (s *shard) dropOldest(seq uint64, why reason) *queued {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.next
	if r == nil || r.seq != seq {
		return nil
	}
	s.finish(r)
	s.counts.dropped[why]++
	return r
}

// oldest returns the number of the oldest record that waits; 0: none does.
func (s *shard) oldest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		return 0
	}
	return s.next.seq
}

// isWaiting tells whether a record waits.
func (s *shard) isWaiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next != nil
}

// upTo counts the records without an outcome, up to a number.
func (s *shard) upTo(seq uint64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for r := s.first; r != nil && r.seq <= seq; r = r.next {
		n++
	}
	return n
}

// close ends the intake.
func (s *shard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// keep gives the records from the disk up: they stay there.
func (s *shard) keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first != nil {
		s.readTo = s.first.seq
	}
	for s.first != nil {
		s.finish(s.first)
		s.counts.spooled++
	}
}

// abandon drops and returns all records without an outcome.
func (s *shard) abandon(why reason) []*queued {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []*queued
	for s.first != nil {
		left = append(left, s.first)
		s.finish(s.first)
		s.counts.dropped[why]++
	}
	return left
}
