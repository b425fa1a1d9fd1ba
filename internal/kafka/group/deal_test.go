package group

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group/assign"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// TestDealOfALargeGroup: everybody waits for the leader, who is to look at each topic once and not once for each
// member.
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
	d, err := m.assignPartitions(t.Context(), join, nil)
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

// TestTheLeaderAsksNobodyWhereAllHaveSeenTheSame: the group stands still meanwhile. A member that has seen other
// topics, or does not say, makes the leader look: here that fails.
func TestTheLeaderAsksNobodyWhereAllHaveSeenTheSame(t *testing.T) {
	t.Parallel()
	client, err := kafka.NewClient([]string{"127.0.0.1:1"}, kafka.DefaultSettings(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	m := New(client, Config{Group: "g", Consumer: nobody{}, Match: func(string) bool { return true }})
	m.resolver.open(client)
	t.Cleanup(m.resolver.watch.Close)
	ended, end := context.WithCancel(t.Context())
	end()
	seen := map[string]int{"t": 4}
	same := assign.HashTopics(seen)
	for _, test := range []struct {
		name   string
		hashes []uint64
		asks   bool
	}{
		{"alone", []uint64{same}, false},
		{"all the same", []uint64{same, same}, false},
		{"one has seen more", []uint64{same, assign.HashTopics(map[string]int{"t": 5})}, true},
		{"one does not say", []uint64{same, 0}, true},
	} {
		join := &wire.JoinAnswer{Protocol: assign.Sticky{}.Name()}
		for i, hash := range test.hashes {
			metadata := assign.Subscription{Topics: []string{"t"}, UserData: assign.UserData{Topics: hash}.Encode()}.Encode()
			join.Members = append(join.Members, wire.JoinedMember{MemberID: fmt.Sprint(i), Metadata: metadata})
		}
		d, err := m.assignPartitions(ended, join, seen)
		if asks := err != nil; asks != test.asks {
			t.Errorf("%s: error %v, want one: %t", test.name, err, test.asks)
		}
		if err != nil {
			continue
		}
		for id, b := range d.assignments {
			if parts, _, err := assign.ParseAssignment(b); err != nil || len(parts) != 4/len(test.hashes) {
				t.Errorf("%s: member %s has %d partitions, %v", test.name, id, len(parts), err)
			}
		}
	}
}

type nobody struct{ Consumer }

func (nobody) Marks() map[kafka.TopicPartition]int64 { return nil }
