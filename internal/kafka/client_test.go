package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/apiversions"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// silence makes a broker read requests of one kind and never answer.
func silence(cluster *kfake.Cluster, key int16) {
	cluster.ControlKey(key, func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		return nil, nil, true
	})
}

func TestNewClientChecksServers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		servers []string
		want    string
	}{
		{"none", nil, "name at least one broker"},
		{"no port", []string{"localhost"}, `server "localhost": want host:port`},
		{"no host", []string{":9092"}, "want host:port"},
		{"port 0", []string{"localhost:0"}, "want host:port"},
		{"port too large", []string{"localhost:65536"}, "want host:port"},
		{"port name", []string{"localhost:kafka"}, "want host:port"},
		{"two in one", []string{"a:9092,b:9092"}, "want host:port"},
		{"URL", []string{"kafka://localhost:9092"}, "want host:port"},
		{"URL with a password", []string{"kafka://ada:" + canary + "@localhost:9092"}, "[redacted]@localhost:9092"},
		{"the second", []string{"localhost:9092", "x"}, `server "x"`},
		{"good", []string{"localhost:9092", "[::1]:9092", "10.0.0.1:1"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client, err := NewClient(test.servers, DefaultSettings(), nil)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				client.Close()
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want it to have %q", err, test.want)
			}
			refuse(t, "the error", err.Error())
		})
	}
}

// After a restart of a broker every pooled connection is stale. The first request finds out and drops the others; the
// second one passes.
func TestStaleConnectionsFailOneRequest(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t)
	client := connect(t, quick(), proxy.addrs...)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if _, err := client.RoundTrip(t.Context(), new(apiversions.Request), 0); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	testkit.Until(t, "several connections", func() bool { return proxy.open() > 1 })
	proxy.cut()

	failed := 0
	for {
		_, err := client.RoundTrip(t.Context(), new(apiversions.Request), 0)
		if err == nil {
			break
		}
		if failed++; Classify(err) != Transient || failed > 2 {
			t.Fatalf("request %d after the cut: %v", failed, err)
		}
	}
}

// proxy is a broker whose connections a test can cut.
type proxy struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	addrs []string
}

func newProxy(t *testing.T) *proxy {
	p := &proxy{conns: make(map[net.Conn]bool)}
	cluster := fake(t, kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		return proxyListener{l, p}, err
	}))
	p.addrs = cluster.ListenAddrs()
	return p
}

type proxyListener struct {
	net.Listener
	proxy *proxy
}

func (l proxyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.proxy.mu.Lock()
		l.proxy.conns[c] = true
		l.proxy.mu.Unlock()
	}
	return c, err
}

func (p *proxy) open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// Close ends requests that hang, and leaves neither goroutines nor connections, even in the middle of a login.
func TestCloseLeavesNothing(t *testing.T) {
	for _, test := range []struct {
		name    string
		silent  int16
		options []kfake.Opt
	}{
		{"idle", -1, nil},
		{"hanging request", kmsg.DescribeCluster.Int16(), nil},
		{"hanging metadata", kmsg.Metadata.Int16(), nil},
		{"hanging connect", kmsg.ApiVersions.Int16(), nil},
		{"hanging login", kmsg.SASLHandshake.Int16(), []kfake.Opt{kfake.EnableSASL()}},
		{"three brokers", kmsg.ListOffsets.Int16(), []kfake.Opt{kfake.NumBrokers(3)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cluster := fake(t, append(test.options, kfake.SeedTopics(6, "t"))...)
			before := goleak.IgnoreCurrent()
			s := quick()
			if len(test.options) > 0 && test.silent == kmsg.SASLHandshake.Int16() {
				s.SecurityProtocol, s.SASLUsername, s.SASLPassword = SASLPlaintext, "admin", NewSecret("admin")
			}
			client, err := NewClient(cluster.ListenAddrs(), s, nil)
			if err != nil {
				t.Fatal(err)
			}
			asked := make(chan struct{}, 100)
			if test.silent >= 0 {
				cluster.ControlKey(test.silent, func(kmsg.Request) (kmsg.Response, error, bool) {
					cluster.KeepControl()
					asked <- struct{}{}
					return nil, nil, true
				})
			}
			var wg sync.WaitGroup
			for i := range 5 {
				wg.Go(func() {
					parts := []TopicPartition{{"t", int32(i)}}
					if _, err := client.ListOffsets(t.Context(), parts, EndOffset); err != nil && !errors.Is(err, ErrClosed) {
						t.Errorf("not ErrClosed: %v", err)
					}
				})
			}
			if test.silent >= 0 && test.silent != kmsg.DescribeCluster.Int16() {
				<-asked
			} else {
				wg.Wait()
			}
			start := time.Now()
			client.Close()
			client.Close()
			wg.Wait()
			if took := time.Since(start); took > 4*time.Second { // a request that is waited for takes 5 s
				t.Errorf("Close took %s", took)
			}
			if _, err := client.AllTopics(t.Context()); !errors.Is(err, ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
			goleak.VerifyNone(t, before)
		})
	}
}

func TestCloseRacesRequests(t *testing.T) {
	cluster := fake(t, kfake.SeedTopics(6, "t"))
	before := goleak.IgnoreCurrent()
	for range 20 {
		client, err := NewClient(cluster.ListenAddrs(), quick(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					if _, err := client.RoundTrip(t.Context(), new(apiversions.Request), 0); err != nil {
						if !errors.Is(err, ErrClosed) && Classify(err) != Transient {
							t.Errorf("%v", err)
						}
						return
					}
					client.DropIdle()
				}
			})
		}
		_ = Sleep(t.Context(), 5*time.Millisecond)
		client.Close()
		wg.Wait()
	}
	goleak.VerifyNone(t, before)
}

