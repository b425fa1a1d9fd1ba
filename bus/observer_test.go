package bus_test

import (
	"context"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sample gives a book what a group has committed, again and again until ctx ends. What is not answered, because the
// coordinator is moving, is left out.
func (w *world) sample(ctx context.Context, book *chaosBook, group, stream string) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	for ; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		res, err := req.RequestWith(ctx, w.raw)
		if err != nil || res.ErrorCode != 0 {
			continue
		}
		committed := make(map[int32]int64)
		for _, t := range res.Topics {
			for _, p := range t.Partitions {
				if t.Topic == w.prefix+stream && p.ErrorCode == 0 && p.Offset >= 0 {
					committed[p.Partition] = p.Offset
				}
			}
		}
		book.sample(committed)
	}
}

// coordinator returns the id of the broker that coordinates a group, and the addresses of all brokers by id.
func (w *world) coordinator(group string) (id int32, addresses map[int32]string) {
	w.t.Helper()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey, find.CoordinatorKeys = group, []string{group}
	eventually(w.t, func() bool { // a cluster that has just started makes the offsets' topic first
		found, err := find.RequestWith(w.t.Context(), w.raw)
		if err != nil || len(found.Coordinators) != 1 || found.Coordinators[0].ErrorCode != 0 {
			return false
		}
		id = found.Coordinators[0].NodeID
		return true
	}, says("the group has no coordinator"))
	meta := kmsg.NewPtrMetadataRequest()
	meta.Topics = []kmsg.MetadataRequestTopic{}
	cluster, err := meta.RequestWith(w.t.Context(), w.raw)
	if err != nil {
		w.t.Fatalf("list the brokers: %v", err)
	}
	addresses = make(map[int32]string)
	for _, b := range cluster.Brokers {
		addresses[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	return id, addresses
}

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

// distinct returns sorted numbers without those that are there again.
func distinct(sorted []int) []int { return slices.Compact(slices.Clone(sorted)) }
