package assign

// Range gives each of a topic's subscribers, in order, a range of the topic's partitions: the ranges
// are equally long, but for the first few, which may be one longer. It is Java's default, for groups in
// which a member knows nothing else; it is uneven when there are many topics of few partitions.
type Range struct{}

// Name implements Assignor.
func (Range) Name() string { return "range" }

// Assign implements Assignor.
func (Range) Assign(topics map[string]int, members []Member) map[string][]TopicPartition {
	v := newView(topics, members)
	held := make([][]TopicPartition, len(v.members))
	for _, t := range v.topics {
		left, p := t.subscribers.len(), int32(0)
		for m := range t.subscribers.all() {
			for end := p + ceil(t.partitions-p, int32(left)); p < end; p++ {
				held[m] = append(held[m], TopicPartition{t.name, p})
			}
			left--
		}
	}
	return v.result(held)
}

// ceil returns a/b, rounded up.
func ceil(a, b int32) int32 { return (a + b - 1) / b }
