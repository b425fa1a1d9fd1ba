package wire

import "encoding/binary"

// reader reads the protocol's types one after another. After the first that is not there it has failed,
// and all that follow are zero.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) next(n int) []byte {
	if r.failed || n > len(r.b) {
		r.failed, r.b = true, nil
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) int16() int16 {
	if b := r.next(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.next(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.next(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// count returns the length of an array whose elements have at least size bytes each; 0 for null.
func (r *reader) count(size int) int {
	n := int(r.int32())
	if n > len(r.b)/size {
		r.failed = true
	}
	if r.failed || n < 0 {
		return 0
	}
	return n
}

func (r *reader) string() string { return string(r.next(max(int(r.int16()), 0))) }

func (r *reader) bytes() []byte { return r.next(max(int(r.int32()), 0)) }
