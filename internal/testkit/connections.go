package testkit

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
)

// ConnectionsTo returns the local addresses of this machine's connections to servers, from Linux's /proc. On other
// systems it skips the test.
func ConnectionsTo(t testing.TB, servers []string) (local []string) {
	t.Helper()
	const established = "01"
	ports := make(map[string]bool)
	for _, s := range servers {
		a, err := net.ResolveTCPAddr("tcp4", s)
		if err != nil {
			t.Fatal(err)
		}
		ports[fmt.Sprintf("%04X", a.Port)] = true
	}
	table, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Skipf("needs Linux to count connections: %v", err)
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line) // number, local address, remote address, state
		if _, port, _ := strings.Cut(f[2], ":"); ports[port] && f[3] == established {
			local = append(local, f[1])
		}
	}
	return local
}

// Listen calls serve for one connection after the other until the test ends, and returns the address. The end of the
// test waits for serve, which closes the connection.
func Listen(t testing.TB, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// Fetch gets a URL, from the named host unless that is empty, and returns the status and the body.
func Fetch(t testing.TB, url, host string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
