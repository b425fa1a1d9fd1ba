// Package spool keeps records on disk, in order, until they are finished: a queue that survives the process. It
// handles bytes only.
//
// A spool is a directory with one owner. Its records have consecutive numbers, and are stored in segment files, which
// are named by the number of their first record, as frames with a checksum (CRC32C). The ledger file holds the number
// of the first unfinished record. A segment is deleted when all its records are finished and the ledger says so on
// disk. A crash therefore repeats records that were finished lately, and loses none that was synced.
//
// Open truncates an incomplete frame at the end. Damage elsewhere is skipped up to the next segment and counted. Read
// never returns a record that was not written.
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

// MaxRecord is the maximum length of a record in bytes.
const MaxRecord = 16 << 20

// MinBytes is the minimum bound of a spool.
const MinBytes = 64 << 10

var (
	// ErrFull means that a record does not fit within the bound until others are finished.
	ErrFull = errors.New("the spool is full")
	// ErrTooLarge means that a record is longer than MaxRecord, or does not fit within the bound even alone.
	ErrTooLarge = errors.New("the record is too large for the spool")
)

// Sync selects when records are synced to the disk. Unsynced records survive the end of the process, but not a power
// failure.
type Sync uint8

const (
	// SyncEach: Append returns when its records are synced.
	SyncEach Sync = iota
	// SyncLater: the Sync method and the end of a segment sync records.
	SyncLater
	// SyncNever: the operating system decides.
	SyncNever
)

// Config configures Open.
type Config struct {
	// Dir is the directory. It is created with mode 0700, files in it with 0600. If it belongs to root or is writable by
	// others, the files are in its subdirectory kafkaesk-spool-UID.
	Dir string
	// MaxBytes bounds the total size of all files. It must be at least MinBytes.
	MaxBytes int64
	// Sync defaults to SyncEach.
	Sync Sync
}

// Spool is an open spool. It must be used by one goroutine at a time.
type Spool struct {
	fs           fileSystem
	lock         *filelock.Lock
	max          int64
	segmentBytes int64
	sync         Sync

	ledger   ledger
	done     uint64     // records below it are finished, as the ledger says
	next     uint64     // number of the next record
	segments []*segment // existing segments, the oldest first
	active   file       // the last segment while it is written; nil: the next write creates one
	unsynced bool       // the active segment has records that are not synced
	created  bool       // the active segment's name is not synced
	frames   []byte     // reused buffer of Append
	reader   reader
}

// segment is a file of records.
type segment struct {
	first, end uint64 // the first record's number, and the number behind the last
	size       int64  // of the readable part
}

const segmentSuffix = ".segment"

func (s *segment) name() string { return fmt.Sprintf("%020d%s", s.first, segmentSuffix) }

// parseName returns the number of the first record of a segment; false for the name of another file.
func parseName(name string) (first uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, ok && err == nil && (&segment{first: first}).name() == name
}

// Open opens the spool in a directory, which it creates if it is missing. An error that wraps filelock.ErrLocked
// means that the spool is open already, in this process or another.
func Open(c Config) (*Spool, error) {
	if c.MaxBytes < MinBytes {
		return nil, fmt.Errorf("spool %s: a bound of %d bytes is too small: it needs %d", c.Dir, c.MaxBytes, MinBytes)
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
		return nil, fmt.Errorf("it is in use; each handler needs a directory of its own: %w", err)
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
	// minSegments is the minimum number of segments of a full spool. It bounds the space that one unfinished record
	// holds.
	minSegments = 16
	// maxSegment is the size after which a segment ends.
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

// measure finds the readable part of a segment. For the last segment it also counts the records, and truncates an
// incomplete frame.
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
		_ = f.Truncate(seg.size) // after an error the incomplete frame stays, and is not read
	}
	return nil
}

// Done returns the number of the first record that is not finished.
func (s *Spool) Done() uint64 { return s.done }

// Next returns the number of the next record to be written.
func (s *Spool) Next() uint64 { return s.next }

// Bytes returns the total size of the files.
func (s *Spool) Bytes() int64 {
	n := int64(ledgerSize)
	for _, seg := range s.segments {
		n += seg.size
	}
	return n
}

// Append writes records, and returns how many of them, from the first on, are in the spool. ErrFull means that the
// next one does not fit yet, ErrTooLarge that it never does. The spool stays usable after any error.
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

// appendSome writes as many records as fit in one segment.
func (s *Spool) appendSome(records [][]byte) (n int, err error) {
	if s.active != nil && s.last().size >= s.segmentBytes {
		if err := s.endSegment(); err != nil {
			return 0, err
		}
	}
	used, offset := s.Bytes(), int64(0)
	if s.active != nil {
		offset = s.last().size
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
		if used+size+int64(frameHeader+len(record)) > s.max || n > 0 && offset+size >= s.segmentBytes {
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

// write appends frames to the active segment, and syncs them with SyncEach.
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

// leaveSegment ends the active segment after an error: the effect of a failed write is unknown, and a second sync
// after a failed one may report success wrongly. Earlier records stay.
func (s *Spool) leaveSegment() {
	_ = s.active.Truncate(s.last().size) // after an error, the next segment's name says where this one ends
	_ = s.active.Close()
	s.active, s.unsynced, s.created = nil, false, false
	if seg := s.last(); seg.size == 0 {
		s.segments = s.segments[:len(s.segments)-1]
		_ = s.fs.remove(seg.name()) // after an error, the next segment has the same name and truncates it
	}
}

// Sync returns when all written records are on disk. After an error their state is unknown; the spool stays usable.
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

// endSegment makes the next record begin a new segment.
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

// Finish marks all records below done as finished: they are not read again, even after a crash, and segments that
// have no others are deleted. After an error it has had no effect.
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

// removeFinished deletes the segments without unfinished records.
func (s *Spool) removeFinished() {
	for len(s.segments) > 0 && s.segments[0].end <= s.done {
		seg := s.segments[0]
		if s.active != nil && len(s.segments) == 1 {
			_ = s.active.Close() // its records are all finished
			s.active, s.unsynced, s.created = nil, false, false
		}
		s.reader.leave(seg)
		if err := s.fs.remove(seg.name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return // the next Finish tries again
		}
		s.segments = s.segments[1:]
	}
}

// Close syncs the written records, except with SyncNever, and unlocks the directory. Unfinished records stay.
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
