package webpage_test

import (
	"net"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/webpage"
)

// The address that is told is the one that was asked for, with the port that the system has chosen.
func TestURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ listen, at, want string }{
		{"0.0.0.0:0", "[::]:4711", "http://0.0.0.0:4711/"},
		{"[::]:80", "[::]:80", "http://[::]:80/"},
		{"localhost:0", "127.0.0.1:4711", "http://localhost:4711/"},
		{":0", "[::]:4711", "http://[::]:4711/"},
		{"localhost:http", "127.0.0.1:80", "http://localhost:80/"},
	} {
		at, err := net.ResolveTCPAddr("tcp", tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := webpage.URL(tt.listen, at); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.listen, got, tt.want)
		}
	}
}
