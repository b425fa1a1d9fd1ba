package bus_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// gate is an address in front of a broker that hangs up on every caller until it is opened.
type gate struct {
	addr   string
	target string
	called chan struct{}

	mu     sync.Mutex
	opened bool
}

func newGate(t *testing.T, target string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{addr: l.Addr().String(), target: target, called: make(chan struct{}, 1)}
	var callers sync.WaitGroup
	callers.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			callers.Go(func() { g.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		callers.Wait()
	})
	return g
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opened = true
}

func (g *gate) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	select {
	case g.called <- struct{}{}:
	default:
	}
	g.mu.Lock()
	opened := g.opened
	g.mu.Unlock()
	if !opened {
		return
	}
	broker, err := net.Dial("tcp", g.target)
	if err != nil {
		return
	}
	var pipes sync.WaitGroup
	pipes.Go(func() {
		_, _ = io.Copy(broker, c)
		_ = broker.Close()
	})
	_, _ = io.Copy(c, broker)
	_ = c.Close()
	pipes.Wait()
}

func (g *gate) waitForCaller(t *testing.T) {
	t.Helper()
	select {
	case <-g.called:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody tried to connect")
	}
}
