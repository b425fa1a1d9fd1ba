package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
)

// oneConn is a listener of one connection, which has no buffer.
type oneConn struct {
	conns chan net.Conn
	addr  net.Addr
}

func (l *oneConn) Accept() (net.Conn, error) {
	conn, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return l.addr }

// A client that asks for a record and does not read the answer is not waited for without end.
func TestAClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		l := &oneConn{conns: make(chan net.Conn, 1), addr: server.LocalAddr()}
		l.conns <- server
		written := make(chan error, 1)
		s := newPageServer(t.Context(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(bytes.Repeat([]byte("x"), 1<<20))
			written <- err
		}), io.Discard)
		go func() { _ = s.Serve(l) }()
		if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if err := <-written; err == nil { // without a limit, synctest tells of a deadlock
			t.Error("the answer was taken")
		}
		close(l.conns)
		_ = s.Close()
		_ = client.Close()
	})
}
