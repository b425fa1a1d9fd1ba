package kafka

import (
	"errors"
	"net"
	"testing"
)

// Connections to each address are counted as they open, fail and close, with the bytes that they carried.
func TestConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := refusing.Addr().String()
	refusing.Close()
	broker := fake(t).ListenAddrs()[0]
	client, err := NewClient([]string{broker}, quick(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if all := client.Connections(); len(all) != 0 {
		t.Errorf("before the first request: %+v", all)
	}
	if _, err := client.Topics(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := client.dialer.connect(t.Context(), gone); err == nil {
		t.Fatal("connected to an address that nobody listens at")
	}
	of := func(address string) (found ConnStats) {
		for _, s := range client.Connections() {
			if s.Address == address {
				found = s
			}
		}
		return found
	}
	if s := of(broker); s.Open < 1 || s.Connects < 1 || s.Refused != 0 || s.Read < 50 || s.Written < 50 || s.Err != nil {
		t.Errorf("the broker has %+v", s)
	}
	var failure *ConnError
	if s := of(gone); s.Open != 0 || s.Connects != 0 || s.Refused != 1 || !errors.As(s.Err, &failure) {
		t.Errorf("the address that is gone has %+v", s)
	}
	client.Close()
	if s := of(broker); s.Open != 0 || s.Connects < 1 {
		t.Errorf("after Close the broker has %+v", s)
	}
}
