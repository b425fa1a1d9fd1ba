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
		text += " (" + e.Address + " is none of the configured servers: the brokers advertise it; check their advertised.listeners" +
			" and whether it can be reached from here)"
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

// failed keeps err as what is wrong with the address, and returns it with the address.
func (e *endpoint) failed(err error) *ConnError {
	failure := &ConnError{Address: e.address, Advertised: e.advertised, Err: err, at: time.Now()}
	e.last.Store(failure)
	return failure
}

// observedConn notes at its endpoint whether the broker answers.
type observedConn struct {
	net.Conn
	peer *endpoint
}

func (c *observedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil {
		if c.peer.last.Load() != nil {
			c.peer.last.Store(nil)
		}
		return n, nil
	}
	return n, c.note(err)
}

func (c *observedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.note(err)
}

func (c *observedConn) note(err error) error {
	if err != nil && !errors.Is(err, net.ErrClosed) { // we have closed it
		_ = c.peer.failed(err) // which is err with the address
	}
	return err
}
