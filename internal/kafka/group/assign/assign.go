// Package assign decides which member of a consumer group works on which partitions, and speaks the
// language in which members and their leader tell each other about it: Kafka's embedded consumer
// protocol, as the clients of other languages write it. It is pure: no network, no clock, no chance.
package assign

import (
	"cmp"
	"slices"
	"strings"
)

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Member is what the leader knows of a member.
type Member struct {
	ID         string
	InstanceID string   // of a static member; "" = none
	Topics     []string // that it subscribes to; those the cluster does not have are left out
	Generation int32    // in which it owned Owned
	Owned      []TopicPartition
	Seen       uint64 // its view of the topics, by HashTopics; 0 = it does not say
}

// Assignor divides partitions among members. Its methods may be called by many goroutines at once.
type Assignor interface {
	// Name is that of the protocol in which members offer the assignor to their group.
	Name() string
	// Assign gives each partition of each subscribed topic to one of the topic's subscribers. topics has
	// the partition count of the cluster's topics. The result has an entry, possibly empty, for every
	// member, with its partitions in order. Equal arguments give equal results, in whatever order the
	// members come.
	Assign(topics map[string]int, members []Member) map[string][]TopicPartition
}

// Assignors returns those that we offer to a group, the preferred one first. Every client knows at
// least one of the others.
func Assignors() []Assignor { return []Assignor{Sticky{}, RoundRobin{}, Range{}} }

// Find returns the one of Assignors that has a name, or nil.
func Find(name string) Assignor {
	for _, a := range Assignors() {
		if a.Name() == name {
			return a
		}
	}
	return nil
}

func comparePartitions(a, b TopicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// compareMembers orders members as Java's client does: static ones first, by their lasting names.
func compareMembers(a, b Member) int {
	switch {
	case a.InstanceID != "" && b.InstanceID != "":
		return cmp.Or(strings.Compare(a.InstanceID, b.InstanceID), strings.Compare(a.ID, b.ID))
	case a.InstanceID != "":
		return -1
	case b.InstanceID != "":
		return 1
	}
	return strings.Compare(a.ID, b.ID)
}

// sorted returns members in order.
func sorted(members []Member) []Member {
	return slices.SortedFunc(slices.Values(members), compareMembers)
}
