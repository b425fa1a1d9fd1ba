// Package spool keeps records on disk, in order, until they are finished: a queue that survives the process. It knows
// bytes only.
//
// A spool is a directory of one owner. Its records have numbers without gaps, and lie in segment files, named by the
// number of their first record, as frames with a checksum (CRC32C). A segment is deleted when all its records are
// finished, after the ledger, a file that has the number of the first one that is not, says so on the disk. So a crash
// repeats records that were finished lately, and loses none that was synced.
//
// Opening cuts off a frame that was not written to its end. What is damaged elsewhere is skipped, up to the next
// segment, and counted: reading goes on, and never returns a record that was not written.
package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/filelock"
	"github.com/kafkaesk/kafkaesk/internal/privatedir"
)

// MaxRecord is how long a record may be, in bytes.
const MaxRecord = 16 << 20

// MinBytes is the least that a spool can be bounded to.
const MinBytes = 64 << 10

var (
	// ErrFull says that a record does not fit within the bound, as long as others are there.
	ErrFull = errors.New("the spool is full")
	// ErrTooLarge says that a record is longer than MaxRecord, or does not fit within the bound even alone.
	ErrTooLarge = errors.New("the record is too large for the spool")
)

// Sync says when records are synced to the disk. Before that they survive the end of the process, and not a power
// failure.
type Sync uint8

const (
	// SyncEach has Append return when its records are synced.
	SyncEach Sync = iota
	// SyncLater has Sync do it, and the end of a segment.
	SyncLater
	// SyncNever leaves it to the operating system.
	SyncNever
)

// Config is what Open needs to know.
type Config struct {
	// Dir is the directory. It is made with mode 0700, files in it with 0600. Where it belongs to root or can be written
	// by others, the files are in a directory of it, kafkaesk-spool-UID.
	Dir string
	// MaxBytes bounds all files together. It is at least MinBytes.
	MaxBytes int64
	// Sync defaults to SyncEach.
	Sync Sync
}

// Spool is a spool that is open. It is used by one goroutine at a time.
type Spool struct {
	fs           fileSystem
	lock         *filelock.Lock
	max          int64
	segmentBytes int64
	sync         Sync

	ledger   ledger
	done     uint64     // records below it are finished, by the ledger
	next     uint64     // number of the next record
	segments []*segment // those that are there, the oldest first
	active   file       // the last segment, while it is being written; nil: a new one is to be made
	unsynced bool       // the active segment has records that are not synced
	created  bool       // and its name is not
	frames   []byte     // memory of Append
	reader   reader
}

// segment is a file of records.
type segment struct {
	first, end uint64 // numbers of its first record, and of the first behind it
	size       int64  // of what can be read
}

const segmentSuffix = ".segment"

func (s *segment) name() string { return fmt.Sprintf("%020d%s", s.first, segmentSuffix) }

// parseName returns the number of the first record of a segment; false when the name is of another file.
func parseName(name string) (first uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, ok && err == nil && (&segment{first: first}).name() == name
}

// Open opens the spool in a directory, and makes it if it is not there. An error that wraps filelock.ErrLocked says
// that it has an owner already, in this process or another.
func Open(c Config) (*Spool, error) {
	if c.MaxBytes < MinBytes {
		return nil, fmt.Errorf("spool %s: %d bytes are too few: it needs %d", c.Dir, c.MaxBytes, MinBytes)
	}
	root, err := privatedir.Open(c.Dir, "kafkaesk-spool")
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s, err := lockAndOpen(root, c)
	if err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("spool %s: %w", c.Dir, err)
	}
	return s, nil
}

