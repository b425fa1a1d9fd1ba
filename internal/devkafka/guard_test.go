package devkafka_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/internal/devkafka"
)

// frame is a request's bytes with the size that it claims to have.
func frame(size uint32, key, version int16, rest ...byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, size)
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	return append(b, rest...)
}

// metadata is a good request, which a broker that is alive answers.
func metadata() []byte {
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(1)
	return kmsg.NewRequestFormatter().AppendRequest(nil, req, 7)
}

func dial(t *testing.T, b *devkafka.Broker) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", b.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// wantAnswer fails unless the broker answers the request on the connection.
func wantAnswer(t *testing.T, conn net.Conn, request []byte) {
	t.Helper()
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	var head [8]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		t.Fatalf("no answer to a good request: %v", err)
	}
	if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head[:4]))-4); err != nil {
		t.Fatal(err)
	}
	if got := binary.BigEndian.Uint32(head[4:]); got != 7 {
		t.Fatalf("correlation id %d, want 7", got)
	}
}

// wantClosed fails unless the broker closes the connection without a word.
func wantClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	n, err := io.Copy(io.Discard, conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("the connection is still open")
	}
	if n != 0 {
		t.Fatalf("%d bytes came back, want none", n)
	}
}

func TestHostileFramesCloseTheirConnection(t *testing.T) {
	t.Parallel()
	b := start(t, devkafka.Options{})
	tests := []struct {
		name  string
		bytes []byte
	}{
		{name: "unknown key", bytes: frame(8, 999, 0, 0, 0, 0, 7)},
		{name: "negative key", bytes: frame(8, -1, 0, 0, 0, 0, 7)},
		{name: "negative version", bytes: frame(8, 3, -1, 0, 0, 0, 7)},
		{name: "claims 2 GiB", bytes: []byte{0x7f, 0xff, 0xff, 0xff}},
		{name: "claims 4 GiB", bytes: []byte{0xff, 0xff, 0xff, 0xff}},
		{name: "just over the limit", bytes: []byte{0x06, 0x40, 0x00, 0x01}},
		{name: "too short for a request", bytes: []byte{0, 0, 0, 7}},
		{name: "empty", bytes: []byte{0, 0, 0, 0}},
		{name: "four billion tags in the head", bytes: frame(16, 18, 3, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0x0f, 0)},
		{name: "client id longer than the frame", bytes: frame(12, 18, 3, 0, 0, 0, 7, 0x7f, 0xff, 0, 0)},
		{name: "HTTP", bytes: []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
		{name: "TLS", bytes: []byte{0x16, 0x03, 0x01, 0x02}},
		{name: "body that is not what the key says", bytes: frame(12, 3, 1, 0, 0, 0, 7, 0xff, 0xff, 0x7f, 0xff)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, b)
			if _, err := conn.Write(tt.bytes); err != nil {
				t.Fatal(err)
			}
			wantClosed(t, conn)
			wantAnswer(t, dial(t, b), metadata())
		})
	}
}

// A good request before the bad one must not open the door to it.
func TestHostileFrameAfterAGoodOne(t *testing.T) {
	t.Parallel()
	b := start(t, devkafka.Options{})
	conn := dial(t, b)
	wantAnswer(t, conn, metadata())
	wantAnswer(t, conn, metadata())
	if _, err := conn.Write(frame(8, 999, 0, 0, 0, 0, 7)); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, conn)
}

func TestRequestInSingleBytes(t *testing.T) {
	t.Parallel()
	b := start(t, devkafka.Options{})
	conn := dial(t, b)
	request := metadata()
	for i := range len(request) - 1 {
		if _, err := conn.Write(request[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	wantAnswer(t, conn, request[len(request)-1:])
}

func TestRandomFramesDoNotEndTheBroker(t *testing.T) {
	t.Parallel()
	b := start(t, devkafka.Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		body := make([]byte, 4+rng.IntN(60))
		for i := range body {
			body[i] = byte(rng.Uint32())
		}
		conn := dial(t, b)
		if _, err := conn.Write(frame(uint32(len(body)+4), int16(rng.IntN(95)), int16(rng.IntN(12)), body...)); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	wantAnswer(t, dial(t, b), metadata())
}

func TestConnectionCap(t *testing.T) {
	t.Parallel()
	b := start(t, devkafka.Options{MaxConnections: 2})
	first, second := dial(t, b), dial(t, b)
	wantAnswer(t, first, metadata())
	wantAnswer(t, second, metadata())
	wantClosed(t, dial(t, b))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	// The place is free as soon as kfake has seen the end of the first connection.
	deadline := time.Now().Add(20 * time.Second)
	for {
		conn := dial(t, b)
		_, _ = conn.Write(metadata())
		if n, _ := io.ReadFull(conn, make([]byte, 8)); n == 8 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no connection is let in after one was closed")
		}
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	t.Parallel()
	b := start(t, devkafka.Options{IdleTimeout: 50 * time.Millisecond})
	tests := []struct {
		name string
		sent []byte
	}{
		{name: "nothing sent"},
		{name: "half a head", sent: frame(100, 3, 1)[:5]},
		{name: "half a body", sent: frame(100, 3, 1, 0, 0)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, b)
			if _, err := conn.Write(tt.sent); err != nil {
				t.Fatal(err)
			}
			wantClosed(t, conn)
		})
	}
}

func TestCloseEndsOpenConnections(t *testing.T) {
	t.Parallel()
	b := start(t, devkafka.Options{})
	conn := dial(t, b)
	wantAnswer(t, conn, metadata())
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, conn)
	if _, err := net.Dial("tcp", b.Addrs()[0]); err == nil {
		t.Fatal("a closed broker accepts connections")
	}
}

func TestOptionsForKfake(t *testing.T) {
	t.Parallel()
	b := start(t, devkafka.Options{Kfake: []kfake.Opt{kfake.SeedTopics(2, "seeded")}})
	conn := dial(t, b)
	if _, err := conn.Write(metadata()); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4)
	if _, err := io.ReadFull(conn, answer); err != nil {
		t.Fatal(err)
	}
	answer = make([]byte, binary.BigEndian.Uint32(answer))
	if _, err := io.ReadFull(conn, answer); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(answer, []byte("seeded")) {
		t.Fatalf("no topic of that name in %q", strings.ToValidUTF8(string(answer), "?"))
	}
}
