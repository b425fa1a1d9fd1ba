package wire

import (
	"io"
	"maps"
	"slices"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"
	"github.com/segmentio/kafka-go/protocol/offsetfetch"
)

// CommitOffsets writes down how far the member got. The answer is a *CommitAnswer.
type CommitOffsets struct {
	Member
	Generation int32 // the one in which the records were received: a later one has other owners
	Offsets    []PartitionOffset
}

// PartitionOffset is a place in a partition.
type PartitionOffset struct {
	Topic     string
	Partition int32
	Offset    int64 // of the next record to be handled
}

// CommitAnswer is the answer to a CommitOffsets.
type CommitAnswer struct {
	Partitions []CommittedPartition
}

// CommittedPartition says whether a partition's offset was written.
type CommittedPartition struct {
	Topic     string
	Partition int32
	Code      int16 // Kafka's error code; 0 = written
}

// ApiKey implements protocol.Message.
func (*CommitOffsets) ApiKey() protocol.ApiKey { return protocol.OffsetCommit }

// ApiKey implements protocol.Message.
func (*CommitAnswer) ApiKey() protocol.ApiKey { return protocol.OffsetCommit }

// RawExchange implements protocol.RawExchanger.
func (c *CommitOffsets) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	req := &offsetcommit.Request{
		GroupID: c.GroupID, GenerationID: c.Generation, MemberID: c.MemberID, GroupInstanceID: c.InstanceID,
		RetentionTimeMs: -1, // the broker's
	}
	topics := make(map[string]int)
	for _, o := range c.Offsets {
		i, ok := topics[o.Topic]
		if !ok {
			i = len(req.Topics)
			topics[o.Topic] = i
			req.Topics = append(req.Topics, offsetcommit.RequestTopic{Name: o.Topic})
		}
		t := &req.Topics[i]
		t.Partitions = append(t.Partitions, offsetcommit.RequestPartition{
			PartitionIndex: o.Partition, CommittedOffset: o.Offset, CommittedLeaderEpoch: -1,
		})
	}
	r, err := c.exchange(rw, groupVersions{least: 7, newest: 7, flexible: 8}, req, groupAnswerLimit)
	if err != nil {
		return nil, err
	}
	return parseCommit(r)
}

func parseCommit(r *groupReader) (*CommitAnswer, error) {
	r.int32() // throttle time: the broker itself waits
	a := new(CommitAnswer)
	for range r.count(2 + 4) {
		topic := r.string()
		for range r.count(4 + 2) {
			p := CommittedPartition{Topic: topic, Partition: r.int32(), Code: r.int16()}
			if r.failed {
				break
			}
			a.Partitions = append(a.Partitions, p)
		}
	}
	if err := r.err(protocol.OffsetCommit); err != nil {
		return nil, err
	}
	return a, nil
}

// FetchOffsets asks how far the group got. It needs no membership: of Member only the group counts. The
// answer is an *OffsetsAnswer.
type FetchOffsets struct {
	Member
	Partitions map[string][]int32 // by topic
	All        bool               // asks for all that the group has committed, instead of Partitions
}

// OffsetsAnswer is the answer to a FetchOffsets.
type OffsetsAnswer struct {
	Code       int16 // Kafka's error code for the request as a whole
	Partitions []FetchedOffset
}

// FetchedOffset is how far the group got in a partition.
type FetchedOffset struct {
	Topic     string
	Partition int32
	Code      int16 // Kafka's error code; 0 = none
	Offset    int64 // of the next record to be handled; -1 = the group has committed none
}

// ApiKey implements protocol.Message.
func (*FetchOffsets) ApiKey() protocol.ApiKey { return protocol.OffsetFetch }

// ApiKey implements protocol.Message.
func (*OffsetsAnswer) ApiKey() protocol.ApiKey { return protocol.OffsetFetch }

// RawExchange implements protocol.RawExchanger.
func (f *FetchOffsets) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	req := &offsetfetch.Request{GroupID: f.GroupID} // null topics ask for everything
	if !f.All {
		req.Topics = make([]offsetfetch.RequestTopic, 0, len(f.Partitions))
	}
	for _, topic := range slices.Sorted(maps.Keys(f.Partitions)) {
		req.Topics = append(req.Topics, offsetfetch.RequestTopic{Name: topic, PartitionIndexes: f.Partitions[topic]})
	}
	r, err := f.exchange(rw, groupVersions{least: 5, newest: 5, flexible: 6}, req, groupAnswerLimit)
	if err != nil {
		return nil, err
	}
	return parseOffsets(r)
}

func parseOffsets(r *groupReader) (*OffsetsAnswer, error) {
	r.int32() // throttle time
	a := new(OffsetsAnswer)
	for range r.count(2 + 4) {
		topic := r.string()
		for range r.count(4 + 8 + 4 + 2 + 2) {
			p := FetchedOffset{Topic: topic, Partition: r.int32(), Offset: r.int64()}
			r.int32()      // leader epoch
			_ = r.string() // metadata
			p.Code = r.int16()
			if r.failed {
				break
			}
			a.Partitions = append(a.Partitions, p)
		}
	}
	a.Code = r.int16()
	if err := r.err(protocol.OffsetFetch); err != nil {
		return nil, err
	}
	return a, nil
}

var (
	_ groupRequest = (*CommitOffsets)(nil)
	_ groupRequest = (*FetchOffsets)(nil)
)
