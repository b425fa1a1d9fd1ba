package slogkafka

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/spool"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// errSpooled is the error of FlushOn for a record that was written to the disk instead.
var errSpooled = errors.New("slogkafka: the log record is on disk, and not acknowledged yet")

const (
	// spoolChunk is the approximate number of bytes of one read or write.
	spoolChunk = 256 << 10
	// spoolRetry is the pause after an error of the disk.
	spoolRetry = time.Second
	// finishEvery is the interval at which the ledger is written: a crash repeats the records delivered since then.
	finishEvery = 500 * time.Millisecond
)

// store moves records from the queue to the disk when the queue is half full, and back when they can be sent. It does
// all I/O of the spool, on one goroutine, so that neither a caller nor the delivery waits for the disk.
//
// While the spool contains records, new records go there too, so that they stay in order: the queue is spooling. That
// ends when all of them were passed to the producer.
type store struct {
	queue  *queue
	spool  *spool.Spool
	dir    string
	stream string
	every  time.Duration // between syncs; 0: each batch; negative: never
	report func(error)   // reports an error
	missed func(n uint64)
	lost   func(*queued, reason)

	wake    chan struct{} // has room for one
	asleep  atomic.Bool   // run sleeps and must be woken for new work
	written atomic.Uint64 // records below this number are in the spool

	closing chan struct{} // ends run
	late    atomic.Bool   // no further writes
	done    chan struct{} // closed with the spool

	// Fields of the goroutine of run:
	batch      []*queued
	memory     []byte
	clock      logrecord.Clock
	parts      [][]byte
	unsynced   bool
	nextSync   time.Time
	nextFinish time.Time
	nextWrite  time.Time // earliest write after an error
	nextRead   time.Time
}

// openStore opens the spool of the policy, and adds its records to the queue's counts.
func openStore(q *queue, p spooling, every time.Duration, stream string) (*store, error) {
	sync := spool.SyncLater
	switch {
	case every == 0:
		sync = spool.SyncEach
	case every < 0:
		sync = spool.SyncNever
	}
	disk, err := spool.Open(spool.Config{Dir: p.dir, MaxBytes: p.bytes, Sync: sync})
	if err != nil {
		return nil, err
	}
	s := &store{
		queue: q, spool: disk, dir: p.dir, stream: stream, every: every,
		wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
	}
	s.written.Store(disk.Next())
	q.useStore(s, disk.Done(), disk.Next())
	return s, nil
}