func lockAndOpen(root *os.Root, c Config) (*Spool, error) {
	f, err := root.OpenFile("lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	lock, err := filelock.TryFile(f)
	if errors.Is(err, filelock.ErrLocked) {
		return nil, fmt.Errorf("it has an owner already; each needs a directory of its own: %w", err)
	} else if err != nil {
		return nil, err
	}
	s, err := open(directory{root}, c)
	if err != nil {
		_ = lock.Unlock()
		return nil, err
	}
	s.lock = lock
	return s, nil
}

const (
	// minSegments is how many segments a full spool has at least: the room of one that is not quite finished is not free.
	minSegments = 16
	// maxSegment is when a segment ends at the latest, but for its last record.
	maxSegment     = 8 << 20
	largestSegment = maxSegment + maxFrame
)

func open(files fileSystem, c Config) (*Spool, error) {
	s := &Spool{fs: files, max: c.MaxBytes, segmentBytes: min(c.MaxBytes/minSegments, maxSegment), sync: c.Sync}
	names, err := files.list()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if first, ok := parseName(name); ok {
			s.segments = append(s.segments, &segment{first: first})
		}
	}
	slices.SortFunc(s.segments, func(a, b *segment) int { return cmp.Compare(a.first, b.first) })
	for i, seg := range s.segments {
		if i+1 < len(s.segments) {
			seg.end = s.segments[i+1].first
		}
		if err := s.measure(seg, i+1 == len(s.segments)); err != nil {
			return nil, err
		}
		s.next = seg.end
	}
	if s.done, err = s.ledger.open(files); err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	if len(s.segments) > 0 {
		s.done = max(s.done, s.segments[0].first)
	}
	s.next = max(s.next, s.done)
	s.reader.next = s.done
	s.removeFinished()
	return s, nil
}

// measure finds out how much of a segment can be read. Of the last one nobody knows yet how many records it has, and
// what was not written to its end is cut off.
func (s *Spool) measure(seg *segment, last bool) error {
	f, size, err := s.fs.read(seg.name())
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	seg.size = min(size, int64(largestSegment))
	if !last {
		return nil
	}
	data := make([]byte, seg.size)
	if n, err := f.ReadAt(data, 0); n < len(data) {
		return fmt.Errorf("reading %s: %w", seg.name(), err)
	}
	whole, length, lost := scan(data, seg.first)
	seg.end = seg.first + uint64(whole+lost)
	if lost == 0 && int64(length) < size {
		seg.size = int64(length)
		_ = f.Truncate(seg.size) // if it cannot be cut, it is not read all the same
	}
	return nil
}

// Done returns the number of the first record that is not finished.
func (s *Spool) Done() uint64 { return s.done }

// Next returns the number of the next record to be written.
func (s *Spool) Next() uint64 { return s.next }

// Bytes returns how large the files are together.
func (s *Spool) Bytes() int64 {
	n := int64(ledgerSize)
	for _, seg := range s.segments {
		n += seg.size
	}
	return n
}

