package kafka

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// A closed Client is garbage, but for what kafka-go's idle timers hold for connections_max_idle_ms: a few kilobytes
// each, whatever the size of the cluster, because the Transport knows nothing of topics.
func TestAClosedClientIsGarbage(t *testing.T) {
	const clients, most = 200, 8 << 10
	var topics []string
	for n := range 100 {
		topics = append(topics, fmt.Sprintf("topic-%d", n))
	}
	cluster := fake(t, kfake.SeedTopics(7, topics...))
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	cycle := func() {
		client, err := NewClient(cluster.ListenAddrs(), quick(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		seen := make(chan struct{}, 1000)
		w := client.Watch(WatchOptions{All: true, Changed: func() { seen <- struct{}{} }})
		defer w.Close()
		<-seen
		if c, _, err := w.Cluster(); err != nil || len(c.Topics) != len(topics) {
			t.Fatalf("%v, %v", c, err)
		}
		if _, err := client.ListOffsets(t.Context(), []TopicPartition{{Topic: topics[0]}}, EndOffset); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		cycle()
	}
	before := heap()
	for range clients {
		cycle()
	}
	grown := (heap() - before) / clients
	t.Attr("figures", fmt.Sprintf("%d bytes for each closed client", grown))
	if grown > most {
		t.Errorf("a closed client keeps %d bytes in memory, at most %d are expected", grown, most)
	}
}
