package inspect

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group/assign"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// StateDead is the state of a group that does not exist.
const StateDead = "Dead"

// Group is a consumer group.
type Group struct {
	Group string `json:"group"`
	// State is Kafka's: Stable, Empty (no members), PreparingRebalance, CompletingRebalance, or Dead (no such group).
	State string `json:"state"`
	// Protocol is the assignor of the members; empty without members.
	Protocol string   `json:"protocol"`
	Members  []Member `json:"members"`
	// EmptyMembers is the number of members without a partition.
	EmptyMembers int `json:"empty_members"`
	// Streams are the streams with a committed offset of the group or with an assigned partition.
	Streams []string `json:"streams"`
	// Partitions are the group's partitions, as Lag returns them.
	Partitions []Lag `json:"partitions"`
	// Lag is the sum over the partitions with a known lag; null without any.
	Lag *int64 `json:"lag"`
	// AgeSeconds is the largest age of the partitions; null without a known age.
	AgeSeconds *float64 `json:"age_seconds"`
}

// Member is a member of a group.
type Member struct {
	MemberID   string      `json:"member_id"`
	InstanceID string      `json:"instance_id,omitempty"`
	ClientID   string      `json:"client_id"`
	Host       string      `json:"host"`
	Partitions []Partition `json:"partitions"`
}

// Partition identifies a partition of a stream.
type Partition struct {
	Stream    string `json:"stream"`
	Partition int32  `json:"partition"`
}

// GroupNames returns the names of all consumer groups of the cluster.
func (i *Inspector) GroupNames(ctx context.Context) ([]string, error) { return i.client.Groups(ctx) }

// Groups returns groups with their members and lag, sorted by name: the named ones, where a missing group has the
// state Dead, or, without names, all that read a stream of the prefix. Without a prefix these are all groups.
func (i *Inspector) Groups(ctx context.Context, names ...string) ([]Group, error) {
	all := len(names) == 0
	if all {
		var err error
		if names, err = i.client.Groups(ctx); err != nil {
			return nil, err
		}
	}
	looked := make([]inspectedGroup, len(names))
	if err := each(names, func(n int, name string) (err error) {
		looked[n], err = i.inspectGroup(ctx, name)
		return err
	}); err != nil {
		return nil, err
	}
	if all && i.prefix != "" {
		looked = slices.DeleteFunc(looked, func(l inspectedGroup) bool { return len(l.owners) == 0 })
	}
	i.measure(ctx, looked)
	groups := make([]Group, len(looked))
	for n := range looked {
		groups[n] = looked[n].group
	}
	slices.SortFunc(groups, func(a, b Group) int { return strings.Compare(a.Group, b.Group) })
	return groups, nil
}

// inspectedGroup is a group with the intermediate results of an inspection.
type inspectedGroup struct {
	group     Group
	committed offsets
	owners    map[kafka.TopicPartition]*Member // of the group's partitions with the prefix; nil: not assigned
}

// inspectGroup queries one group's members and offsets. It leaves out partitions of other prefixes.
func (i *Inspector) inspectGroup(ctx context.Context, name string) (inspectedGroup, error) {
	d, err := i.client.DescribeGroup(ctx, name)
	if err != nil {
		return inspectedGroup{}, err
	}
	committed, err := i.client.Committed(ctx, name)
	if err != nil {
		return inspectedGroup{}, err
	}
	l := inspectedGroup{committed: committed, owners: make(map[kafka.TopicPartition]*Member), group: Group{
		Group: name, State: d.State, Protocol: d.Protocol, Members: make([]Member, len(d.Members)), Streams: []string{},
		Partitions: []Lag{},
	}}
	for tp := range committed {
		if _, ours := i.stream(tp.Topic); ours {
			l.owners[tp] = nil
		}
	}
	slices.SortFunc(d.Members, func(a, b wire.DescribedMember) int {
		return cmp.Or(strings.Compare(a.ClientID, b.ClientID), strings.Compare(a.MemberID, b.MemberID))
	})
	for n := range d.Members {
		m := &l.group.Members[n]
		assigned := assignment(&d.Members[n])
		*m = i.member(&d.Members[n], assigned)
		if len(assigned) == 0 {
			l.group.EmptyMembers++
		}
		for _, tp := range assigned {
			if _, ours := i.stream(tp.Topic); ours {
				l.owners[tp] = m
			}
		}
	}
	streams := make(map[string]bool)
	for tp := range l.owners {
		stream, _ := i.stream(tp.Topic)
		streams[stream] = true
	}
	l.group.Streams = slices.AppendSeq(l.group.Streams, maps.Keys(streams))
	slices.Sort(l.group.Streams)
	return l, nil
}

// assignment returns the partitions of a member; none while the group rebalances, or when they cannot be decoded.
func assignment(d *wire.DescribedMember) []kafka.TopicPartition {
	parts, _, err := assign.ParseAssignment(d.Assignment)
	if err != nil {
		return nil
	}
	assigned := make([]kafka.TopicPartition, len(parts))
	for n, p := range parts {
		assigned[n] = kafka.TopicPartition(p)
	}
	slices.SortFunc(assigned, kafka.TopicPartition.Compare)
	return assigned
}

func (i *Inspector) member(d *wire.DescribedMember, assigned []kafka.TopicPartition) Member {
	m := Member{MemberID: d.MemberID, InstanceID: d.InstanceID, ClientID: d.ClientID,
		Host: strings.TrimPrefix(d.Host, "/"), Partitions: []Partition{}}
	for _, tp := range assigned {
		if stream, ours := i.stream(tp.Topic); ours {
			m.Partitions = append(m.Partitions, Partition{Stream: stream, Partition: tp.Partition})
		}
	}
	return m
}
