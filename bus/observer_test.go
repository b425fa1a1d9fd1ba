package bus_test

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ends returns the ends of a stream's partitions.
func (w *world) ends(stream string) map[int32]int64 {
	w.t.Helper()
	meta := kmsg.NewPtrMetadataRequest()
	named := kmsg.NewMetadataRequestTopic()
	named.Topic = kmsg.StringPtr(w.prefix + stream)
	meta.Topics = append(meta.Topics, named)
	described, err := meta.RequestWith(w.t.Context(), w.raw)
	if err != nil {
		w.t.Fatalf("describe %q: %v", stream, err)
	}
	req := kmsg.NewPtrListOffsetsRequest()
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = w.prefix + stream
	for _, p := range described.Topics[0].Partitions {
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Partition, partition.Timestamp = p.Partition, -1
		topic.Partitions = append(topic.Partitions, partition)
	}
	req.Topics = append(req.Topics, topic)
	ends := make(map[int32]int64)
	for _, shard := range w.raw.RequestSharded(w.t.Context(), req) {
		if shard.Err != nil {
			w.t.Fatalf("list the ends of %q: %v", stream, shard.Err)
		}
		for _, p := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				w.t.Fatalf("list the end of %q, %d: %v", stream, p.Partition, err)
			}
			ends[p.Partition] = p.Offset
		}
	}
	return ends
}
