package group

import (
	"fmt"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group/assign"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// TestDealOfALargeGroup: everybody waits for the leader, who is to look at each topic once and not once for each member.
func TestDealOfALargeGroup(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	client, err := kafka.NewClient(cluster.Servers(), kafka.DefaultSettings(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	asked := 0
	m := New(client, Config{Group: "large", Consumer: nobody{}, Match: func(string) bool { asked++; return true }})
	const topics, members = 1000, 200
	var names []string
	m.resolver.topics = make(map[string]int)
	for i := range topics {
		names = append(names, fmt.Sprintf("%s-a-topic-with-a-name-%d", t.Name(), i))
		m.resolver.topics[names[i]] = 10
	}
	join := &wire.JoinAnswer{Protocol: assign.Sticky{}.Name()}
	metadata := assign.Subscription{Topics: names}.Encode()
	for i := range members {
		join.Members = append(join.Members, wire.JoinedMember{MemberID: fmt.Sprint(i), Metadata: metadata})
	}
	began := time.Now()
	d, err := m.deal(t.Context(), join)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d partitions to %d members in %s", 10*topics, members, time.Since(began))
	if asked > topics {
		t.Errorf("it asked %d times for %d topics", asked, topics)
	}
	for id, b := range d.assignments {
		if parts, _, err := assign.ParseAssignment(b); err != nil || len(parts) != 10*topics/members {
			t.Fatalf("%s has %d partitions, %v", id, len(parts), err)
		}
	}
}

type nobody struct{ Consumer }

func (nobody) Marks() map[kafka.TopicPartition]int64 { return nil }
