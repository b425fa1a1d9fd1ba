package assign

import (
	"encoding/binary"
	"hash/fnv"
	"iter"
	"maps"
	"slices"
)

const (
	userDataVersion = 1
	// maxUserData bounds what a member says of itself: the coordinator keeps the words of all members in
	// one record, which may have 1 MiB. What does not fit is only no longer kept in its place.
	maxUserData = 64 << 10

	noGeneration = -1
)

// UserData is what our members add to their subscription.
type UserData struct {
	// Topics is the member's view of the topics, by HashTopics. A follower that joins again changes
	// nothing unless its metadata changed: so its discoveries do.
	Topics     uint64
	Generation int32            // the last one that the member was in; -1 = none
	Owned      []TopicPartition // in that generation, so that they can stay where they are
}

// Encode returns the user data in at most 64 KiB, leaving out what is too much of Owned. It is the same
// for the same partitions in another order.
func (u UserData) Encode() []byte {
	b := []byte{userDataVersion}
	b = binary.BigEndian.AppendUint64(b, u.Topics)
	b = binary.BigEndian.AppendUint32(b, uint32(u.Generation))
	for topic := range byTopic(slices.Compact(slices.SortedFunc(slices.Values(u.Owned), comparePartitions))) {
		whole := len(b)
		b = binary.AppendUvarint(b, uint64(len(topic[0].Topic)))
		b = append(b, topic[0].Topic...)
		b = binary.AppendUvarint(b, uint64(len(topic)))
		next := int32(0)
		for _, p := range topic {
			b = binary.AppendUvarint(b, uint64(p.Partition-next)) // most often 0
			next = p.Partition + 1
		}
		if len(b) > maxUserData {
			return b[:whole]
		}
	}
	return b
}

// ParseUserData reads the user data of a member. That of other clients, and what makes no sense, is as
// good as none: generation -1, nothing owned. What it says is a claim, for an assignor to check.
func ParseUserData(b []byte) UserData {
	none := UserData{Generation: noGeneration}
	if len(b) < 1+8+4 || len(b) > maxUserData || b[0] != userDataVersion {
		return none
	}
	u := UserData{Topics: binary.BigEndian.Uint64(b[1:]), Generation: int32(binary.BigEndian.Uint32(b[9:]))}
	r := reader{b: b[13:]}
	for len(r.b) > 0 {
		topic := string(r.next(r.uvarint()))
		n := r.uvarint()
		for next := int32(0); n > 0 && !r.failed; n-- {
			p := next + r.uvarint()
			if p < next || p == 1<<31-1 {
				return none
			}
			u.Owned = append(u.Owned, TopicPartition{topic, p})
			next = p + 1
		}
	}
	if r.failed {
		return none
	}
	return u
}

// uvarint returns an unsigned varint of at most 31 bits.
func (r *reader) uvarint() int32 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > 1<<31-1 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[size:]
	return int32(n)
}

// HashTopics returns a number for a view of the topics and their partition counts. It is the same in
// every process.
func HashTopics(topics map[string]int) uint64 {
	h := fnv.New64a()
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		b := appendString(nil, topic)
		h.Write(binary.BigEndian.AppendUint32(b, uint32(topics[topic])))
	}
	return h.Sum64()
}

// byTopic cuts parts, which are in order, where a topic ends.
func byTopic(parts []TopicPartition) iter.Seq[[]TopicPartition] {
	return func(yield func([]TopicPartition) bool) {
		for len(parts) > 0 {
			n := slices.IndexFunc(parts, func(p TopicPartition) bool { return p.Topic != parts[0].Topic })
			if n < 0 {
				n = len(parts)
			}
			if !yield(parts[:n]) {
				return
			}
			parts = parts[n:]
		}
	}
}
