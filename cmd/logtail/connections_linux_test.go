package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// 140 partitions of 20 topics take two connections to a broker: one that waits for records, and one for everything
// else. What the start has needed beside them is closed when it has been idle for a moment.
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
		open = testkit.ConnectionsTo(t, b.cluster.Servers())
		return len(open) == 1 || len(open) == 2 // with none it has ended
	}, func() string { return fmt.Sprint("connections: ", open) })
	f.interrupt()
}
