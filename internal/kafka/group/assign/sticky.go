package assign

import (
	"cmp"
	"slices"
)

// Sticky gives every member as many partitions as every other, counted over all topics, and leaves
// each partition with its owner as far as that allows.
//
// Where all members subscribe to the same topics no two of them differ by more than one partition, and
// no more partitions move than that takes. Where they do not, no exchange between any members, however
// long its chain, could bring two of them closer together.
//
// Of several members that claim a partition the one of the latest generation owns it.
type Sticky struct{}

// Name implements Assignor.
func (Sticky) Name() string { return "kafkaesk-sticky" }

// Assign implements Assignor.
func (Sticky) Assign(topics map[string]int, members []Member) map[string][]TopicPartition {
	v := newView(topics, members)
	b := balance{view: v, held: make([][]topicPartition, len(v.members)), balanced: newSet(len(v.members))}
	b.distribute(b.keep())
	for b.improve() {
	}
	held := make([][]TopicPartition, len(v.members))
	for m, partitions := range b.held {
		held[m] = make([]TopicPartition, len(partitions))
		for i, p := range partitions {
			held[m][i] = TopicPartition{v.topics[p.topic].name, p.partition}
		}
	}
	return v.result(held)
}

// topicPartition is a partition, by the number of its topic in the view.
type topicPartition struct {
	topic     int
	partition int32
}

// balance is an assignment in the making.
type balance struct {
	*view
	held     [][]topicPartition // by member; what stands last is given away first
	balanced set                // members from which no chain leads to one that has much less
}

// keep leaves partitions with those who rightly claim them. It returns the others, in order.
func (b *balance) keep() []topicPartition {
	owners := make([][]int, len(b.topics)) // by topic and partition; -1 = none
	for t := range b.topics {
		owners[t] = slices.Repeat([]int{-1}, int(b.topics[t].partitions))
	}
	for m := range b.members {
		for _, p := range b.members[m].Owned {
			t, ok := b.index[p.Topic]
			if !ok || p.Partition < 0 || p.Partition >= b.topics[t].partitions || !b.topics[t].subscribers.has(m) {
				continue
			}
			owner := &owners[t][p.Partition]
			if *owner < 0 || b.members[m].Generation > b.members[*owner].Generation {
				*owner = m
			}
		}
	}
	var free []topicPartition
	ranks := make([][]int, len(b.members)) // for each of held: how many of its topic stand before it
	for t := range owners {
		count := make(map[int]int)
		for p, m := range owners[t] {
			if m < 0 {
				free = append(free, topicPartition{t, int32(p)})
				continue
			}
			b.held[m] = append(b.held[m], topicPartition{t, int32(p)})
			ranks[m] = append(ranks[m], count[m])
			count[m]++
		}
	}
	for m := range b.held {
		b.held[m] = byRank(b.held[m], ranks[m])
	}
	return free
}

// byRank puts first places of topics before second ones and so on: a member then gives away first of
// the topics of which it has most.
func byRank(partitions []topicPartition, ranks []int) []topicPartition {
	order := make([]int, len(partitions))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(ranks[i], ranks[j]) })
	ranked := make([]topicPartition, len(partitions))
	for i, from := range order {
		ranked[i] = partitions[from]
	}
	return ranked
}

// distribute gives each of free to the subscriber that holds least.
func (b *balance) distribute(free []topicPartition) {
	for _, p := range free {
		to := -1
		for m := range b.topics[p.topic].subscribers.all() {
			if to < 0 || len(b.held[m]) < len(b.held[to]) {
				to = m
			}
		}
		b.held[to] = append(b.held[to], p)
	}
}

// step is how a member can be reached: by what another one can give it.
type step struct {
	from int
	at   int // in the other's held
}

// improve looks at the member that holds most of those not yet balanced, and for the member that holds
// least of all to which a chain of gifts leads from there: each gives the next a partition of a topic
// to which that one subscribes. If the two differ by more than one the gifts are made, else the first
// member is balanced. It returns false when there is nothing left to improve.
//
// A member once balanced stays so. Gifts go to the lowest within reach, so whatever the chain touches
// holds no less than that one, and neither the gifts nor the topics that they open to others bring
// anyone within reach of less than was there before. An assignment in which all are balanced is as even
// as the subscriptions allow.
func (b *balance) improve() bool {
	most, least := -1, -1
	for m := range b.held {
		if !b.balanced.has(m) && (most < 0 || len(b.held[m]) > len(b.held[most])) {
			most = m
		}
		if least < 0 || len(b.held[m]) < len(b.held[least]) {
			least = m
		}
	}
	if most < 0 || len(b.held[most]) < len(b.held[least])+2 {
		return false
	}
	to, steps := b.search(most, len(b.held[least]))
	if len(b.held[most]) < len(b.held[to])+2 {
		b.balanced.add(most)
		return true
	}
	for to != most {
		s := steps[to]
		gift := b.held[s.from][s.at]
		b.held[s.from] = slices.Delete(b.held[s.from], s.at, s.at+1)
		b.held[to] = append(b.held[to], gift)
		to = s.from
	}
	return true
}

// search returns the member that holds least within reach of from, by the fewest gifts, and the steps
// that lead to it. It stops early at one that holds no more than least.
func (b *balance) search(from, least int) (to int, steps []step) {
	steps = make([]step, len(b.members))
	reached, seen := newSet(len(b.members)), newSet(len(b.topics))
	reached.add(from)
	to = from
	queue := []int{from}
	for len(queue) > 0 {
		m := queue[0]
		queue = queue[1:]
		for at, p := range slices.Backward(b.held[m]) {
			if seen.has(p.topic) {
				continue
			}
			seen.add(p.topic)
			for next := range b.topics[p.topic].subscribers.without(reached) {
				reached.add(next)
				steps[next] = step{m, at}
				queue = append(queue, next)
				if len(b.held[next]) < len(b.held[to]) {
					to = next
				}
				if len(b.held[to]) <= least {
					return to, steps
				}
			}
		}
	}
	return to, steps
}
