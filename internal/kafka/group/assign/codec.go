package assign

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// version is the one of the embedded consumer protocol that we write. Every client reads it. Clients
// append to it what later versions have, so any of them can be read by leaving the end alone.
const version = 0

// Subscription is what a member tells the leader when it joins.
type Subscription struct {
	Topics   []string
	UserData []byte // for the assignor; its own affair
}

// Encode returns the subscription as other clients read it, topics sorted.
func (s Subscription) Encode() []byte {
	b := binary.BigEndian.AppendUint16(nil, version)
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.Topics)))
	for _, topic := range slices.Sorted(slices.Values(s.Topics)) {
		b = appendString(b, topic)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.UserData)))
	return append(b, s.UserData...)
}

// ParseSubscription reads what a member of any client sent. Its user data is a view into b; where it
// cannot be read there is none.
func ParseSubscription(b []byte) (Subscription, error) {
	r := reader{b: b}
	r.int16() // version
	s := Subscription{}
	if n := r.count(2); n > 0 {
		s.Topics = make([]string, n)
		for i := range s.Topics {
			s.Topics[i] = r.string()
		}
	}
	if r.failed {
		return Subscription{}, fmt.Errorf("assign: reading a subscription of %d bytes: %w", len(b), errMalformed)
	}
	s.UserData = r.next(r.int32())
	return s, nil
}

// ParseMember reads what the leader was told of a member: its subscription, and what our own members
// add to it. On an error the Member has nothing but its names, and Assign gives it nothing.
func ParseMember(id, instanceID string, metadata []byte) (Member, error) {
	m := Member{ID: id, InstanceID: instanceID, Generation: noGeneration}
	s, err := ParseSubscription(metadata)
	if err != nil {
		return m, fmt.Errorf("%w (member %q)", err, id)
	}
	data := ParseUserData(s.UserData)
	m.Topics, m.Generation, m.Owned, m.Seen = s.Topics, data.Generation, data.Owned, data.Topics
	return m, nil
}

// EncodeAssignment returns the assignment of a member as other clients read it, in order. Seen is the
// Member's, and goes back to it: a static member that comes back is given what was assigned before it went,
// and tells by this that it was for other topics.
func EncodeAssignment(parts []TopicPartition, seen uint64) []byte {
	parts = slices.SortedFunc(slices.Values(parts), comparePartitions)
	b := binary.BigEndian.AppendUint16(nil, version)
	at, topics := len(b), 0
	b = append(b, 0, 0, 0, 0)
	for topic := range byTopic(parts) {
		topics++
		b = appendString(b, topic[0].Topic)
		b = binary.BigEndian.AppendUint32(b, uint32(len(topic)))
		for _, p := range topic {
			b = binary.BigEndian.AppendUint32(b, uint32(p.Partition))
		}
	}
	binary.BigEndian.PutUint32(b[at:], uint32(topics))
	if seen == 0 {
		return append(b, 0, 0, 0, 0) // user data: empty, as Python's
	}
	b = append(b, 0, 0, 0, 1+8, userDataVersion)
	return binary.BigEndian.AppendUint64(b, seen)
}

// ParseAssignment reads what the leader, of any client, gave us. No bytes are no partitions. Seen is 0 where
// the leader did not say for which view of ours it is.
func ParseAssignment(b []byte) (parts []TopicPartition, seen uint64, err error) {
	if len(b) == 0 {
		return nil, 0, nil
	}
	r := reader{b: b}
	r.int16() // version
	for range r.count(2 + 4) {
		topic := r.string()
		for range r.count(4) {
			p := TopicPartition{topic, r.int32()}
			r.failed = r.failed || p.Partition < 0
			parts = append(parts, p)
		}
	}
	if r.failed {
		return nil, 0, fmt.Errorf("assign: reading an assignment of %d bytes: %w", len(b), errMalformed)
	}
	if data := r.next(r.int32()); len(data) == 1+8 && data[0] == userDataVersion {
		seen = binary.BigEndian.Uint64(data[1:])
	}
	return parts, seen, nil
}

var errMalformed = errors.New("a count or a length in it is negative or exceeds its bytes")

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// reader reads the protocol's types one after another. After the first that is not there it has failed,
// and all that follow are zero.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) next(n int32) []byte {
	if r.failed || n < 0 || int64(n) > int64(len(r.b)) {
		r.failed, r.b = true, nil
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) int16() int16 {
	if b := r.next(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.next(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) string() string { return string(r.next(int32(r.int16()))) }

// count returns the length of an array whose elements have at least size bytes each.
func (r *reader) count(size int) int {
	n := r.int32()
	if n < 0 || int64(n) > int64(len(r.b)/size) {
		r.failed, r.b = true, nil
		return 0
	}
	return int(n)
}
