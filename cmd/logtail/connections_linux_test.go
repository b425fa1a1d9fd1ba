package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// 140 partitions of 20 topics take two connections to a broker: one that waits for records, and one for everything else.
// What the start has needed beside them is closed when it has been idle for a moment.
func TestConnectionsToABroker(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Own())
	const topics = 20
	for i := range topics {
		b.publish(fmt.Sprint("logs.", i), logValue("first", "INFO", 20), time.Now())
	}
	if err := b.app.Close(t.Context()); err != nil { // whose connections are not counted
		t.Fatal(err)
	}
	f := b.follow("-n", fmt.Sprint(topics), "logs.*")
	for range topics {
		f.next()
	}
	var open []string
	testkit.Eventually(t, func() bool {
		open = connectionsTo(t, b.cluster.Servers())
		return len(open) == 1 || len(open) == 2 // with none it has ended
	}, func() string { return fmt.Sprint("connections: ", open) })
	f.interrupt()
}

// connectionsTo returns the local addresses of the connections of this machine to servers, as Linux lists them.
func connectionsTo(t *testing.T, servers []string) (local []string) {
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
