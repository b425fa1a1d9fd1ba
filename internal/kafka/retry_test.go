package kafka

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// The producer asks for each of its topics again and again while the brokers are away: one line says so, not one per
// call.
func TestAnOutageIsToldOnce(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	client, log := connectLogged(t, quick(), listener.Addr().String())
	for _, topic := range []string{"a", "a", "b"} {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := client.EnsureTopic(ctx, topic, TopicSpec{}); err == nil {
			t.Fatal("a topic without a broker")
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings, want 1: %s", n, log)
	}
}
