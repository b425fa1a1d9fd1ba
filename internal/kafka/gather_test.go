package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"testing"
)

// writes records what is written to it.
type writes struct {
	net.Conn
	parts []int
	all   []byte
	err   error
}

func (w *writes) Write(b []byte) (int, error) {
	w.parts = append(w.parts, len(b))
	w.all = append(w.all, b...)
	return len(b), w.err
}

// A small part of a request goes with the next one; when Write has got the last part, nothing is kept any more.
func TestSmallPartsOfARequestAreKeptForTheNext(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		parts, sent []int // their sizes; 0 in sent: nothing
	}{
		{"whole", []int{100}, []int{100}},
		{"whole and large", []int{keptPart}, []int{keptPart}},
		{"small, large", []int{60, 9000}, []int{0, 9060}},
		{"small, large, small, large, small", []int{60, 9000, 8, 9000, 10}, []int{0, 9060, 0, 9008, 10}},
		{"many small", []int{4, 1, 1, 1}, []int{0, 0, 0, 7}},
		{"large, small", []int{5000, 3}, []int{5000, 3}},
	} {
		var all writes
		c := &gatherConn{Conn: &all}
		for range 2 { // requests
			size := 0
			for _, n := range test.parts {
				size += n
			}
			request := binary.BigEndian.AppendUint32(nil, uint32(size-frameSize))
			for len(request) < size {
				request = append(request, byte(len(request)))
			}
			all.all = nil
			rest, sent := request, []int{}
			for _, n := range test.parts {
				before := len(all.all)
				part := slices.Clone(rest[:n])
				if got, err := c.Write(part); got != n || err != nil {
					t.Fatalf("%s: Write = %d, %v, want %d", test.name, got, err, n)
				}
				clear(part) // the caller may use its memory again
				rest = rest[n:]
				sent = append(sent, len(all.all)-before)
			}
			if !bytes.Equal(all.all, request) || !slices.Equal(sent, test.sent) {
				t.Errorf("%s: sent %v bytes, want %v and what was written", test.name, sent, test.sent)
			}
		}
	}
}

func TestAnErrorOfWhatWasKeptIsThatOfTheNextPart(t *testing.T) {
	t.Parallel()
	broken := &writes{err: errors.New("broken")}
	c := &gatherConn{Conn: broken}
	if _, err := c.Write([]byte{0, 0, 0x40, 0}); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Write(make([]byte, 9000)); n != 0 || !errors.Is(err, broken.err) {
		t.Errorf("Write = %d, %v, want 0 and the connection's error", n, err)
	}
}
