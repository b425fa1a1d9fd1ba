package wire

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"unsafe"
)

const (
	// pieceMemory bounds the memory that the records of one Read take, but for the last of them.
	pieceMemory = 4 << 20
	// recordMemory and headerMemory are what a record and a header take beside their bytes.
	recordMemory = int(unsafe.Sizeof(Record{}))
	headerMemory = int(unsafe.Sizeof(Header{}))
)

// TooLargeError says that the record at Offset, with its headers, takes more memory than is allowed.
type TooLargeError struct {
	Offset int64
	Limit  int // bytes of memory
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("wire: the record at offset %d, with its headers, takes more than %d bytes of memory", e.Offset,
		e.Limit)
}

// RecordReader reads the records of one batch in pieces of bounded memory, however many there are and however well
// they are compressed. The zero value has nothing to read. It is for one goroutine.
type RecordReader struct {
	decoder recordDecoder
	data    []byte   // of the records, unpacked
	packed  unpacked // reads what follows data, where its src is not nil
	piece   int      // bytes of data to unpack next
	left    int      // records
	err     error    // what the next Read returns
}

// Reset begins with a batch, whose records come from origin. What one of its records adds to memory may be limit
// bytes: its headers, and its own bytes where they are to be unpacked.
func (r *RecordReader) Reset(b *Batch, limit int, origin Origin) {
	r.Close()
	r.left = b.Count // 0 when all has been compacted away
	if r.left == 0 {
		return
	}
	c := b.Compression()
	r.decoder = recordDecoder{
		batch: *b, origin: origin, lastDelta: b.LastOffset - b.BaseOffset, logAppend: b.Attributes&attrLogAppend != 0,
		packed: c != None, limit: limit,
	}
	if c == None {
		r.data = b.records
		if r.left > len(r.data)/minRecord {
			r.err = r.corrupt(errCount)
		}
		return
	}
	var err error
	if r.packed, err = unpack(c, b.records, limit); err != nil {
		r.err = r.corrupt(fmt.Errorf("unpacking %s: %w", c, err))
		return
	}
	r.data = r.packed.data
	if r.packed.src == nil && r.left > len(r.data)/minRecord {
		r.err = r.corrupt(errCount)
	}
	r.piece = min(r.packed.size, believedRatio*len(b.records))
	if r.packed.guess {
		r.piece = min(r.packed.size, maxWhole)
	} else if r.piece > maxWhole {
		r.piece = pieceSize
	}
}

// Close lets go of what has not been read.
func (r *RecordReader) Close() {
	r.closePacked()
	*r = RecordReader{}
}

func (r *RecordReader) closePacked() {
	if r.packed.close != nil {
		r.packed.close()
	}
	r.packed = unpacked{}
}

// More reports whether Read has something to return: records, or an error.
func (r *RecordReader) More() bool { return r.left > 0 || r.err != nil }

// Read appends the next records to dst: at most most, fewer if they take much memory, and one at least. When there is
// none it returns io.EOF.
//
// An error comes alone, with dst as it was. A *TooLargeError stands for one record, which has been passed over. After
// a *CorruptError there is nothing more to read.
func (r *RecordReader) Read(dst []Record, most int) ([]Record, error) {
	n := len(dst)
	all := slices.Grow(dst, min(most, r.left, r.decoder.batch.LikelyCount()))
	for memory := 0; r.err == nil && r.left > 0 && len(all)-n < most && memory < pieceMemory; {
		if len(all) == cap(all) {
			all = slices.Grow(all, 1)
		}
		all = all[:len(all)+1]
		size, err := r.read(&all[len(all)-1])
		if err != nil {
			all, r.err = all[:len(all)-1], err
		}
		memory += size
	}
	if r.left == 0 {
		r.closePacked()
		r.data = nil
	}
	if len(all) > n {
		return all, nil
	}
	if err := r.err; err != nil {
		r.err = nil
		return dst, err
	}
	return dst, io.EOF
}

// read reads the next record into to. It returns the memory that has been taken for it.
func (r *RecordReader) read(to *Record) (memory int, err error) {
	body, err := r.body()
	if err == nil {
		memory, err = r.decoder.decode(to, body, r.left)
	}
	if err != nil {
		if _, passed := errors.AsType[*TooLargeError](err); !passed {
			return 0, r.corrupt(fmt.Errorf("record %d: %w", r.decoder.batch.Count-r.left, err))
		}
	}
	r.left--
	return memory, err
}

// corrupt ends reading, as what follows cannot be read.
func (r *RecordReader) corrupt(err error) error {
	r.left = 0
	return &CorruptError{r.decoder.batch.BaseOffset, err}
}

// body takes the next record off data, and returns it without the length before it.
func (r *RecordReader) body() ([]byte, error) {
	size, at := varint(r.data, 0)
	if at < 0 {
		if err := r.fill(0); err != nil {
			return nil, err
		}
		size, at = varint(r.data, 0)
	}
	if at < 0 || size < 0 {
		return nil, errRecord
	}
	if size > int64(len(r.data)-at) {
		r.data = r.data[at:]
		if err := r.unpackRecord(size); err != nil {
			return nil, err
		}
		at = 0
	}
	end := at + int(size)
	body := r.data[at:end:end]
	r.data = r.data[end:]
	return body, nil
}

// unpackRecord unpacks a record of size bytes, of which data has the beginning at most. One that is too large is
// passed over as soon as its beginning tells, so that it is never in memory as a whole.
func (r *RecordReader) unpackRecord(size int64) error {
	for size > int64(len(r.data)) {
		if r.packed.src == nil {
			return errRecord
		}
		if err := r.decoder.tooLarge(r.data, size); err != nil {
			_, discarding := io.CopyN(io.Discard, r.packed.src, size-int64(len(r.data)))
			r.data = nil
			return cmp.Or(discarding, err)
		}
		// Memory grows with what has come, fourfold, whatever the record says of its size.
		if err := r.fill(int(min(size, 4*int64(len(r.data)))) - len(r.data)); err != nil {
			return err
		}
	}
	return nil
}

// fill unpacks a piece of n bytes or more behind what data has. There may be less, or nothing, to come.
func (r *RecordReader) fill(n int) error {
	if r.packed.src == nil {
		return nil
	}
	var err error
	size := max(r.piece, len(r.data)+max(n, minPiece))
	if r.packed.guess && size <= maxWhole {
		buffer := buffers.Get().(*[]byte)
		*buffer = slices.Grow((*buffer)[:0], size)
		piece, unpacking := r.readPiece((*buffer)[:size])
		r.data, err = bytes.Clone(piece), unpacking
		buffers.Put(buffer)
	} else {
		r.data, err = r.readPiece(make([]byte, size))
		if len(r.data) < size*3/4 {
			r.data = bytes.Clone(r.data) // records keep it as long as they are held
		}
	}
	r.piece = min(2*r.piece, pieceSize)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		r.closePacked()
		return nil
	}
	return err
}

// readPiece fills piece with data and what follows it, as far as there is any.
func (r *RecordReader) readPiece(piece []byte) ([]byte, error) {
	have := copy(piece, r.data)
	n, err := io.ReadFull(r.packed.src, piece[have:])
	return piece[:have+n], err
}
