package slogkafka

import "sync"

// shard is a part of the queue, so that goroutines that log at one time do not wait for each other. It holds its
// records in the order in which they came, until each has its outcome, and its own part of the counts: each part adds
// up at every moment, and so does their sum.
//
// It has two mutexes. Goroutines that log take that of the intake, which is held for a few instructions only. That of
// the list is taken first where both are needed.
type shard struct {
	queue *queue

	intake struct {
		sync.Mutex
		records []*queued // those that are not in the list yet
		free    memories  // of records that are over
		closed  bool      // nothing comes in any more
		counts  counts    // of what came in, or was refused
	}

	_ [64]byte // keeps the two, which different processors use, out of one cache line

	mu          sync.Mutex
	first, last *queued   // all without an outcome
	next        *queued   // the first of them that waits; nil: none
	admitted    []*queued // memory for intake.records
	reserves    bool      // its records have taken room of the queue; false: they come from the disk
	readTo      uint64    // of those from the disk: all below it were read
	counts      counts    // of outcomes: queued and bytes are what they take away

	_ [64]byte
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

// push takes a record in. It returns false when the queue is closed, else memory of the class for the next record, nil
// if there is none. The caller has reserved room for the record.
func (s *shard) push(r *queued, e *entry, class, size int) (spare *queued, ok bool) {
	in := &s.intake
	in.Lock()
	if in.closed {
		in.Unlock()
		return nil, false
	}
	in.counts.note(e)
	in.counts.queued++
	in.counts.bytes += uint64(r.charge)
	r.shard, r.seq = s, s.queue.seq.Add(1)
	in.records = append(in.records, r)
	spare = in.free.get(class, size)
	in.Unlock()
	return spare, true
}

// mostKept is how many places the lists of records keep that have come in.
const mostKept = 1 << 14

// admit puts the records that have come in into the list. The caller holds the mutex.
func (s *shard) admit() {
	in := &s.intake
	in.Lock()
	came := in.records
	in.records = s.admitted[:0]
	in.Unlock()
	for _, r := range came {
		s.link(r)
	}
	clear(came)
	if s.admitted = came; cap(came) > mostKept {
		s.admitted = nil
	}
}

// link puts a record behind the others of the list. The caller holds the mutex.
func (s *shard) link(r *queued) {
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

// append takes in a record from the disk. The caller holds the mutex.
func (s *shard) append(r *queued) {
	s.counts.queued++
	s.counts.bytes += uint64(r.charge)
	r.shard = s
	s.link(r)
}

// room returns an empty record with memory for n bytes.
func (s *shard) room(n int) *queued {
	class, size := classOf(n)
	if r := s.exchange(nil, class, size); r != nil {
		return r
	}
	return s.queue.memory(class, size)
}

// exchange gives a record's memory back, unless it is nil, and returns memory of the class; nil if there is none.
func (s *shard) exchange(r *queued, class, size int) *queued {
	s.intake.Lock()
	defer s.intake.Unlock()
	if r != nil {
		s.intake.free.put(r)
	}
	return s.intake.free.get(class, size)
}

// recycle gives back the memory of records that are over, as long as there is room for it. It returns what is left of
// the room.
func (s *shard) recycle(records []*queued, room int64) int64 {
	s.intake.Lock()
	defer s.intake.Unlock()
	before := s.intake.free.bytes
	for _, r := range records {
		if s.intake.free.bytes-before+memoryCharge(cap(r.memory)) > room {
			break
		}
		s.intake.free.put(r)
	}
	return room - (s.intake.free.bytes - before)
}

// kept returns how much memory is kept for further records.
func (s *shard) kept() int64 {
	s.intake.Lock()
	defer s.intake.Unlock()
	return s.intake.free.bytes
}

// letGo lets go of that memory.
func (s *shard) letGo() {
	s.intake.Lock()
	defer s.intake.Unlock()
	s.intake.free = memories{}
}

// trim lets go of the memory that is kept for further records.
func (s *shard) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admitted = nil
	s.letGo()
}

// lock has nothing change in the shard until unlock, and brings into the list what has come in.
func (s *shard) lock() {
	s.mu.Lock()
	s.admit()
	s.intake.Lock()
}

func (s *shard) unlock() {
	s.intake.Unlock()
	s.mu.Unlock()
}

// bothCounts returns the counts of the intake and those of the list. The caller has locked the shard.
func (s *shard) bothCounts() [2]*counts { return [2]*counts{&s.intake.counts, &s.counts} }

// note counts a record as accepted.
func (c *counts) note(e *entry) {
	c.accepted++
	if e.invalid {
		c.invalid++
	}
	if e.truncated {
		c.truncated++
	}
}

// refuse counts a record that does not get in.
func (s *shard) refuse(e *entry, why reason) {
	s.intake.Lock()
	defer s.intake.Unlock()
	s.intake.counts.note(e)
	s.intake.counts.dropped[why]++
}

// take appends to batch the oldest records that wait, at most n, with about as many bytes as its share of the room.
// They are sending then. It returns what is left of the room.
func (s *shard) take(batch []*queued, n int, share, room int64) ([]*queued, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admit()
	for r := s.next; r != nil && n > 0 && share > 0; r = s.next {
		n--
		share -= r.charge
		room -= r.charge
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
	s.counts.bytes -= uint64(r.charge)
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
	s.admit()
	if s.next == nil {
		return 0
	}
	return s.next.seq
}

// isWaiting tells whether a record waits.
func (s *shard) isWaiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admit()
	return s.next != nil
}

// upTo counts the records without an outcome, up to a number.
func (s *shard) upTo(seq uint64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admit()
	n := 0
	for r := s.first; r != nil && r.seq <= seq; r = r.next {
		n++
	}
	return n
}

// close ends the intake.
func (s *shard) close() {
	s.intake.Lock()
	defer s.intake.Unlock()
	s.intake.closed = true
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
	s.admit()
	var left []*queued
	for s.first != nil {
		left = append(left, s.first)
		s.finish(s.first)
		s.counts.dropped[why]++
	}
	return left
}
