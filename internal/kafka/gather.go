package kafka

import (
	"encoding/binary"
	"net"
)

// gatherConn sends a request that is written in parts with fewer system calls: each of them wakes the broker, which
// finds a few bytes and waits again. A part that is small and not the last one is kept, and goes with the next one.
// It knows by Kafka's framing where a request ends: each begins with the size of what follows. It is for one writer
// at a time.
type gatherConn struct {
	net.Conn
	left int    // bytes of the request that were not given to Write yet
	kept []byte // not sent yet; empty when left is 0
}

const (
	frameSize = 4       // of the size that a request begins with
	keptPart  = 4 << 10 // larger parts are sent at once
)

// Write implements net.Conn.
func (c *gatherConn) Write(b []byte) (int, error) {
	if c.left == 0 && len(b) >= frameSize {
		c.left = frameSize + int(binary.BigEndian.Uint32(b))
	}
	c.left = max(0, c.left-len(b))
	if c.left > 0 && len(b) < keptPart {
		c.kept = append(c.kept, b...)
		return len(b), nil
	}
	if len(c.kept) == 0 {
		return c.Conn.Write(b)
	}
	kept := int64(len(c.kept))
	parts := net.Buffers{c.kept, b}
	n, err := parts.WriteTo(c.Conn) // one call of writev(2), unless there is TLS
	c.kept = c.kept[:0]
	return int(max(0, n-kept)), err
}
