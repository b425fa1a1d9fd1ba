package slogkafka

import (
	"cmp"
	"slices"
)

// useStore connects the queue with a store, so that records of some levels may go to the disk. The spool contains the
// records with the numbers from done up to next.
func (q *queue) useStore(s *store, done, next uint64) {
	q.store = s
	q.own = len(q.shards)
	q.shards = make([]shard, 2*q.own+1)
	for i := range q.shards {
		q.shards[i].queue = q
		q.shards[i].reserves = i < 2*q.own
	}
	q.window /= 2 // the other half, and a quarter of the records, are for records from the disk
	q.diskRecords = max(1, q.maxRecords/4)
	q.maxRecords = max(1, q.maxRecords-q.diskRecords)
	disk := q.disk()
	disk.readTo = done
	disk.counts.recovered, disk.counts.spooled = next-done, int64(next-done)
	q.spooling.Store(next > done)
}

// spoolable returns the shards of the records that may go to the disk.
func (q *queue) spoolable() []shard { return q.shards[:q.own] }

// spools reports whether a record may go to the disk.
func (q *queue) spools(e *entry) bool {
	_, ok := q.policyOf(e).(spooling)
	return ok
}

// inMemory returns the shards of all records except those from the disk.
func (q *queue) inMemory() []shard {
	if q.store == nil {
		return q.shards
	}
	return q.shards[:2*q.own]
}

// disk returns the shard of the records from the disk. Their seq is their number in the spool, and they use no space
// that is reserved for logged records.
func (q *queue) disk() *shard { return &q.shards[2*q.own] }

// startSpooling makes records that may go to the disk wait until they were there.
func (q *queue) startSpooling() {
	q.taking.Lock()
	defer q.taking.Unlock()
	q.spooling.Store(true)
}

// allShipped reports whether all records of the spool were passed to the producer; next is the number behind them.
func (q *queue) allShipped(next uint64) bool {
	d := q.disk()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.readTo == next && d.next == nil
}

// shipped returns the number of the spool's first record without an outcome.
func (q *queue) shipped() uint64 {
	d := q.disk()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.first != nil {
		return d.first.seq
	}
	return d.readTo
}

// roomForDisk returns how many records and bytes may be read from the disk: none while some of them wait to be sent.
func (q *queue) roomForDisk() (records int, bytes int64) {
	d := q.disk()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.next != nil {
		return 0, 0
	}
	return int(q.diskRecords) - int(d.counts.queued), q.window - int64(d.counts.bytes)
}

// toDisk counts records as spooled, and returns those that were still in the queue.
func (q *queue) toDisk(batch []*queued) []*queued {
	moved := make([]*queued, 0, len(batch))
	bytes := int64(0)
	for i := range q.inMemory() {
		s := &q.shards[i]
		s.mu.Lock()
		for _, r := range batch {
			if r.shard == s && r.state != finished {
				s.finish(r)
				s.counts.spooled++
				bytes += r.charge
				moved = append(moved, r)
			}
		}
		s.mu.Unlock()
	}
	q.release(int64(len(moved)), bytes)
	return moved
}

// drop counts a record that was taken out as dropped. It returns false when Close has already counted the record.
func (q *queue) drop(r *queued, why reason) bool {
	s := r.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.state == finished {
		return false
	}
	s.finish(r)
	s.counts.dropped[why]++
	q.release(1, r.charge)
	return true
}

// giveBack makes records wait again that were taken out for the disk.
func (q *queue) giveBack(batch []*queued) {
	for _, r := range batch {
		r.shard.mu.Lock()
		if r.state != finished {
			r.shard.giveBack(r)
		}
		r.shard.mu.Unlock()
	}
}

// fromDisk adds records that were read from the spool, and counts unreadable ones as damaged. All records below
// readTo were read.
func (q *queue) fromDisk(list []*queued, lost, readTo uint64) {
	d := q.disk()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.readTo = readTo
	d.counts.spooled -= int64(lost) + int64(len(list))
	d.counts.dropped[damaged] += lost
	for _, r := range list {
		d.append(r)
	}
}

// left returns the records in memory without an outcome, in order.
func (q *queue) left() []*queued {
	var left []*queued
	for i := range q.inMemory() {
		s := &q.shards[i]
		s.mu.Lock()
		s.admit()
		for r := s.first; r != nil; r = r.next {
			left = append(left, r)
		}
		s.mu.Unlock()
	}
	slices.SortFunc(left, func(a, b *queued) int { return cmp.Compare(a.seq, b.seq) })
	return left
}
