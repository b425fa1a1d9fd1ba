package kafka

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// ConnError says why a broker's address could not be connected to, or did not answer on a connection.
type ConnError struct {
	// Address is where the broker was looked for: host:port.
	Address string
	// Advertised: Address is what the brokers advertise, and none of the configured servers.
	Advertised bool
	// Err is what went wrong.
	Err error

	at time.Time
}

// Error names the address, and says where it comes from if that is not the configuration.
func (e *ConnError) Error() string {
	text := e.Err.Error()
	if !strings.Contains(text, e.Address) {
		text = "broker " + e.Address + ": " + text
	}
	if e.Advertised {
		text += " (" + e.Address + " is none of the configured servers: the brokers advertise it; check their " +
			"advertised.listeners and whether it can be reached from here)"
	}
	return text
}

// Unwrap returns Err.
func (e *ConnError) Unwrap() error { return e.Err }

// LastConnError returns what was last wrong with a connection to a broker that has not answered since; nil when all
// that were asked have. An error that ends a wait for a broker says it, because such an error alone only says how
// long. It does no I/O.
func (c *Client) LastConnError() error {
	if e := c.dialer.lastError(); e != nil {
		return e
	}
	return nil
}

// Unanswered returns why a broker has not answered yet: the last connection error, else which servers were asked. It
// does no I/O.
func (c *Client) Unanswered() error {
	if err := c.LastConnError(); err != nil {
		return err
	}
	return fmt.Errorf("no answer yet from %s", strings.Join(c.dialer.servers, ", "))
}

// endpoint is an address and what was last wrong with it. A nil one is one that was never dialled.
type endpoint struct {
	address    string
	advertised bool
	last       atomic.Pointer[ConnError] // nil: it has answered, or nobody asked

	open              atomic.Int64 // connections
	connects, refused atomic.Uint64
	read, written     atomic.Uint64 // bytes
}

// ConnStats counts the connections to one address since the Client was made. Bytes are those inside of TLS.
type ConnStats struct {
	// Address is host:port.
	Address string
	// Open is how many connections there are now.
	Open int
	// Connects counts the connections that were made, Refused the attempts that made none, TLS included.
	Connects, Refused uint64
	// Read and Written count bytes.
	Read, Written uint64
	// Err is a [*ConnError]: what was last wrong with the address, which has not answered since; nil when it has.
	Err error
}

// Connections returns the counts of each address that was connected to, in the order of the addresses. A broker that
// has left the cluster is not in it any more. It does no I/O.
func (c *Client) Connections() []ConnStats {
	d := c.dialer
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]ConnStats, 0, len(d.peers))
	for _, e := range d.peers {
		s := ConnStats{
			Address: e.address, Open: int(e.open.Load()), Connects: e.connects.Load(), Refused: e.refused.Load(),
			Read: e.read.Load(), Written: e.written.Load(),
		}
		if err := e.failure(); err != nil {
			s.Err = err
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b ConnStats) int { return strings.Compare(a.Address, b.Address) })
	return all
}

func (d *dialer) endpoint(address string) *endpoint {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.peers[address]
	if e == nil {
		e = &endpoint{address: address, advertised: !slices.Contains(d.servers, address)}
		d.peers[address] = e
	}
	return e
}

func (d *dialer) lastError() *ConnError {
	d.mu.Lock()
	defer d.mu.Unlock()
	var last *ConnError
	for _, peer := range d.peers {
		if e := peer.failure(); e != nil && (last == nil || e.at.After(last.at)) {
			last = e
		}
	}
	return last
}

func (e *endpoint) failure() *ConnError {
	if e == nil {
		return nil
	}
	return e.last.Load()
}

// failed records err as the endpoint's last failure, and returns it with the address.
func (e *endpoint) failed(err error) *ConnError {
	failure := &ConnError{Address: e.address, Advertised: e.advertised, Err: err, at: time.Now()}
	e.last.Store(failure)
	return failure
}

// observedConn records at its endpoint whether the broker answers, and counts there.
type observedConn struct {
	net.Conn
	peer   *endpoint
	closed atomic.Bool
}

func newObservedConn(c net.Conn, peer *endpoint) *observedConn {
	peer.connects.Add(1)
	peer.open.Add(1)
	return &observedConn{Conn: c, peer: peer}
}

// Close may be called more than once.
func (c *observedConn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.peer.open.Add(-1)
	}
	return c.Conn.Close()
}

func (c *observedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.peer.read.Add(uint64(n))
	if err == nil {
		if c.peer.last.Load() != nil {
			c.peer.last.Store(nil)
		}
		return n, nil
	}
	return n, c.recordError(err)
}

func (c *observedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.peer.written.Add(uint64(n))
	return n, c.recordError(err)
}

func (c *observedConn) recordError(err error) error {
	if err != nil && !errors.Is(err, net.ErrClosed) { // we have closed it
		_ = c.peer.failed(err) // which is err with the address
	}
	return err
}
