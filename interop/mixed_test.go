package interop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// eventually waits until a condition holds.
func eventually(t *testing.T, d time.Duration, what string, holds func() (bool, string)) {
	t.Helper()
	var state string
	for deadline := time.Now().Add(d); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ok, now := holds()
		if ok {
			return
		}
		state = now
	}
	t.Fatalf("%s: not within %s: %s", what, d, state)
}

// A group of one member of ours, one of franz-go and one of aiokafka: whoever came first and leads, each of them has
// its part of the partitions, every record is handled, once while nobody comes or goes, and there is one set of
// commits.
func TestAGroupOfGoAndPython(t *testing.T) {
	const partitions, records = 6, 600
	names := []string{"ours", "franz-go", "aiokafka"}
	for first, leader := range names {
		t.Run(leader+" leads", func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.Start(t)
			prefix := cluster.Prefix(t)
			group, topic := prefix+"group", prefix+"mixed"
			client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Servers()...))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			admin := kadm.NewClient(client)
			if _, err := admin.CreateTopic(t.Context(), partitions, 1, nil, topic); err != nil {
				t.Fatal(err)
			}
			start := map[string]func() member{
				"ours":     func() member { return startOurs(t, cluster.Servers(), prefix, group, "mixed") },
				"franz-go": func() member { return startFranz(t, cluster.Servers(), group, topic) },
				"aiokafka": func() member { return run(t, "member.py", strings.Join(cluster.Servers(), ","), group, topic) },
			}
			members := make(map[string]member)
			has := func(want int) func() (bool, string) {
				return func() (bool, string) {
					ok, state := true, ""
					for name, m := range members {
						ok = ok && m.assigned() == want
						state += fmt.Sprintf("%s has %d; ", name, m.assigned())
					}
					return ok, state
				}
			}
			for i := range names {
				name := names[(first+i)%len(names)]
				members[name] = start[name]()
				eventually(t, 30*time.Second, "partitions spread over "+fmt.Sprint(i+1)+" members", has(partitions/(i+1)))
			}
			// Who came first leads, as long as it stays; only ours says so itself.
			if leads := members["ours"].(*ours).app.Stats().Subscriptions[0].Leader; leads != (leader == "ours") {
				t.Errorf("ours leads: %v", leads)
			}
			if protocol := protocolOf(t, admin, group); protocol != "roundrobin" {
				t.Errorf("the group agreed on %q, want what aiokafka offers", protocol)
			}

			publisher := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix})
			batch := make([]bus.Outgoing, records)
			for i := range batch {
				batch[i].Key, batch[i].Value = fmt.Appendf(nil, "key %d", i), fmt.Appendf(nil, "record %d", i)
			}
			if err := publisher.PublishBatch(t.Context(), "mixed", batch); err != nil {
				t.Fatal(err)
			}
			if err := publisher.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			eventually(t, 30*time.Second, "every record handled", func() (bool, string) {
				all := everything(members)
				return len(all) == records, fmt.Sprintf("%d of %d", len(all), records)
			})
			for value, n := range everything(members) {
				if n > 1 {
					t.Errorf("%s was handled %d times", value, n)
				}
			}
			figures := leader + " leads: "
			for _, name := range names {
				n := len(members[name].handled())
				figures += fmt.Sprintf("%s handled %d, ", name, n)
				if n == 0 {
					t.Errorf("%s has handled nothing", name)
				}
				members[name].stop()
			}
			committed, err := admin.FetchOffsets(t.Context(), group)
			if err != nil {
				t.Fatal(err)
			}
			var sum int64
			committed.Each(func(o kadm.OffsetResponse) { sum += o.At })
			if sum != records {
				t.Errorf("the commits of all partitions come to %d, want %d", sum, records)
			}
			t.Attr("figures", figures+fmt.Sprintf("committed %d of %d", sum, records))
		})
	}
}

// everything adds up what the members have handled.
func everything(members map[string]member) map[string]int {
	all := make(map[string]int)
	for _, m := range members {
		for value, n := range m.handled() {
			all[value] += n
		}
	}
	return all
}

// protocolOf returns the assignor that the group has agreed on.
func protocolOf(t *testing.T, admin *kadm.Client, group string) string {
	t.Helper()
	described, err := admin.DescribeGroups(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	return described[group].Protocol
}
