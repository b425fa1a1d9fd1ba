package bus_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
)

// kafkaFloors are the lowest versions that Kafka 4 takes of what a consumer with dead letters sends: the higher of
// 4.0's and 4.1's.
func kafkaFloors() map[kmsg.Key]int16 {
	return map[kmsg.Key]int16{
		kmsg.Produce: 3, kmsg.Fetch: 4, kmsg.ListOffsets: 1, kmsg.Metadata: 0, kmsg.OffsetCommit: 2, kmsg.OffsetFetch: 1,
		kmsg.FindCoordinator: 0,
		kmsg.JoinGroup:       2, kmsg.Heartbeat: 0, kmsg.LeaveGroup: 0, kmsg.SyncGroup: 0, kmsg.ApiVersions: 0,
		kmsg.CreateTopics: 2, kmsg.InitProducerID: 0, kmsg.DescribeConfigs: 1,
	}
}

// This is about the day a broker drops old versions: every request of a consumer's life has the version we think, and
// it lies above the floor.
func TestVersionsOfAConsumersRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded())
	var mu sync.Mutex
	sent := make(map[kmsg.Key]int16)
	w.cluster.Fake().Control(func(r kmsg.Request) (kmsg.Response, error, bool) {
		mu.Lock()
		defer mu.Unlock()
		key := kmsg.Key(r.Key())
		if before, ok := sent[key]; !ok || r.GetVersion() < before {
			sent[key] = r.GetVersion()
		}
		return nil, nil, false
	})
	app := w.unclosed()
	bus.MustSchema[Content](app, "")
	bus.MustSubscribe(app, "work", func(_ context.Context, c Content) error { return bus.Reject(fmt.Errorf("%d", c.N)) },
		bus.Group(w.group("wire")), bus.DeadLetter())
	if err := app.Publish(within(t, 20*time.Second), "work", Content{Title: "t", N: 1}); err != nil {
		t.Fatal(err)
	}
	stop := running(t, app)
	eventually(t, func() bool {
		s := stats(app)
		return s.DeadLettered == 1 && !s.LastCommit.IsZero() && !s.LastHeartbeat.IsZero()
	}, says("the record is not handled"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	closeApp(t, app)

	mu.Lock()
	defer mu.Unlock()
	want := map[kmsg.Key]int16{
		kmsg.Produce: 8, kmsg.Fetch: 11, kmsg.ListOffsets: 5, kmsg.Metadata: 8, kmsg.OffsetCommit: 7, kmsg.OffsetFetch: 5,
		kmsg.FindCoordinator: 2,
		kmsg.JoinGroup:       7, kmsg.Heartbeat: 4, kmsg.LeaveGroup: 4, kmsg.SyncGroup: 5, kmsg.ApiVersions: 0,
		kmsg.CreateTopics: 5, kmsg.InitProducerID: 4, kmsg.DescribeConfigs: 3,
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("versions sent (-want +got):\n%s", diff)
	}
	floors := kafkaFloors()
	for key, version := range sent {
		if floor, known := floors[key]; !known || version < floor || version == floor && floor > 0 {
			t.Errorf("%s version %d: the floor is %d", key.Name(), version, floor)
		}
	}
	t.Attr("figures", fmt.Sprintf("%d kinds of requests, each at the version it should have and above Kafka 4's floor",
		len(sent)))
}
