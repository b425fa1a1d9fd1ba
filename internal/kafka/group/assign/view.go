package assign

import (
	"iter"
	"math/bits"
	"slices"
	"strings"
)

// view is what an assignor has to divide, in order and with numbers for names.
type view struct {
	members []Member
	topics  []topic // that the cluster has and someone subscribes to
	index   map[string]int
}

type topic struct {
	name        string
	partitions  int32
	subscribers set // of members
}

func newView(counts map[string]int, members []Member) *view {
	v := &view{members: sorted(members), index: make(map[string]int)}
	for m := range v.members {
		for _, name := range v.members[m].Topics {
			i, ok := v.index[name]
			if !ok {
				if counts[name] <= 0 {
					continue
				}
				i = len(v.topics)
				v.index[name] = i
				v.topics = append(v.topics, topic{name, int32(counts[name]), newSet(len(members))})
			}
			v.topics[i].subscribers.add(m)
		}
	}
	slices.SortFunc(v.topics, func(a, b topic) int { return strings.Compare(a.name, b.name) })
	for i := range v.topics {
		v.index[v.topics[i].name] = i
	}
	return v
}

// result returns what each member holds.
func (v *view) result(held [][]TopicPartition) map[string][]TopicPartition {
	r := make(map[string][]TopicPartition, len(held))
	for m, parts := range held {
		slices.SortFunc(parts, comparePartitions)
		r[v.members[m].ID] = parts
	}
	return r
}

// set is a set of small numbers.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func (s set) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s set) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

func (s set) len() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// all returns the members of the set in order.
func (s set) all() iter.Seq[int] { return s.without(nil) }

// without returns the members of the set that are not in other, in order. Those that are added to other
// while they are returned change nothing.
func (s set) without(other set) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range s {
			if other != nil {
				w &^= other[i]
			}
			for ; w != 0; w &= w - 1 {
				if !yield(i*64 + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}