// bomb panics where kafka-go asks it for a broker, which is in the caller's goroutine.
type bomb struct{}

func (bomb) ApiKey() protocol.ApiKey { return protocol.Metadata }
func (bomb) Broker(protocol.Cluster) (protocol.Broker, error) {
	panic("integer divide by zero")
}

func TestRoundTripRecovers(t *testing.T) {
	t.Parallel()
	client := connect(t, quick(), fake(t).ListenAddrs()...)
	_, err := client.RoundTrip(t.Context(), bomb{}, 0)
	if err == nil || !strings.Contains(err.Error(), "kafka-go panicked: integer divide by zero") {
		t.Errorf("error %v", err)
	}
}

// The configured servers are only where to begin: brokers that were learnt of stand in for them.
func TestKnownBrokersStandInForLostServers(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(3))
	d := newDialer([]string{"127.0.0.1:1"}, nil)
	if _, err := d.dial(t.Context(), "tcp", bootstrap{}.String()); err == nil ||
		!strings.Contains(err.Error(), "connection refused") {
		t.Fatalf("error %v", err)
	}
	d.learn(append(cluster.ListenAddrs(), "127.0.0.1:1"))
	c, err := d.dial(t.Context(), "tcp", bootstrap{}.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	d.close()
	if _, err := d.dial(t.Context(), "tcp", bootstrap{}.String()); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

func TestClusterLearnsTheBrokers(t *testing.T) {
	t.Parallel()
	cluster := fake(t, kfake.NumBrokers(3), kfake.SeedTopics(5, "t"))
	client := connect(t, quick(), cluster.ListenAddrs()[0])
	snapshot, err := client.AllTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(snapshot.Brokers) != 3 || snapshot.Topics["t"] == nil || len(snapshot.Topics["t"].Leaders) != 5 ||
		snapshot.Topics["t"].led() != 5 {
		t.Errorf("snapshot %+v", snapshot)
	}
	if got := client.dialer.candidates(bootstrap{}.String()); len(got) != 3 || got[0] != cluster.ListenAddrs()[0] {
		t.Errorf("candidates %q", got)
	}
	if got := client.dialer.candidates("other:1"); fmt.Sprint(got) != "[other:1]" {
		t.Errorf("candidates %q", got)
	}
}

func TestSetDeadlineIsNeverNone(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	defer b.Close()
	recorded := &deadlines{Conn: a}
	c := &conn{Conn: recorded}
	if err := c.SetDeadline(time.Time{}); err != nil || recorded.last.IsZero() {
		t.Errorf("deadline %v, %v", recorded.last, err)
	}
	exact := time.Now().Add(time.Hour)
	if err := c.SetDeadline(exact); err != nil || !recorded.last.Equal(exact) {
		t.Errorf("deadline %v, %v", recorded.last, err)
	}
	_ = a.Close()
}

type deadlines struct {
	net.Conn
	last time.Time
}

func (d *deadlines) SetDeadline(t time.Time) error { d.last = t; return nil }

func TestExplainHidesNoCause(t *testing.T) {
	t.Parallel()
	client := connect(t, quick(), "127.0.0.1:1")
	for _, test := range []struct {
		name string
		err  error
		want error
		not  error
	}{
		{"a limit of the Transport's", context.DeadlineExceeded, nil, context.DeadlineExceeded},
		{"a cancellation of the Transport's", context.Canceled, nil, context.Canceled},
		{"EOF", io.EOF, io.EOF, ErrAuth},
		{"authentication", CodeError(58), ErrAuth, io.EOF},
		{"mechanism", CodeError(33), CodeError(33), io.EOF},
		{"state", CodeError(34), ErrAuth, io.EOF},
		{"leader", CodeError(6), CodeError(6), ErrAuth},
	} {
		err := client.explain(t.Context(), t.Context(), test.err, time.Second)
		if (test.want != nil && !errors.Is(err, test.want)) || errors.Is(err, test.not) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
