package assign

// RoundRobin deals the partitions, in order, in a circle over the members, in order. A member without
// the topic is passed over. It is the assignor of Python's kafkaesk, to the letter.
type RoundRobin struct{}

// Name implements Assignor.
func (RoundRobin) Name() string { return "roundrobin" }

// Assign implements Assignor.
func (RoundRobin) Assign(topics map[string]int, members []Member) map[string][]TopicPartition {
	v := newView(topics, members)
	held := make([][]TopicPartition, len(v.members))
	at := 0
	for _, t := range v.topics {
		for p := range t.partitions {
			for !t.subscribers.has(at) {
				at = (at + 1) % len(v.members)
			}
			held[at] = append(held[at], TopicPartition{t.name, p})
			at = (at + 1) % len(v.members)
		}
	}
	return v.result(held)
}
