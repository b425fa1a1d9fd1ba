package testkit

import (
	"fmt"
	"net"
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