// nudge wakes run.
func (s *store) nudge() {
	if s.asleep.Load() && s.asleep.CompareAndSwap(true, false) {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// pushed wakes run for a new record in the queue, if the record may go to the disk.
func (s *store) pushed() {
	if s.asleep.Load() && (s.queue.spooling.Load() || s.queue.halfFull()) {
		s.nudge()
	}
}

// run works until closing is closed. Then it writes the remaining records of the queue.
func (s *store) run() {
	defer close(s.done)
	for {
		s.asleep.Store(true) // later records are seen below, or wake run
		for s.step() && !s.isClosing() {
		}
		timer := time.NewTimer(s.pause())
		select {
		case <-s.wake:
			timer.Stop()
		case <-timer.C:
		case <-s.closing:
			timer.Stop()
			s.close()
			return
		}
	}
}

func (s *store) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// step does one piece of work. It returns whether more may remain.
func (s *store) step() bool {
	now := time.Now()
	s.sync(now)
	s.finish(now)
	s.stopSpooling()
	wrote := !now.Before(s.nextWrite) && (s.queue.spooling.Load() || s.queue.halfFull()) && s.write(now)
	read := !now.Before(s.nextRead) && s.read(now)
	if !wrote && !read {
		s.stopSpooling()
	}
	return wrote || read
}

// stopSpooling ends the spooling if all records of the spool were passed to the producer.
func (s *store) stopSpooling() {
	if s.queue.spooling.Load() && s.queue.allShipped(s.spool.Next()) {
		s.queue.spooling.Store(false)
		s.queue.nudge()
	}
}

// pause returns how long run may sleep.
func (s *store) pause() time.Duration {
	now, pause := time.Now(), time.Hour
	if s.unsynced && s.every > 0 {
		pause = min(pause, s.nextSync.Sub(now))
	}
	if s.queue.shipped() > s.spool.Done() {
		pause = min(pause, s.nextFinish.Sub(now))
	}
	for _, next := range []time.Time{s.nextWrite, s.nextRead} {
		if next.After(now) {
			pause = min(pause, next.Sub(now))
		}
	}
	return max(pause, 0)
}

func (s *store) fail(err error) { s.report(fmt.Errorf("spool %s: %w", s.dir, err)) }

// write moves waiting records from the queue to the spool.
func (s *store) write(now time.Time) bool {
	s.queue.startSpooling()
	s.batch = takeInOrder(s.queue.spoolable(), s.batch[:0], batchRecords, min(spoolChunk, s.queue.maxBytes/8))
	if len(s.batch) == 0 {
		return false
	}
	n, err := s.append(s.batch, now)
	moved := s.queue.toDisk(s.batch[:n])
	for _, r := range moved {
		r.waiter.end(errSpooled)
	}
	s.queue.recycle(moved, 0)
	rest := s.batch[n:]
	if errors.Is(err, spool.ErrTooLarge) {
		s.drop(rest[0], err)
		rest, err = rest[1:], nil
	}
	s.queue.giveBack(rest)
	if err != nil {
		s.nextWrite = now.Add(spoolRetry)
		s.fail(err)
	}
	clear(s.batch)
	return err == nil
}

// drop drops a record that is too large for the disk, so that it does not block the records behind it.
func (s *store) drop(r *queued, err error) {
	if s.queue.drop(r, tooLarge) {
		r.waiter.end(err)
		s.lost(r, tooLarge)
	}
}

// append writes records to the spool, and returns the number of written ones.
func (s *store) append(batch []*queued, now time.Time) (n int, err error) {
	s.memory, s.parts = s.memory[:0], s.parts[:0]
	for _, r := range batch {
		s.memory = slices.Grow(s.memory, r.valueLen()+len(r.memory)+len(s.stream)+len(r.stream)+len(r.vendors)+128)
		start := len(s.memory)
		s.memory = r.appendSpooled(s.memory, now, &s.clock, s.stream)
		s.parts = append(s.parts, s.memory[start:len(s.memory):len(s.memory)])
	}
	n, err = s.spool.Append(s.parts)
	clear(s.parts)
	if cap(s.memory) > 4*spoolChunk {
		s.memory = nil
	}
	s.written.Store(s.spool.Next())
	if n > 0 && !s.unsynced {
		s.unsynced, s.nextSync = true, now.Add(max(s.every, 0))
	}
	return n, err
}

// read moves records from the spool to the queue, if the queue has memory for them.
func (s *store) read(now time.Time) bool {
	n, maxBytes := s.queue.roomForDisk()
	if n <= 0 || maxBytes <= 0 {
		return false
	}
	b, err := s.spool.Read(n, int(min(maxBytes, spoolChunk)))
	if err != nil {
		s.nextRead = now.Add(spoolRetry)
		s.fail(err)
	}
	lost := b.Lost
	list := make([]*queued, 0, len(b.Records))
	for i, data := range b.Records {
		r, err := fromSpool(s.queue.disk(), data, s.stream)
		if err != nil {
			lost++
			continue
		}
		r.seq = b.First + uint64(i)
		list = append(list, r)
	}
	if lost == 0 && len(list) == 0 {
		return false
	}
	s.queue.fromDisk(list, lost, b.First+uint64(len(b.Records)))
	if lost > 0 {
		s.missed(lost)
	}
	s.queue.nudge()
	return err == nil
}

// sync syncs written records at the configured interval.
func (s *store) sync(now time.Time) {
	if !s.unsynced || s.every < 0 || now.Before(s.nextSync) {
		return
	}
	s.unsynced = false
	if err := s.spool.Sync(); err != nil {
		s.fail(err)
	}
}

// finish marks delivered records as finished in the spool, at an interval.
func (s *store) finish(now time.Time) {
	shipped := s.queue.shipped()
	if shipped <= s.spool.Done() || now.Before(s.nextFinish) {
		return
	}
	s.nextFinish = now.Add(finishEvery)
	if err := s.spool.Finish(shipped); err != nil {
		s.fail(err)
		return
	}
	s.nextWrite = time.Time{} // there may be space again
}

// close writes the remaining records of the queue, for as long as Close waits, and closes the spool.
func (s *store) close() {
	left := s.queue.left()
	for len(left) > 0 && !s.late.Load() {
		n, err := s.append(left[:min(len(left), 256)], time.Now())
		for _, r := range s.queue.toDisk(left[:n]) {
			r.waiter.end(errSpooled)
		}
		left = left[n:]
		if errors.Is(err, spool.ErrTooLarge) {
			left, err = left[1:], nil // the fallback gets it
		}
		if err != nil {
			s.fail(err)
			break
		}
	}
	if err := errors.Join(s.spool.Finish(s.queue.shipped()), s.spool.Close()); err != nil {
		s.fail(err)
	}
}

// pending returns the number of records below a number that are in the spool, or were read and have no outcome.
func (s *store) pending(number uint64) int {
	return int(max(number, s.queue.shipped()) - s.queue.shipped())
}
