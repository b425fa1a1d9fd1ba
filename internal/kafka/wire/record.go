package wire

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// Record is one record as it was read. Key, Value and the headers' values are views into what the
// response has for the partition, or into the unpacked batch. Nobody writes to that again: they stay
// valid, and keep that memory alive, for as long as they are held.
//
// The fields are those of bus.Record, in this order: the record that a handler gets is this one, converted.
type Record struct {
	Stream     string // the topic without its prefix
	Topic      string
	Partition  int
	Offset     int64
	Key, Value []byte // nil = null
	Headers    []Header
	Time       time.Time // in milliseconds
}

// Memory returns about how many bytes a record keeps in memory.
func (r *Record) Memory() int {
	n := recordMemory + len(r.Key) + len(r.Value) + len(r.Headers)*headerMemory
	for i := range r.Headers {
		n += len(r.Headers[i].Name) + len(r.Headers[i].Value)
	}
	return n
}

// Origin is where the records of a batch come from.
type Origin struct {
	Stream, Topic string
	Partition     int
}

var (
	errRecord  = errors.New("malformed record")
	errHeaders = errors.New("malformed record headers")
)

// Records appends all records of the batch to dst, each of which may take limit bytes of memory, as in
// [RecordReader.Reset]. On an error dst comes back as it was.
func (b *Batch) Records(dst []Record, limit int) ([]Record, error) {
	var r RecordReader
	r.Reset(b, limit, Origin{})
	defer r.Close()
	for all := dst; ; {
		var err error
		switch all, err = r.Read(all, b.Count); {
		case err == io.EOF:
			return all, nil
		case err != nil:
			return dst, err
		}
	}
}

// recordDecoder reads the records of one batch.
type recordDecoder struct {
	batch     Batch
	origin    Origin
	lastDelta int64
	logAppend bool
	packed    bool     // the bytes of records have been unpacked, and are memory of their own
	limit     int      // bytes of memory that a record may take
	last      []Header // of the record before: equal names share one string
	slab      []Header // room for the headers of records to come
}

// decode reads the record whose body is b into r, which may hold an older one, and returns the memory that it takes.
// left is the number of records that are left in the batch, this one included.
func (d *recordDecoder) decode(r *Record, b []byte, left int) (memory int, err error) {
	if len(b) == 0 {
		return 0, errRecord
	}
	timeDelta, at := varint(b, 1) // after the attributes
	if at < 0 {
		return 0, errRecord
	}
	offsetDelta, at := varint(b, at)
	if at < 0 || offsetDelta < 0 || offsetDelta > d.lastDelta {
		return 0, errRecord
	}
	r.Stream, r.Topic, r.Partition = d.origin.Stream, d.origin.Topic, d.origin.Partition
	r.Offset = d.batch.BaseOffset + offsetDelta
	ms := d.batch.BaseTime + timeDelta
	if d.logAppend {
		ms = d.batch.MaxTime
	}
	r.Time = time.UnixMilli(ms)
	if r.Key, at = nullable(b, at); at < 0 {
		return 0, errRecord
	}
	if r.Value, at = nullable(b, at); at < 0 {
		return 0, errRecord
	}
	n, at := varint(b, at)
	if at < 0 || n < 0 || n > int64(len(b)-at)/2 {
		return 0, errHeaders
	}
	memory = recordMemory + int(n)*headerMemory
	if d.packed {
		memory += len(b)
	}
	if memory > d.limit {
		return 0, &TooLargeError{r.Offset, d.limit}
	}
	r.Headers = nil
	if n > 0 {
		err = d.headers(r, b[at:], int(n), left)
	}
	return memory, err
}

// tooLarge returns a *TooLargeError for a record of size bytes, still to be unpacked, if its beginning, b, tells that
// it takes too much memory.
func (d *recordDecoder) tooLarge(b []byte, size int64) error {
	_, at := varint(b, 1)
	offsetDelta, at := varint(b, at)
	switch {
	case at < 0 && len(b) <= 1+2*maxVarint:
		return nil // not yet
	case at < 0 || offsetDelta < 0 || offsetDelta > d.lastDelta:
		return errRecord
	}
	_, at = nullable(b, at)
	_, at = nullable(b, at)
	headers, at := varint(b, at)
	if at < 0 || headers < 0 {
		headers = 0
	}
	free := int64(d.limit-recordMemory) - size
	if headers > free/int64(headerMemory) || free < 0 {
		return &TooLargeError{d.batch.BaseOffset + offsetDelta, d.limit}
	}
	return nil
}

// headers reads the n headers in b into r.
func (d *recordDecoder) headers(r *Record, b []byte, n, left int) error {
	if n > len(d.slab) {
		// Records of a batch are mostly alike: room for as many headers in each, as far as the bytes
		// of this batch could hold them.
		d.slab = make([]Header, max(n, min(n*left, len(d.batch.records), 4096)))
	}
	headers := d.slab[:n:n]
	d.slab = d.slab[n:]
	at := 0
	for i := range headers {
		var name []byte
		if name, at = nullable(b, at); at < 0 || name == nil {
			return errHeaders
		}
		if headers[i].Value, at = nullable(b, at); at < 0 {
			return errHeaders
		}
		if i < len(d.last) && d.last[i].Name == string(name) {
			headers[i].Name = d.last[i].Name
		} else {
			headers[i].Name = string(name)
		}
	}
	d.last, r.Headers = headers, headers
	return nil
}

// nullable reads a length and that many bytes from b[at:], and returns where it ended; -1 when they are
// not there. The length -1 is nil.
func nullable(b []byte, at int) ([]byte, int) {
	n, at := varint(b, at)
	switch {
	case at < 0 || n < -1 || n > int64(len(b)-at):
		return nil, -1
	case n < 0:
		return nil, at
	}
	end := at + int(n)
	return b[at:end:end], end
}

// varint reads a zigzag varint from b[at:], and returns where it ended; -1 when there is none. Nearly all
// have one byte or two.
func varint(b []byte, at int) (int64, int) {
	if uint(at) >= uint(len(b)) {
		return 0, -1
	}
	u := uint64(b[at])
	if u >= 0x80 {
		if at+1 >= len(b) || b[at+1] >= 0x80 {
			return longVarint(b, at)
		}
		u = u&0x7f | uint64(b[at+1])<<7
		at++
	}
	return int64(u>>1) ^ -int64(u&1), at + 1
}

func longVarint(b []byte, at int) (int64, int) {
	v, n := binary.Varint(b[at:])
	if n <= 0 {
		return 0, -1
	}
	return v, at + n
}