// Append writes records, and returns how many of them are in the spool, which are the first ones. ErrFull says that the
// next one does not fit yet, ErrTooLarge that it never will. The spool goes on after any error.
func (s *Spool) Append(records [][]byte) (n int, err error) {
	for n < len(records) {
		k, err := s.appendSome(records[n:])
		if err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}

// appendSome writes as many as there is room for in one segment.
func (s *Spool) appendSome(records [][]byte) (n int, err error) {
	if s.active != nil && s.last().size >= s.segmentBytes {
		if err := s.endSegment(); err != nil {
			return 0, err
		}
	}
	used, begin := s.Bytes(), int64(0)
	if s.active != nil {
		begin = s.last().size
	}
	s.frames = s.frames[:0]
	for _, record := range records {
		if most := min(MaxRecord, s.max-int64(ledgerSize+frameHeader)); int64(len(record)) > most {
			if n == 0 {
				return 0, fmt.Errorf("%w: it has %d bytes, and may have %d", ErrTooLarge, len(record), most)
			}
			break
		}
		size := int64(len(s.frames))
		if used+size+int64(frameHeader+len(record)) > s.max || n > 0 && begin+size >= s.segmentBytes {
			break
		}
		s.frames = appendFrame(s.frames, s.next+uint64(n), record)
		n++
	}
	if n == 0 {
		return 0, ErrFull
	}
	if err := s.write(s.frames); err != nil {
		return 0, err
	}
	s.next += uint64(n)
	s.last().end = s.next
	s.last().size += int64(len(s.frames))
	if cap(s.frames) > 1<<20 {
		s.frames = nil
	}
	return n, nil
}

func (s *Spool) last() *segment { return s.segments[len(s.segments)-1] }

// write writes frames to the end of the active segment, and syncs them if need be.
func (s *Spool) write(frames []byte) error {
	if s.active == nil {
		seg := &segment{first: s.next, end: s.next}
		f, err := s.fs.create(seg.name())
		if err != nil {
			return fmt.Errorf("making a segment: %w", err)
		}
		s.active, s.created, s.unsynced = f, true, false
		s.segments = append(s.segments, seg)
	}
	if _, err := s.active.WriteAt(frames, s.last().size); err != nil {
		s.leaveSegment()
		return fmt.Errorf("writing: %w", err)
	}
	s.unsynced = true
	if s.sync == SyncEach {
		return s.Sync()
	}
	return nil
}

// leaveSegment goes on with another segment after a failure: what a failed write has left behind cannot be told, and a
// second sync after one that failed may say that all is well. What was written before stays.
func (s *Spool) leaveSegment() {
	_ = s.active.Truncate(s.last().size) // if it cannot be cut, the name of the next segment says where this one ends
	_ = s.active.Close()
	s.active, s.unsynced, s.created = nil, false, false
	if seg := s.last(); seg.size == 0 {
		s.segments = s.segments[:len(s.segments)-1]
		_ = s.fs.remove(seg.name()) // if it cannot be removed, the next segment has its name, and empties it
	}
}

// Sync returns when all that was written is on the disk. After an error nobody knows whether it is; the spool goes on.
func (s *Spool) Sync() error {
	if !s.unsynced {
		return nil
	}
	err := s.active.Sync()
	if err == nil && s.created {
		err = s.fs.sync()
	}
	if err != nil {
		s.leaveSegment()
		return fmt.Errorf("syncing: %w", err)
	}
	s.unsynced, s.created = false, false
	return nil
}

// endSegment has the next record begin a new segment.
func (s *Spool) endSegment() error {
	if s.sync != SyncNever {
		if err := s.Sync(); err != nil {
			return err
		}
	}
	err := s.active.Close()
	s.active, s.unsynced, s.created = nil, false, false
	return err
}

// Finish says that all records below the number are finished: they will not be read again, also after a crash, and
// segments that have no others are deleted. After an error it is as if it had not been called.
func (s *Spool) Finish(done uint64) error {
	if done <= s.done {
		return nil
	}
	if err := s.ledger.write(s.fs, done); err != nil {
		return err
	}
	s.done = done
	s.reader.next = max(s.reader.next, done)
	s.removeFinished()
	return nil
}

// removeFinished deletes the segments that have no unfinished records.
func (s *Spool) removeFinished() {
	for len(s.segments) > 0 && s.segments[0].end <= s.done {
		seg := s.segments[0]
		if s.active != nil && len(s.segments) == 1 {
			_ = s.active.Close() // nobody needs what it has
			s.active, s.unsynced, s.created = nil, false, false
		}
		s.reader.leave(seg)
		if err := s.fs.remove(seg.name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return // it is tried again when the next one is finished
		}
		s.segments = s.segments[1:]
	}
}

// Close syncs what was written, unless that is never done, and gives the directory free. Unfinished records stay.
func (s *Spool) Close() error {
	var err error
	if s.active != nil {
		err = s.endSegment()
	}
	s.reader.close()
	s.ledger.close()
	err = errors.Join(err, s.fs.close())
	if s.lock != nil {
		err = errors.Join(err, s.lock.Unlock())
	}
	return err
}
