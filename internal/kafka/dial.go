package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// connectTimeout bounds one TCP connection: a host that swallows packets must not use up the time of those behind it.
	connectTimeout = 3 * time.Second
	// dialTimeout bounds TCP, TLS, ApiVersions together, and then SASL.
	dialTimeout = 5 * time.Second
)

// bootstrap is the address of "any broker". The Transport keeps one pool per address; it sees this constant, and the
// dialer chooses a broker for it, so that brokers that were learnt of later can stand in for configured ones that are
// gone.
type bootstrap struct{}

func (bootstrap) Network() string { return "tcp" }
func (bootstrap) String() string  { return "bootstrap:0" }

// dialer opens the connections of one Client and knows which are open, so that Close can end them and wait for their
// end: kafka-go lets a connection that is in use go on until its request is answered.
type dialer struct {
	servers []string
	tls     *tls.Config // nil for plain text

	mu     sync.Mutex
	known  []string             // addresses of the last snapshot of the cluster
	peers  map[string]*endpoint // every address that was dialled, but those that are gone
	open   map[*conn]struct{}
	closed bool
	wg     sync.WaitGroup // a count per connection, and per dial under way
}

func newDialer(servers []string, config *tls.Config) *dialer {
	return &dialer{servers: servers, tls: config, peers: make(map[string]*endpoint), open: make(map[*conn]struct{})}
}

// learn remembers where the brokers of the cluster are, and forgets the errors of those that have gone.
func (d *dialer) learn(addresses []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Equal(d.known, addresses) {
		return
	}
	d.known = addresses
	for address := range d.peers {
		if !slices.Contains(d.servers, address) && !slices.Contains(addresses, address) {
			delete(d.peers, address)
		}
	}
}

// candidates returns the addresses to try for address: for the bootstrap address the configured servers in random
// order (not every client should start at the first), then the other brokers that are known; but the ones that have
// failed, and not answered since, come last, those that failed first before the others.
func (d *dialer) candidates(address string) []string {
	if address != (bootstrap{}).String() {
		return []string{address}
	}
	shuffle := func(s []string) []string {
		s = slices.Clone(s)
		rand.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
		return s
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	all := shuffle(d.servers)
	for _, address := range shuffle(d.known) {
		if !slices.Contains(all, address) {
			all = append(all, address)
		}
	}
	failed := make(map[string]time.Time) // zero: has not
	for _, address := range all {
		if e := d.peers[address].failure(); e != nil {
			failed[address] = e.at
		}
	}
	slices.SortStableFunc(all, func(a, b string) int { return failed[a].Compare(failed[b]) })
	return all
}

// dial is the Transport's Dial.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := d.reserve(); err != nil {
		return nil, err
	}
	candidates := d.candidates(address)
	if len(candidates) > 1 {
		return d.admit(newRace(ctx, d, candidates))
	}
	c, err := d.connect(ctx, candidates[0])
	if err != nil {
		d.wg.Done()
		return nil, err
	}
	return d.admit(c)
}

// connect opens one connection, secured when that is configured.
func (d *dialer) connect(ctx context.Context, address string) (net.Conn, error) {
	peer := d.endpoint(address)
	c, err := d.secure(ctx, address)
	if err != nil {
		peer.refused.Add(1)
		if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, peer.failed(err)
		}
		return nil, err
	}
	return newObservedConn(&gatherConn{Conn: c}, peer), nil
}

// errNoTLS is what a listener without TLS looks like: it takes the first bytes of the handshake for a request's length.
var errNoTLS = errors.New("the broker closed the connection during the handshake, as a listener without TLS does" +
	" (give the port of a listener with TLS, or set security_protocol to SASL_PLAINTEXT or PLAINTEXT)")

func (d *dialer) secure(ctx context.Context, address string) (net.Conn, error) {
	plain, err := (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, "tcp", address)
	if err != nil || d.tls == nil {
		return plain, err
	}
	config := d.tls.Clone()
	if config.ServerName == "" { // else the application checks another name than that of the address
		if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
			plain.Close()
			return nil, err
		}
	}
	secure := tls.Client(plain, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		plain.Close()
		if isLost(err) {
			err = fmt.Errorf("%w: %w", errNoTLS, err)
		}
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	return secure, nil
}

func (d *dialer) reserve() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	d.wg.Add(1)
	return nil
}

// admit hands a connection over to kafka-go, with the count that begin took.
func (d *dialer) admit(nc net.Conn) (net.Conn, error) {
	c := &conn{Conn: nc, owner: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		nc.Close()
		d.wg.Done()
		return nil, ErrClosed
	}
	d.open[c] = struct{}{}
	return c, nil
}

// close cuts every connection and waits until kafka-go has let go of all of them. No dial succeeds afterwards.
func (d *dialer) close() {
	d.mu.Lock()
	d.closed = true
	for c := range d.open {
		c.Conn.Close() // not c.Close: that is for kafka-go to call, when its goroutine ends
	}
	d.mu.Unlock()
	d.wg.Wait()
}

// conn is a connection that the dialer keeps account of.
type conn struct {
	net.Conn
	owner *dialer
	once  sync.Once
}

// Close is called by kafka-go when the goroutine of the connection ends.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.owner.mu.Lock()
		delete(c.owner.open, c)
		c.owner.mu.Unlock()
		c.owner.wg.Done()
	})
	return err
}

// SetDeadline never leaves the connection without a deadline. kafka-go clears it before it authenticates, and a broker
// that hangs there would keep a goroutine and the connection for ever. An idle connection does not mind: each request
// sets its own.
func (c *conn) SetDeadline(t time.Time) error {
	if t.IsZero() {
		t = time.Now().Add(dialTimeout)
	}
	return c.Conn.SetDeadline(t)
}
