package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// raceDelay is how long a broker may take to answer the first request of a connection before the next one is asked
// beside it.
const raceDelay = 500 * time.Millisecond

// race is a connection to whichever of several brokers answers first. The operating system of a broker that
// hangs still takes connections; only an answer shows that the broker works. So the first request of the
// connection, which is kept, is sent to one broker after another until one of them answers, and each that has not
// been asked is asked before any is asked again.
//
// kafka-go uses a connection from one goroutine at a time; only Close may be called by another.
type race struct {
	net.Conn // the winner's; nil before

	dialer     *dialer
	ctx        context.Context // of the dial, which includes the first exchange
	cancel     context.CancelFunc
	candidates []string
	request    []byte
	deadline   time.Time
	answer     []byte // bytes that were read to find the winner

	mu     sync.Mutex
	closed bool
}

func newRace(ctx context.Context, d *dialer, candidates []string) *race {
	ctx, cancel := context.WithCancel(ctx)
	return &race{dialer: d, ctx: ctx, cancel: cancel, candidates: candidates}
}

// Write keeps what is written before the first Read: that is the request to race with.
func (r *race) Write(b []byte) (int, error) {
	if r.Conn != nil {
		return r.Conn.Write(b)
	}
	r.request = append(r.request, b...)
	return len(b), nil
}

func (r *race) Read(b []byte) (int, error) {
	if r.Conn == nil {
		if err := r.run(); err != nil {
			return 0, err
		}
	}
	if len(r.answer) > 0 {
		n := copy(b, r.answer)
		r.answer = r.answer[n:]
		return n, nil
	}
	return r.Conn.Read(b)
}

func (r *race) SetDeadline(t time.Time) error {
	if r.Conn != nil {
		return r.Conn.SetDeadline(t)
	}
	r.deadline = t
	return nil
}

func (r *race) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.cancel()
	if r.Conn == nil {
		return nil
	}
	return r.Conn.Close()
}

// errSlow is the error of a broker that did not answer before the next one was asked.
var errSlow = fmt.Errorf("no answer within %s: %w", raceDelay, os.ErrDeadlineExceeded)

// lap is one broker's part of a race.
type lap struct {
	address string
	conn    net.Conn
	answer  []byte
	err     error
}

// run asks the candidates one after another, and makes the first that answers the connection.
func (r *race) run() error {
	ctx, cancel := context.WithDeadline(r.ctx, r.deadline)
	defer cancel()
	laps := make(chan lap, len(r.candidates))
	var wg sync.WaitGroup
	pending, asked := make(map[string]bool), 0
	ask := func() {
		if asked < len(r.candidates) {
			address := r.candidates[asked]
			asked++
			pending[address] = true
			wg.Go(func() { laps <- r.ask(ctx, address) })
		}
	}
	ask()
	timer := time.NewTicker(raceDelay)
	defer timer.Stop()
	var errs []error
	var winner lap
	for len(pending) > 0 && winner.conn == nil {
		select {
		case l := <-laps:
			delete(pending, l.address)
			if l.err != nil {
				errs = append(errs, l.err)
				ask()
				timer.Reset(raceDelay)
				continue
			}
			winner = l
		case <-timer.C:
			last := r.candidates[asked-1]
			if pending[last] {
				_ = r.dialer.endpoint(last).failed(errSlow) // which is errSlow with the address
			}
			ask()
		}
	}
	cancel()
	wg.Wait()
	close(laps)
	for l := range laps {
		if l.conn != nil {
			l.conn.Close()
		}
	}
	if winner.conn == nil {
		return errors.Join(errs...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		winner.conn.Close()
		return net.ErrClosed
	}
	r.Conn, r.answer, r.request = winner.conn, winner.answer, nil
	return nil
}

// ask sends the request to one broker and returns its connection when the first bytes of an answer are there.
func (r *race) ask(ctx context.Context, address string) lap {
	c, err := r.dialer.connect(ctx, address)
	if err != nil {
		return lap{address: address, err: err}
	}
	overtaken := context.AfterFunc(ctx, func() { c.Close() })
	err = c.SetDeadline(r.deadline)
	if err == nil {
		_, err = c.Write(r.request)
	}
	b := make([]byte, 512)
	n := 0
	if err == nil {
		n, err = c.Read(b)
	}
	if !overtaken() { // the connection is closed
		err = fmt.Errorf("no answer: %w", os.ErrDeadlineExceeded)
	}
	if err != nil {
		c.Close()
		return lap{address: address, err: fmt.Errorf("broker %s: %w", address, err)}
	}
	return lap{address: address, conn: c, answer: b[:n]}
}
