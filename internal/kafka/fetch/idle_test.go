package fetch_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// TestIdlePartitionsCostNothing is invariant 27, as far as fetching goes: twenty idle topics of seven partitions cost
// one request at a time, a few connections, and no goroutine more than a single partition does. It runs alone.
func TestIdlePartitionsCostNothing(t *testing.T) {
	const topics, partitions, most = 20, 7, 6
	b := &bench{t: t, cluster: kafkatest.Start(t, kafkatest.Own())}
	b.client = newClient(t, b.cluster)
	prefix := b.cluster.Prefix(t)
	for i := range topics {
		if err := b.client.EnsureTopic(t.Context(), fmt.Sprint(prefix, i),
			kafka.TopicSpec{Partitions: partitions}); err != nil {
			t.Fatal(err)
		}
	}
	f := b.fetcher(fetch.Options{})
	add := func(topic int) {
		for id := range int32(partitions) {
			f.Add(kafka.TopicPartition{Topic: fmt.Sprint(prefix, topic), Partition: id}, 0)
		}
	}
	// idle lets a few requests pass, and returns the goroutines and the connections that were seen meanwhile.
	idle := func() (goroutines, connections int) {
		const requests = 10
		// Partitions that were added while a request was on its way are asked for beside it, until all are in one.
		added := f.Stats().Requests
		b.waitFor(func() bool { return f.Stats().Requests >= added+requests })
		before, began := f.Stats().Requests, time.Now()
		seen := make(map[string]bool)
		b.waitFor(func() bool {
			for _, c := range testkit.ConnectionsTo(t, b.cluster.Servers()) {
				seen[c] = true
			}
			goroutines = runtime.NumGoroutine()
			return f.Stats().Requests >= before+requests
		})
		// The first of them may have been on its way, and the second comes before the broker knows that it has nothing.
		if d, least := time.Since(began), (requests-2)*b.client.Settings().FetchMaxWait; d < least {
			t.Errorf("%d idle requests took %s, want at least %s", requests, d, least)
		}
		return goroutines, len(seen)
	}
	add(0)
	one, _ := idle()
	for i := 1; i < topics; i++ {
		add(i)
	}
	all, connections := idle()
	if all > one+10 { // the client may have one more connection, to look for news of the cluster
		t.Errorf("%d goroutines with %d topics, %d with one", all, topics, one)
	}
	t.Logf("%d goroutines with one topic, %d with all; %d connections", one, all, connections)
	if connections == 0 || connections > most {
		t.Errorf("%d connections, want 1 to %d", connections, most)
	}
	if s := f.Stats(); s.Brokers != 1 || s.Partitions != topics*partitions || s.Failures > 0 {
		t.Errorf("stats %+v", s)
	}
}
