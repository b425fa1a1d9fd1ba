package slogkafka

import "sync"

// shard is a part of the queue. There are several, so that goroutines that log at the same time do not wait for each
// other. A shard holds its records in the order of their log calls, until each has its outcome, and counts them. The
// counts of each shard are consistent at every moment, and so is their sum.
//
// It has two mutexes. Goroutines that log lock that of the intake, which is held for a few instructions only. A
// goroutine that needs both locks mu first.
type shard struct {
	queue *queue

	intake struct {
		sync.Mutex
		records []*queued // those that are not in the list yet
		free    memories  // free memory for further records
		closed  bool      // push adds no more records
		counts  counts    // of records that were pushed or refused
	}

	_ [64]byte // separates the cache lines of intake and list, which different processors write

	mu          sync.Mutex
	first, last *queued   // the list of the records without an outcome
	next        *queued   // the first record of the list that waits to be sent; nil: none
	admitted    []*queued // memory for intake.records
	reserves    bool      // its records have reserved room in the queue; false: they are from the disk
	readTo      uint64    // all records from the disk with a lower number were read
	counts      counts    // of outcomes: they subtract from queued and bytes

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

// push adds a record, for which the caller has reserved room. It returns false when the queue is closed, else true and
// free memory of the class for the next record; nil if there is none.
func (s *shard) push(r *queued, e *entry, class, size int) (spare *queued, ok bool) {
	in := &s.intake
	in.Lock()
	if in.closed {
		in.Unlock()
		return nil, false
	}
	in.counts.addAccepted(e)
	in.counts.queued++
	in.counts.bytes += uint64(r.charge)
	r.shard, r.seq = s, s.queue.seq.Add(1)
	in.records = append(in.records, r)
	spare = in.free.get(class, size)
	in.Unlock()
	return spare, true
}

// mostKept is the maximum capacity of a list of pushed records that is kept for further ones.
const mostKept = 1 << 14

// admit moves the pushed records from the intake to the list. The caller holds mu.
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

// link appends a record to the list. The caller holds mu.
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

// append adds a record from the disk. The caller holds mu.
func (s *shard) append(r *queued) {
	s.counts.queued++
	s.counts.bytes += uint64(r.charge)
	r.shard = s
	s.link(r)
}

// emptyRecord returns an empty record with memory for n bytes.
func (s *shard) emptyRecord(n int) *queued {
	class, size := classOf(n)
	if r := s.exchange(nil, class, size); r != nil {
		return r
	}
	return s.queue.memory(class, size)
}

// exchange keeps the memory of r, unless r is nil, and returns free memory of the class; nil if there is none.
func (s *shard) exchange(r *queued, class, size int) *queued {
	s.intake.Lock()
	defer s.intake.Unlock()
	if r != nil {
		s.intake.free.put(r)
	}
	return s.intake.free.get(class, size)
}

// recycle keeps the memory of finished records, at most limit bytes. It returns the rest of the limit.
func (s *shard) recycle(records []*queued, limit int64) int64 {
	s.intake.Lock()
	defer s.intake.Unlock()
	before := s.intake.free.bytes
	for _, r := range records {
		if s.intake.free.bytes-before+memoryCharge(cap(r.memory)) > limit {
			break
		}
		s.intake.free.put(r)
	}
	return limit - (s.intake.free.bytes - before)
}

// kept returns the bytes of the free memory.
func (s *shard) kept() int64 {
	s.intake.Lock()
	defer s.intake.Unlock()
	return s.intake.free.bytes
}

// dropFree drops the free memory.
func (s *shard) dropFree() {
	s.intake.Lock()
	defer s.intake.Unlock()
	s.intake.free = memories{}
}

// trim drops the free memory, and that of the lists.
func (s *shard) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admitted = nil
	s.dropFree()
}

// lock moves the pushed records to the list, and locks the whole shard until unlock.
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

// addAccepted counts a record as accepted.
func (c *counts) addAccepted(e *entry) {
	c.accepted++
	if e.invalid {
		c.invalid++
	}
	if e.truncated {
		c.truncated++
	}
}

// refuse counts a record as accepted and dropped. It is not added to the queue.
func (s *shard) refuse(e *entry, why reason) {
	s.intake.Lock()
	defer s.intake.Unlock()
	s.intake.counts.addAccepted(e)
	s.intake.counts.dropped[why]++
}

// takeWaiting marks the oldest waiting records as being sent, and appends them to batch: at most n records, and about
// share bytes. It returns the batch, and bytesLeft without the bytes of these records.
func (s *shard) takeWaiting(batch []*queued, n int, share, bytesLeft int64) ([]*queued, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admit()
	for r := s.next; r != nil && n > 0 && share > 0; r = s.next {
		n--
		share -= r.charge
		bytesLeft -= r.charge
		r.state = sending
		s.advance(r)
		batch = append(batch, r)
	}
	return batch, bytesLeft
}

// advance sets next to the first record after r that waits. The caller holds mu.
func (s *shard) advance(r *queued) {
	for r = r.next; r != nil && r.state != waiting; r = r.next {
	}
	s.next = r
}

// giveBack makes a record wait again. It has kept its position in the list. The caller holds mu.
func (s *shard) giveBack(r *queued) {
	r.state = waiting
	if s.next == nil || r.seq < s.next.seq {
		s.next = r
	}
}

// finish removes a record that has its outcome. The caller holds mu, and counts the outcome.
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

// dropOldest drops and returns the oldest waiting record if it has the number seq. Else it returns nil.
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

// isWaiting reports whether a record waits.
func (s *shard) isWaiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admit()
	return s.next != nil
}

// upTo returns the number of records without an outcome whose number is at most seq.
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

// close makes push refuse further records.
func (s *shard) close() {
	s.intake.Lock()
	defer s.intake.Unlock()
	s.intake.closed = true
}

// keep removes the records from the disk from memory. They stay on disk, and count as spooled again.
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
