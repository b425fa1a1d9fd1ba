package assign

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// deals writes what each member got: "m1: a/0 a/1".
func deals(got map[string][]TopicPartition) []string {
	var lines []string
	for id, parts := range got {
		line := id + ":"
		for _, p := range parts {
			line += fmt.Sprintf(" %s/%d", p.Topic, p.Partition)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

func on(id string, topics ...string) Member {
	return Member{ID: id, Topics: topics, Generation: noGeneration}
}

// owning is m with what it owned in a generation.
func owning(m Member, generation int32, parts ...TopicPartition) Member {
	m.Generation, m.Owned = generation, parts
	return m
}

func TestAssign(t *testing.T) {
	t.Parallel()
	four := map[string]int{"a": 1, "b": 1, "c": 1, "d": 1}
	all := []string{"a", "b", "c", "d"}
	tests := []struct {
		name     string
		assignor Assignor
		topics   map[string]int
		members  []Member
		want     []string
	}{
		{"roundrobin of Java's documentation, same topics", RoundRobin{}, map[string]int{"t0": 3, "t1": 3},
			[]Member{on("c1", "t0", "t1"), on("c0", "t0", "t1")},
			[]string{"c0: t0/0 t0/2 t1/1", "c1: t0/1 t1/0 t1/2"}},
		{"roundrobin of Java's documentation, different topics", RoundRobin{}, map[string]int{"t0": 1, "t1": 2, "t2": 3},
			[]Member{on("c0", "t0"), on("c1", "t0", "t1"), on("c2", "t0", "t1", "t2")},
			[]string{"c0: t0/0", "c1: t1/0", "c2: t1/1 t2/0 t2/1 t2/2"}},
		{"roundrobin is not moved by claims", RoundRobin{}, map[string]int{"a": 2},
			[]Member{owning(on("m1", "a"), 1, TopicPartition{"a", 1}), owning(on("m2", "a"), 1, TopicPartition{"a", 0})},
			[]string{"m1: a/0", "m2: a/1"}},
		{"roundrobin goes on in the circle from topic to topic", RoundRobin{}, four,
			[]Member{on("m3", all...), on("m1", all...), on("m2", all...)},
			[]string{"m1: a/0 d/0", "m2: b/0", "m3: c/0"}},
		{"roundrobin, static members first", RoundRobin{}, map[string]int{"a": 3},
			[]Member{on("m1", "a"), {ID: "m9", InstanceID: "s1", Topics: []string{"a"}},
				{ID: "m0", InstanceID: "s2", Topics: []string{"a"}}},
			[]string{"m0: a/1", "m1: a/2", "m9: a/0"}},
		{"range of Java's documentation", Range{}, map[string]int{"t0": 3, "t1": 3},
			[]Member{on("c1", "t1", "t0"), on("c0", "t0", "t1")},
			[]string{"c0: t0/0 t0/1 t1/0 t1/1", "c1: t0/2 t1/2"}},
		{"range, a topic not all subscribe to", Range{}, map[string]int{"a": 5, "b": 1},
			[]Member{on("m1", "a"), on("m2", "a", "b"), on("m3", "b"), on("m4", "a")},
			[]string{"m1: a/0 a/1", "m2: a/2 a/3 b/0", "m3:", "m4: a/4"}},
		{"range, more members than partitions", Range{}, map[string]int{"a": 2},
			[]Member{on("m1", "a"), on("m2", "a"), on("m3", "a")},
			[]string{"m1: a/0", "m2: a/1", "m3:"}},
		{"sticky counts over all topics", Sticky{}, four,
			[]Member{on("m1", all...), on("m2", all...), on("m3", all...)},
			[]string{"m1: a/0 d/0", "m2: b/0", "m3: c/0"}},
		{"sticky, nobody knows the member", Sticky{}, map[string]int{"a": 3},
			[]Member{on("m1", "a"), {ID: "unreadable"}},
			[]string{"m1: a/0 a/1 a/2", "unreadable:"}},
		{"sticky keeps what is in balance", Sticky{}, map[string]int{"a": 4},
			[]Member{owning(on("m1", "a"), 5, TopicPartition{"a", 3}, TopicPartition{"a", 1}),
				owning(on("m2", "a"), 5, TopicPartition{"a", 0}, TopicPartition{"a", 2})},
			[]string{"m1: a/1 a/3", "m2: a/0 a/2"}},
		{"sticky, the newer claim wins", Sticky{}, map[string]int{"a": 2},
			[]Member{owning(on("m1", "a"), 4, TopicPartition{"a", 0}, TopicPartition{"a", 1}),
				owning(on("m2", "a"), 5, TopicPartition{"a", 0})},
			[]string{"m1: a/1", "m2: a/0"}},
		{"sticky, claims to what is not there or not subscribed", Sticky{}, map[string]int{"a": 1, "b": 1},
			[]Member{owning(on("m1", "a"), 4, TopicPartition{"a", 1}, TopicPartition{"a", -1}, TopicPartition{"b", 0},
				TopicPartition{"x", 0}), on("m2", "a", "b")},
			[]string{"m1: a/0", "m2: b/0"}},
		{"sticky, a claim made twice", Sticky{}, map[string]int{"a": 2},
			[]Member{owning(on("m1", "a"), 4, TopicPartition{"a", 1}, TopicPartition{"a", 1}), on("m2", "a")},
			[]string{"m1: a/1", "m2: a/0"}},
		{"sticky gives from the topic of which most is held", Sticky{}, map[string]int{"a": 3, "b": 1},
			[]Member{owning(on("m1", "a", "b"), 4, TopicPartition{"a", 0}, TopicPartition{"a", 1}, TopicPartition{"a", 2},
				TopicPartition{"b", 0}), on("m2", "a", "b")},
			[]string{"m1: a/0 b/0", "m2: a/1 a/2"}},
		{"sticky, even through a chain", Sticky{}, map[string]int{"a": 3, "b": 2},
			// m1 has too many, m3 too few, and only m2 shares a topic with each of them.
			[]Member{
				owning(on("m1", "a"), 4, TopicPartition{"a", 0}, TopicPartition{"a", 1}, TopicPartition{"a", 2}),
				owning(on("m2", "a", "b"), 4, TopicPartition{"b", 0}, TopicPartition{"b", 1}),
				on("m3", "b"),
			},
			[]string{"m1: a/0 a/1", "m2: a/2 b/0", "m3: b/1"}},
		{"sticky, one topic is for one member only", Sticky{}, map[string]int{"a": 6, "b": 2},
			[]Member{on("m1", "a", "b"), on("m2", "b")},
			[]string{"m1: a/0 a/1 a/2 a/3 a/4 a/5", "m2: b/0 b/1"}},
	}
	for _, a := range Assignors() {
		tests = append(tests, []struct {
			name     string
			assignor Assignor
			topics   map[string]int
			members  []Member
			want     []string
		}{
			{a.Name() + ", nobody", a, four, nil, nil},
			{a.Name() + ", no topics", a, nil, []Member{on("m1", "a")}, []string{"m1:"}},
			{a.Name() + ", a topic the cluster lacks", a, map[string]int{"b": 1, "c": 0}, []Member{on("m1", "a", "b", "c")},
				[]string{"m1: b/0"}},
			{a.Name() + ", a topic named twice", a, map[string]int{"a": 2}, []Member{on("m1", "a", "a")},
				[]string{"m1: a/0 a/1"}},
		}...)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, deals(tt.assignor.Assign(tt.topics, tt.members))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"kafkaesk-sticky", "roundrobin", "range"} {
		if a := Find(name); a == nil || a.Name() != name {
			t.Errorf("%s: %v", name, a)
		}
	}
	if a := Find("cooperative-sticky"); a != nil {
		t.Errorf("found %s", a.Name())
	}
}

// drawTopics draws the topics of a cluster.
func drawTopics(t *rapid.T) map[string]int {
	return rapid.MapOfN(rapid.StringMatching(`[a-h]`), rapid.IntRange(0, 9), 0, 8).Draw(t, "topics")
}

// drawMembers draws members with claims, true and false ones.
func drawMembers(t *rapid.T) []Member {
	topic := rapid.StringMatching(`[a-i]`)
	claim := rapid.Custom(func(t *rapid.T) TopicPartition {
		return TopicPartition{topic.Draw(t, "topic"), rapid.Int32Range(-1, 10).Draw(t, "partition")}
	})
	return rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Member {
		return Member{
			ID:         rapid.StringMatching(`m[0-9]{2}`).Draw(t, "id"),
			InstanceID: rapid.SampledFrom([]string{"", "", "s1", "s2"}).Draw(t, "instance"),
			Topics:     rapid.SliceOfN(topic, 0, 9).Draw(t, "topics"),
			Generation: rapid.Int32Range(-1, 3).Draw(t, "generation"),
			Owned:      rapid.SliceOfN(claim, 0, 20).Draw(t, "owned"),
		}
	}), 0, 12, func(m Member) string { return m.ID }).Draw(t, "members")
}

// ownersOf checks that each partition of a subscribed topic has one owner, which subscribes to it, and
// returns the owners.
func ownersOf(t *rapid.T, topics map[string]int, members []Member,
	got map[string][]TopicPartition) map[TopicPartition]string {
	if len(got) != len(members) {
		t.Fatalf("%d members got something out of %d", len(got), len(members))
	}
	owners := make(map[TopicPartition]string)
	want := make(map[TopicPartition]bool)
	for _, m := range members {
		for _, topic := range m.Topics {
			for p := range topics[topic] {
				want[TopicPartition{topic, int32(p)}] = true
			}
		}
		if !slices.IsSortedFunc(got[m.ID], comparePartitions) {
			t.Fatalf("%s: not in order: %v", m.ID, got[m.ID])
		}
		for _, p := range got[m.ID] {
			if other, ok := owners[p]; ok {
				t.Fatalf("%v: of %s and %s", p, other, m.ID)
			}
			if !slices.Contains(m.Topics, p.Topic) {
				t.Fatalf("%v: %s does not subscribe", p, m.ID)
			}
			owners[p] = m.ID
		}
	}
	for p := range owners {
		if !want[p] {
			t.Fatalf("%v does not exist", p)
		}
	}
	if len(owners) != len(want) {
		t.Fatalf("%d partitions assigned of %d", len(owners), len(want))
	}
	return owners
}

// moved counts the partitions that an owner lost, though it is still there.
func moved(before, after map[TopicPartition]string, still map[string][]TopicPartition) int {
	n := 0
	for p, owner := range before {
		if _, ok := still[owner]; ok && after[p] != owner {
			n++
		}
	}
	return n
}

func spread(got map[string][]TopicPartition) int {
	least, most := 1<<30, 0
	for _, parts := range got {
		least, most = min(least, len(parts)), max(most, len(parts))
	}
	return most - least
}

// assignUntilStable returns the members as they join after got.
func assignUntilStable(members []Member, got map[string][]TopicPartition, generation int32) []Member {
	members = slices.Clone(members)
	for i, m := range members {
		if _, ok := got[m.ID]; ok {
			members[i].Generation, members[i].Owned = generation, got[m.ID]
		}
	}
	return members
}

func TestEveryPartitionHasOneOwnerWhichSubscribes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		topics, members := drawTopics(t), drawMembers(t)
		for _, a := range Assignors() {
			got := a.Assign(topics, members)
			ownersOf(t, topics, members, got)
			shuffled := rapid.Permutation(members).Draw(t, "order")
			if diff := cmp.Diff(deals(got), deals(a.Assign(topics, shuffled))); diff != "" {
				t.Fatalf("%s: another order of members: %s", a.Name(), diff)
			}
		}
	})
}

