package kafka

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// quorumAnswer is a DescribeQuorum response, with its size and correlation id, as franz-go writes it.
func quorumAnswer(change func(*kmsg.DescribeQuorumResponse)) []byte {
	answer := kmsg.NewPtrDescribeQuorumResponse()
	answer.Version = describeQuorumVersion
	voter := func(id int32, ms int64) kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
		s := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
		s.ReplicaID, s.LogEndOffset, s.LastFetchTimestamp, s.LastCaughtUpTimestamp = id, 7, ms+1, ms
		return s
	}
	partition := kmsg.NewDescribeQuorumResponseTopicPartition()
	partition.LeaderID, partition.HighWatermark = 2, 9
	partition.CurrentVoters = append(partition.CurrentVoters, voter(1, 1000), voter(2, 2000))
	topic := kmsg.NewDescribeQuorumResponseTopic()
	topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, partition)
	answer.Topics = append(answer.Topics, topic)
	change(answer)
	frame := append(make([]byte, 8), 0) // size, correlation id, no tagged fields
	frame = answer.AppendTo(frame)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}

func TestQuorumTime(t *testing.T) {
	t.Parallel()
	frame := quorumAnswer(func(*kmsg.DescribeQuorumResponse) {})
	if at, err := quorumTime(frame); err != nil || !at.Equal(time.UnixMilli(2000)) {
		t.Errorf("the leader's time is %v, %v", at, err)
	}
	for n := range len(frame) - 8 { // the end is tagged fields and observers, which are not read
		if _, err := quorumTime(frame[:n]); err == nil {
			t.Errorf("%d bytes of %d are taken for an answer", n, len(frame))
		}
	}
	denied := quorumAnswer(func(r *kmsg.DescribeQuorumResponse) { r.ErrorCode = 31 })
	if _, err := quorumTime(denied); !errors.Is(err, ErrAuth) {
		t.Errorf("error %v", err)
	}
	empty := quorumAnswer(func(r *kmsg.DescribeQuorumResponse) { r.Topics = nil })
	if _, err := quorumTime(empty); !errors.Is(err, ErrNoClock) {
		t.Errorf("error %v", err)
	}
}

// The request is what franz-go writes.
func TestQuorumRequest(t *testing.T) {
	t.Parallel()
	request := kmsg.NewPtrDescribeQuorumRequest()
	request.Version = describeQuorumVersion
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	request.Topics = append(request.Topics, topic)
	want := kmsg.NewRequestFormatter(kmsg.FormatterClientID("doctor")).AppendRequest(nil, request, 5)
	if got := quorumRequest(5, "doctor"); string(got) != string(want) {
		t.Errorf("%x\nwant %x", got, want)
	}
}

func FuzzQuorumTime(f *testing.F) {
	f.Add(quorumAnswer(func(*kmsg.DescribeQuorumResponse) {}))
	f.Fuzz(func(_ *testing.T, frame []byte) { _, _ = quorumTime(frame) })
}
