package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// Client is an application's connection to one cluster: one Transport, whose connections and metadata are shared by all
// that produces, fetches and administers. Its methods may be called by many goroutines at once. It has goroutines and
// connections from the first request until Close.
type Client struct {
	settings  Settings
	logger    *slog.Logger
	transport *kafkago.Transport
	dialer    *dialer
	login     *login // nil without SASL

	ctx    context.Context // ends at Close
	cancel context.CancelFunc

	// pools counts how often the pooled connections were dropped: a request that was lost on a connection of an earlier
	// count says nothing about today's.
	pools atomic.Uint64
	// reached is set when a broker has answered for the first time.
	reached atomic.Bool
	// warnedPassword is set while the log has a warning of an outage that is not over.
	warnedPassword atomic.Bool

	watcher  *watcher
	creating flights
}

// NewClient makes a Client for the brokers at servers ("host:port"; one that answers is enough to find the others). It
// reads the certificate files that s names, and connects to nothing yet. A nil logger discards.
func NewClient(servers []string, s Settings, logger *slog.Logger) (*Client, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if err := checkServers(servers); err != nil {
		return nil, err
	}
	config, err := tlsConfig(s)
	if err != nil {
		return nil, err
	}
	mechanism, err := saslMechanismOf(s)
	if err != nil {
		return nil, err
	}
	if s.SecurityProtocol == SASLPlaintext {
		logger.Warn("kafka: SASL_PLAINTEXT sends records, and with PLAIN the password too, in the clear; use SASL_SSL " +
			"where the network is not your own")
	}
	if config != nil && !s.CheckHostname {
		logger.Warn("kafka: ssl_check_hostname is off: any certificate of the authority passes for any broker")
	}
	c := &Client{
		settings: s,
		logger:   logger,
		dialer:   newDialer(slices.Clone(servers), config),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if mechanism != nil {
		c.login = &login{Mechanism: mechanism}
		mechanism = c.login
	}
	c.transport = &kafkago.Transport{
		Dial:        c.dialer.dial, // with TLS, where that is configured
		DialTimeout: min(dialTimeout, s.RequestTimeout),
		IdleTimeout: s.ConnectionsMaxIdle,
		// The Transport routes by the brokers alone; of topics only we know (watch.go). It asks for the brokers anew
		// when an answer of ours has others, so its own age matters little.
		MetadataTopics: []string{},
		MetadataTTL:    brokersAge,
		ClientID:       s.ClientID,
		SASL:           mechanism,
		Context:        c.ctx,
	}
	c.watcher = newWatcher(c)
	return c, nil
}

// brokersAge bounds the age of the Transport's list of brokers, and is its time limit for asking.
const brokersAge = 10 * time.Second

// checkServers refuses what could not be dialled later. It never prints what stands before an "@".
func checkServers(servers []string) error {
	if len(servers) == 0 {
		return errors.New("kafka: no servers: name at least one broker as host:port")
	}
	var errs []error
	for _, server := range servers {
		if !IsServer(server) {
			if at := strings.LastIndexByte(server, '@'); at >= 0 {
				server = redacted + server[at:]
			}
			errs = append(errs, fmt.Errorf("kafka: server %q: want host:port, like localhost:9092", server))
		}
	}
	return errors.Join(errs...)
}

// IsServer reports whether server is host:port, with a number from 1 to 65535 as its port.
func IsServer(server string) bool {
	host, port, err := net.SplitHostPort(server)
	n, notNumber := strconv.ParseUint(port, 10, 16)
	return err == nil && notNumber == nil && n > 0 && host != "" && !strings.ContainsAny(host, "/@, \t\n")
}

// Settings returns what the Client was made with.
func (c *Client) Settings() Settings { return c.settings }

// RoundTrip sends one message, once, and returns its response. It takes no longer than timeout (0 or less:
// RequestTimeout of the settings), whatever ctx allows, and no longer than ctx allows.
//
// An error tells through [Classify] what to do about it. After one the exchange may still go on: neither msg nor any
// buffer it refers to may be used again. When a connection was lost the idle ones are dropped, because after a restart
// of a broker each of them would fail one request.
func (c *Client) RoundTrip(ctx context.Context, msg protocol.Message, timeout time.Duration) (protocol.Message, error) {
	response, err := c.roundTrip(ctx, msg, timeout)
	if err != nil {
		if ctx.Err() == nil && Classify(err).Retriable() {
			c.watcher.refresh() // the broker may be gone, and its partitions led by others
		}
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return response, nil
}

// roundTrip is RoundTrip for those in this package who say themselves what they were doing.
func (c *Client) roundTrip(ctx context.Context, msg protocol.Message, timeout time.Duration) (protocol.Message, error) {
	if c.ctx.Err() != nil {
		return nil, ErrClosed
	}
	if timeout <= 0 {
		timeout = c.settings.RequestTimeout
	}
	attempt, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stop := context.AfterFunc(c.ctx, cancel)
	defer stop()

	pool := c.pools.Load()
	response, err := c.exchange(attempt, msg)
	if err == nil {
		c.reached.Store(true)
		return response, nil
	}
	if deadline, ok := attempt.Deadline(); ok && errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(deadline) {
		// The connection has the deadline of the attempt, and its timer may fire first. Without this wait the end of the
		// caller's context would be taken for a failure of the broker.
		<-attempt.Done()
	}
	err = c.explain(ctx, attempt, err, timeout)
	c.login.recordError(err)
	if isLost(err) || errors.Is(err, ErrAuth) {
		// After a refused login the pool would go on trying, twice a second, until the account is locked.
		c.drop(pool)
	}
	return nil, fmt.Errorf("%s: %w", msg.ApiKey(), err)
}

// exchange is the Transport's RoundTrip. A broker's answer can make kafka-go panic while it routes and merges.
func (c *Client) exchange(ctx context.Context, msg protocol.Message) (response protocol.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			response, err = nil, fmt.Errorf("kafka-go panicked: %v", p)
		}
	}()
	return c.transport.RoundTrip(ctx, bootstrap{}, msg)
}