// With the same topics for all: even, and no more moves than that takes.
func TestStickyWithEqualSubscriptions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		topics, members := drawTopics(t), drawMembers(t)
		for i := range members {
			members[i].Topics = []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}
		}
		if len(members) == 0 {
			return
		}
		check := func(members []Member) (map[string][]TopicPartition, map[TopicPartition]string) {
			got := Sticky{}.Assign(topics, members)
			owners := ownersOf(t, topics, members, got)
			if n := spread(got); n > 1 {
				t.Fatalf("members differ by %d: %v", n, deals(got))
			}
			return got, owners
		}
		got, owners := check(members)
		members = assignUntilStable(members, got, 7)
		again, _ := check(members)
		if diff := cmp.Diff(deals(got), deals(again)); diff != "" {
			t.Fatalf("nothing changed but the assignment: %s", diff)
		}
		// A new member takes what balance needs, and nothing else moves.
		joined, owners2 := check(append(slices.Clone(members), on("new", members[0].Topics...)))
		if n := moved(owners, owners2, joined); n != len(joined["new"]) {
			t.Fatalf("%d partitions moved, the new member got %d", n, len(joined["new"]))
		}
		// A member that leaves leaves its own, and nothing else moves.
		left := slices.Delete(slices.Clone(members), 0, 1)
		if len(left) > 0 {
			rest, owners3 := check(left)
			if n := moved(owners, owners3, rest); n > 0 {
				t.Fatalf("%d partitions of members that stayed moved", n)
			}
		}
		// The cluster changed: of what is still there a member keeps its share, and one more if that is
		// among the remainder of the division.
		topics = drawTopics(t)
		changed, owners4 := check(members)
		share, remainder := len(owners4)/len(members), len(owners4)%len(members)
		keep := 0
		for _, m := range members {
			still := 0
			for _, p := range got[m.ID] {
				if int(p.Partition) < topics[p.Topic] {
					still++
				}
			}
			keep += min(still, share)
			if still > share && remainder > 0 {
				keep++
				remainder--
			}
		}
		kept := 0
		for _, m := range members {
			for _, p := range changed[m.ID] {
				if owners[p] == m.ID {
					kept++
				}
			}
		}
		if kept != keep {
			t.Fatalf("%d partitions stayed, %d could have", kept, keep)
		}
	})
}

