package devkafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kfake trusts its clients: it allocates as many bytes as a frame claims, dereferences nil for an unknown request
// key, and loops over as many tags as a request header claims, up to four billion. The guard sits between the socket
// and kfake and checks each request's header before kfake reads it. kfake reads the bodies unchecked: a crafted body
// can still waste CPU time, but not from another machine.
const (
	// The size in front of each frame.
	sizeBytes = 4
	// A frame contains at least the fixed part of a request header: key, version, correlation id.
	minFrame = 8
	// Kafka's default for socket.request.max.bytes.
	maxFrame = 100 << 20
	// The guard accepts tag counts of one byte. No known client sends tags.
	maxTags = 127
)

// errFrame is the reason for which the guard closes a connection.
var errFrame = errors.New("devkafka: not a Kafka request")

// guard is a net.Listener whose connections pass only well-formed frames. shutdown closes all of them and waits until
// kfake has closed them too.
type guard struct {
	net.Listener
	max  int
	idle time.Duration
	done chan struct{} // closed by shutdown

	mu    sync.Mutex
	conns map[*guardedConn]struct{}
	open  sync.WaitGroup // one per connection that kfake has not closed
}

func newGuard(ln net.Listener, max int, idle time.Duration) *guard {
	return &guard{Listener: ln, max: max, idle: idle, done: make(chan struct{}), conns: make(map[*guardedConn]struct{})}
}

// Accept implements net.Listener. It fails only when the listener is closed: kfake stops listening at the first
// error, and a temporary lack of file descriptors must not stop the broker.
func (g *guard) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil:
			select {
			case <-g.done:
				return nil, err
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		if c, ok := g.admit(conn); ok {
			return c, nil
		}
		_ = conn.Close()
	}
}

// admit registers a connection unless there are too many or the guard is shut down.
func (g *guard) admit(conn net.Conn) (*guardedConn, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.done:
		return nil, false
	default:
	}
	if len(g.conns) >= g.max {
		return nil, false
	}
	c := &guardedConn{Conn: conn, guard: g}
	g.conns[c] = struct{}{}
	g.open.Add(1)
	return c, true
}

// shutdown closes the listener and every connection, and waits until all are closed. It may be called again.
func (g *guard) shutdown() {
	g.mu.Lock()
	select {
	case <-g.done:
	default:
		close(g.done)
	}
	conns := make([]*guardedConn, 0, len(g.conns))
	for c := range g.conns {
		conns = append(conns, c)
	}
	g.mu.Unlock()
	_ = g.Listener.Close() // kfake has closed it already
	for _, c := range conns {
		_ = c.Close()
	}
	g.open.Wait()
}

// guardedConn checks the header of each frame that is read. kfake reads with one goroutine and writes with another;
// only the reading one uses head and body.
type guardedConn struct {
	net.Conn
	guard *guard
	once  sync.Once

	buf  []byte // holds the header
	head []byte // the part of buf that Read has not returned yet
	body int    // bytes of the frame behind the header that Read has not returned yet
}

// Read implements net.Conn. It returns no byte of a frame with an invalid header.
func (c *guardedConn) Read(p []byte) (int, error) {
	if len(c.head) == 0 && c.body == 0 {
		if err := c.readHead(); err != nil {
			return 0, err
		}
	}
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	if len(p) > c.body {
		p = p[:c.body]
	}
	if err := c.Conn.SetReadDeadline(time.Now().Add(c.guard.idle)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	c.body -= n
	return n, err
}

// readHead reads size, key, version, correlation id and, in flexible versions, client id and the number of tags.
func (c *guardedConn) readHead() error {
	if err := c.Conn.SetReadDeadline(time.Now().Add(c.guard.idle)); err != nil {
		return err
	}
	c.buf, c.body = c.buf[:0], sizeBytes
	prefix, err := c.readAhead(sizeBytes)
	if err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(prefix)
	if size < minFrame || size > maxFrame {
		return fmt.Errorf("%w: a frame of %d bytes", errFrame, size)
	}
	c.body = int(size)
	fixed, err := c.readAhead(minFrame)
	if err != nil {
		return err
	}
	key, version := int16(binary.BigEndian.Uint16(fixed)), int16(binary.BigEndian.Uint16(fixed[2:]))
	request := kmsg.RequestForKey(key)
	if version < 0 || request == nil {
		return fmt.Errorf("%w: key %d, version %d", errFrame, key, version)
	}
	if request.SetVersion(version); request.IsFlexible() {
		if err := c.readFlexibleHead(); err != nil {
			return err
		}
	}
	c.head = c.buf
	return nil
}

// readFlexibleHead reads the rest of the header of a flexible version.
func (c *guardedConn) readFlexibleHead() error {
	length, err := c.readAhead(2)
	if err != nil {
		return err
	}
	if n := int16(binary.BigEndian.Uint16(length)); n > 0 { // -1: no client id
		if _, err := c.readAhead(int(n)); err != nil {
			return err
		}
	}
	tags, err := c.readAhead(1)
	if err != nil {
		return err
	}
	if tags[0] > maxTags {
		return fmt.Errorf("%w: more than %d tags", errFrame, maxTags)
	}
	return nil
}

// readAhead reads n bytes of the frame into buf and returns them; they are valid until the next call.
func (c *guardedConn) readAhead(n int) ([]byte, error) {
	if n > c.body {
		return nil, fmt.Errorf("%w: a frame that ends in its head", errFrame)
	}
	old := len(c.buf)
	c.buf = slices.Grow(c.buf, n)[:old+n]
	if _, err := io.ReadFull(c.Conn, c.buf[old:]); err != nil {
		return nil, err
	}
	c.body -= n
	return c.buf[old:], nil
}

// Close implements net.Conn.
func (c *guardedConn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		err = c.Conn.Close()
		c.guard.mu.Lock()
		delete(c.guard.conns, c)
		c.guard.mu.Unlock()
		c.guard.open.Done()
	})
	return err
}