// explain turns what the Transport returned into what happened.
func (c *Client) explain(ctx, attempt context.Context, err error, timeout time.Duration) error {
	switch {
	case c.ctx.Err() != nil:
		return ErrClosed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case attempt.Err() != nil:
		// Not context.DeadlineExceeded: callers take that for the end of their own context.
		return fmt.Errorf("no answer within %s: %w%s", timeout, os.ErrDeadlineExceeded, c.connHint())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		// A time limit of the Transport's own, for connecting or for metadata.
		return fmt.Errorf("%w: %v%s", os.ErrDeadlineExceeded, err, c.connHint())
	case Classify(err) == Moved:
		// The Transport knows no such broker: often because it cannot connect to the one that could tell.
		return fmt.Errorf("%w%s", err, c.connHint())
	case isTLS(err):
		return fmt.Errorf("%w: %w", ErrAuth, err)
	}
	if code, ok := errors.AsType[CodeError](err); ok && !errors.Is(err, ErrAuth) && classOfCode(code) == Denied {
		return fmt.Errorf("%w: %w%s", ErrAuth, err, c.authHint(code))
	}
	if !c.reached.Load() && !errors.Is(err, errNoTLS) && isLost(err) {
		return fmt.Errorf("the broker closed the connection (does this listener want SASL or TLS, or refuse the login? "+
			"security_protocol is %s): %w", c.settings.SecurityProtocol, err)
	}
	return err
}

// connHint says what was last wrong with a connection, for errors that only know how long they waited, or that a
// broker is not known.
func (c *Client) connHint() string {
	if e := c.dialer.lastError(); e != nil {
		return "; the last connection error: " + e.Error()
	}
	return ""
}

func (c *Client) authHint(code CodeError) string {
	switch code {
	case kafkago.SASLAuthenticationFailed:
		if c.settings.SASL != nil {
			return " (check what Config.SASL gives: mechanism " + c.settings.SASLMechanism + ")"
		}
		return " (check sasl_mechanism, sasl_plain_username and sasl_plain_password)"
	case kafkago.UnsupportedSASLMechanism:
		return fmt.Sprintf(" (the listener does not offer sasl_mechanism %s)", c.settings.SASLMechanism)
	case kafkago.IllegalSASLState:
		return fmt.Sprintf(" (the listener does not want SASL; security_protocol is %s)", c.settings.SecurityProtocol)
	}
	return ""
}

// DropIdle closes the idle connections; those in use are closed when their request is done. The next request connects
// anew.
func (c *Client) DropIdle() { c.drop(c.pools.Load()) }

// drop is DropIdle, unless that has happened since pool was read: one broken broker fails many requests at once.
func (c *Client) drop(pool uint64) {
	if c.pools.CompareAndSwap(pool, pool+1) {
		c.transport.CloseIdleConnections()
	}
}

// Close ends requests that are under way with [ErrClosed], closes every connection and waits for their goroutines to
// end. Calling it again does nothing.
func (c *Client) Close() {
	c.cancel()
	c.DropIdle()
	c.dialer.close()
	c.watcher.close()
}