// With any subscriptions: as even as they allow, which a slow search proves, and nothing moves when
// nothing changed.
func TestStickyWithAnySubscriptions(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		topics, members := drawTopics(t), drawMembers(t)
		got := Sticky{}.Assign(topics, members)
		owners := ownersOf(t, topics, members, got)
		subscribes := func(id, topic string) bool {
			i := slices.IndexFunc(members, func(m Member) bool { return m.ID == id })
			return slices.Contains(members[i].Topics, topic)
		}
		for from := range got {
			reached := map[string]bool{from: true}
			for grew := true; grew; {
				grew = false
				for p, owner := range owners {
					for to := range got {
						if reached[owner] && !reached[to] && subscribes(to, p.Topic) {
							reached[to], grew = true, true
						}
					}
				}
			}
			for to := range reached {
				if len(got[from]) > len(got[to])+1 {
					t.Fatalf("%s could give to %s: %v", from, to, deals(got))
				}
			}
		}
		if diff := cmp.Diff(deals(got), deals(Sticky{}.Assign(topics, assignUntilStable(members, got, 7)))); diff != "" {
			t.Fatalf("nothing changed but the assignment: %s", diff)
		}
	})
}

// large is a cluster of 10,000 partitions and a group of 100 members.
func large(distinct bool) (map[string]int, []Member) {
	topics := make(map[string]int)
	var names []string
	for i := range 2500 {
		name := fmt.Sprintf("topic-%d", i)
		topics[name], names = 4, append(names, name)
	}
	var members []Member
	for i := range 100 {
		m := on(fmt.Sprintf("member-%d", i), names...)
		if distinct { // a window of the topics for each
			m.Topics = names[i*20 : i*20+500]
		}
		members = append(members, m)
	}
	return topics, members
}

func BenchmarkAssign(b *testing.B) {
	for _, distinct := range []bool{false, true} {
		topics, members := large(distinct)
		owned := assignUntilStable(members, Sticky{}.Assign(topics, members), 7)
		// One member had it all until now, as when a group grows from 1 to 100.
		grown := slices.Clone(members)
		grown[0].Generation = 7
		for _, name := range members[0].Topics {
			for p := range topics[name] {
				grown[0].Owned = append(grown[0].Owned, TopicPartition{name, int32(p)})
			}
		}
		shape := "equal"
		if distinct {
			shape = "distinct"
		}
		for _, bench := range []struct {
			name     string
			assignor Assignor
			members  []Member
		}{
			{"sticky/first", Sticky{}, members}, {"sticky/unchanged", Sticky{}, owned}, {"sticky/one left", Sticky{}, owned[1:]},
			{"sticky/from one", Sticky{}, grown}, {"roundrobin", RoundRobin{}, members}, {"range", Range{}, members},
		} {
			b.Run(shape+"/"+bench.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					bench.assignor.Assign(topics, bench.members)
				}
			})
		}
	}
}
