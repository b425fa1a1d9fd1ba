package bus_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// One fetch serves all partitions of a broker, however many they are.
func TestManyIdlePartitionsNeedFewConnections(t *testing.T) {
	t.Run("embedded, three nodes", func(t *testing.T) {
		t.Parallel()
		subscribeToManyIdle(t, newWorld(t, embedded(), kafkatest.Nodes(3)))
	})
	t.Run("real", func(t *testing.T) {
		w := newWorld(t) // shared, so it must not be parallel
		if !w.cluster.IsReal() {
			t.Skip("the embedded broker has the test above: run with KAFKA=apache")
		}
		subscribeToManyIdle(t, w)
	})
}

func subscribeToManyIdle(t *testing.T, w *world) {
	const streams, partitions, most = 20, 7, 6
	for i := range streams {
		w.stream(fmt.Sprint("idle.", i), partitions)
	}
	before := connections(t, w) // of the client that made the streams
	app := w.app(bus.Config{Settings: bus.Settings{}})
	bus.MustSubscribe(app, "idle.*", new(numbers).handle, bus.Group(w.group("idle")))
	running(t, app)
	peaks := make(map[string]int)
	look := func() {
		for server, n := range connections(t, w) {
			peaks[server] = max(peaks[server], n-before[server])
		}
	}
	eventually(t, func() bool { look(); return len(stats(app).Assigned) == streams*partitions },
		says("the partitions are not assigned"))
	const watched = 2 * time.Second
	for begin := time.Now(); time.Since(begin) < watched; time.Sleep(10 * time.Millisecond) {
		look() // nothing happens meanwhile, but polls
	}
	if s := stats(app); s.State != "stable" {
		t.Errorf("the member is %s", s.State)
	}
	counts := slices.Collect(maps.Values(peaks))
	t.Attr("figures", fmt.Sprintf("%d idle partitions: at most %v connections to a broker, from the start and for %v",
		streams*partitions, counts, watched))
	if len(counts) != len(w.cluster.Servers()) || slices.Max(counts) > most {
		t.Errorf("more than %d to one", most)
	}
}

// connections returns how many this machine has to each of the cluster's servers.
func connections(t *testing.T, w *world) map[string]int {
	t.Helper()
	const file, established = "/proc/net/tcp", "01"
	table, err := os.ReadFile(file)
	if err != nil {
		t.Skipf("connections are counted in %s: %v", file, err)
	}
	counts := make(map[string]int)
	for _, server := range w.cluster.Servers() {
		_, port, err := net.SplitHostPort(server)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		counts[server] = 0
		for line := range strings.Lines(string(table)) {
			// The number, our address, theirs, the state: addresses in hexadecimal.
			if f := strings.Fields(line); len(f) > 3 && f[3] == established && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", n)) {
				counts[server]++
			}
		}
	}
	return counts
}
