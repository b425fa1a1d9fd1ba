package wire

import (
	"bufio"
	"errors"
	"io"
	"slices"
)

const (
	// readAhead is how much a stream reads at once where it reads fields.
	readAhead = 4 << 10
	// believed is how many bytes a length is believed without any of them having been seen. Beyond that,
	// memory grows with what arrives, fourfold.
	believed = 4 << 20
)

var errLength = errors.New("a count or a length in it exceeds its bytes")

// stream reads an answer as it arrives. After an error, which err is then, all that follows is zero.
type stream struct {
	src    *bufio.Reader
	left   int     // bytes of the answer that are still to be read
	memory *Memory // for bytes; may be nil
	err    error
}

// newStream returns a stream of the next size bytes of src. It takes no byte beyond them.
func newStream(src io.Reader, size int) *stream {
	return &stream{src: bufio.NewReaderSize(io.LimitReader(src, int64(size)), readAhead), left: size}
}

// has takes n off what is left. It reports whether there is as much.
func (s *stream) has(n int) bool {
	if s.err == nil && n > s.left {
		s.err = errLength
	}
	if s.err != nil {
		return false
	}
	s.left -= n
	return true
}

// fields returns a reader of the next n bytes, at most readAhead. It is good until the stream is read on.
func (s *stream) fields(n int) reader {
	if !s.has(n) {
		return reader{failed: true}
	}
	b, err := s.src.Peek(n)
	if err != nil {
		s.err = err
		return reader{failed: true}
	}
	_, _ = s.src.Discard(n) // what has been seen is there
	return reader{b: b}
}

// count returns n, the length of an array whose elements have at least size bytes each; -1 for null.
func (s *stream) count(n int32, size int) int {
	if s.err == nil && int(n) > s.left/size {
		s.err = errLength
	}
	if s.err != nil {
		return 0
	}
	return int(n)
}

// bytes reads n bytes into memory of their own; nil where n is 0, or -1 for null.
func (s *stream) bytes(n int) []byte {
	if n <= 0 || !s.has(n) {
		return nil
	}
	// A make that is not followed by a copy: the compiler joins the two, and the runtime then clears memory that the
	// operating system has cleared already.
	b := s.memory.get(min(n, believed))
	for read := 0; ; {
		if _, s.err = io.ReadFull(s.src, b[read:]); s.err != nil {
			return nil
		}
		if read = len(b); read == n {
			return slices.Clip(b)
		}
		b = append(b, make([]byte, min(n, 4*read)-read)...)
	}
}

// skip passes over n bytes.
func (s *stream) skip(n int) {
	if s.has(n) {
		_, s.err = io.CopyN(io.Discard, s.src, int64(n))
	}
}

// end passes what is left of the answer, so that the connection stands at the next one, and returns the
// stream's error.
func (s *stream) end() error {
	s.skip(s.left)
	return s.err
}
