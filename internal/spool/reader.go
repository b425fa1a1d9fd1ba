package spool

import (
	"errors"
	"fmt"
	"io/fs"
)

// reader is the position up to which a spool was read.
type reader struct {
	next     uint64 // number of the next record to return
	segment  *segment
	file     file // nil: the segment is not open
	at       uint64
	offset   int64 // of the frame with number at
	failures int   // consecutive read errors
	data     []byte
}

// Batch is the result of Read.
type Batch struct {
	// First is the number of the first record; the others follow without a gap.
	First uint64
	// Records are valid until the next call of Read.
	Records [][]byte
	// Lost is the number of records before First that are damaged or missing.
	Lost uint64
}

// readFailures is the number of consecutive errors after which an unreadable position counts as damaged.
const readFailures = 3

// Read returns the next records: at most n and about maxBytes, at least one; none when all were returned. After an
// error the caller calls it again later: the third consecutive error makes Read skip the unreadable records as
// damaged.
func (s *Spool) Read(n, maxBytes int) (b Batch, err error) {
	r := &s.reader
	for r.next < s.next {
		i := 0
		for i < len(s.segments) && s.segments[i].end <= r.next {
			i++
		}
		seg := s.segments[i]
		if seg.first > r.next { // a segment is missing
			b.Lost += seg.first - r.next
			r.next = seg.first
		}
		b.First = r.next
		if b.Records, err = s.readSegment(seg, n, maxBytes); err != nil {
			r.failures++
			if r.failures < readFailures && !errors.Is(err, fs.ErrNotExist) {
				return b, fmt.Errorf("reading %s: %w", seg.name(), err)
			}
		}
		r.failures = 0
		if len(b.Records) > 0 {
			r.next += uint64(len(b.Records))
			return b, nil
		}
		b.Lost += seg.end - r.next
		r.next = seg.end
		if s.active != nil && seg == s.last() {
			s.leaveSegment()
		}
	}
	b.First = r.next
	return b, nil
}

// readSegment returns records of one segment; none when the next one is damaged.
func (s *Spool) readSegment(seg *segment, most, maxBytes int) (records [][]byte, err error) {
	r := &s.reader
	if r.segment != seg {
		r.close()
		r.segment, r.at, r.offset = seg, seg.first, 0
	}
	if r.file == nil {
		if r.file, _, err = s.fs.read(seg.name()); err != nil {
			return nil, err
		}
	}
	for want := max(maxBytes, frameHeader); ; {
		data, err := r.load(min(int64(want), seg.size-r.offset))
		if err != nil {
			return nil, err
		}
		whole := false // data has at least one whole frame
		for r.at < seg.end && len(records) < most {
			record, number, n := parseFrame(data)
			if n > len(data) && int64(n) <= seg.size-r.offset { // there is more to load
				if !whole {
					want = n
				}
				break
			}
			if n == frameCorrupt || n > len(data) || number != r.at {
				return records, nil
			}
			if r.at >= r.next {
				records = append(records, record)
			}
			whole = true
			r.at, r.offset, data = r.at+1, r.offset+int64(n), data[n:]
		}
		if len(records) > 0 || r.at >= seg.end {
			return records, nil
		}
	}
}

// load reads n bytes at the offset.
func (r *reader) load(n int64) ([]byte, error) {
	if int64(cap(r.data)) < n {
		r.data = make([]byte, n)
	}
	data := r.data[:n]
	if k, err := r.file.ReadAt(data, r.offset); k < len(data) {
		return nil, err
	}
	return data, nil
}

// leave closes the segment before it is deleted.
func (r *reader) leave(seg *segment) {
	if r.segment == seg {
		r.close()
		r.segment = nil
	}
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}
