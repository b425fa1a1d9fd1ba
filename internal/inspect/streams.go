package inspect

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// Stream is a stream of the prefix.
type Stream struct {
	Stream     string `json:"stream"`
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"`
	// ReplicationFactor is that of the partition with the most replicas.
	ReplicationFactor int `json:"replication_factor"`
	// WithoutLeader is the number of partitions without a leader: these can neither be written nor read.
	WithoutLeader int `json:"without_leader"`
	// Records is the number of offsets from the first record to the end. It includes records that compaction has
	// removed and transaction markers. It is null if a lookup failed.
	Records *int64 `json:"records"`
	// LastRecordTime is the time of the newest record; null without a record, or if it could not be read.
	LastRecordTime *time.Time `json:"last_record_time"`
	// RetentionMS is the retention in milliseconds, -1 for unlimited; null without the right to read it.
	RetentionMS *int64 `json:"retention_ms"`
	// CleanupPolicy is Kafka's: delete, compact, or both; empty without the right to read it.
	CleanupPolicy string `json:"cleanup_policy"`
}

// Streams returns the streams that match, sorted by name. A nil match selects all.
func (i *Inspector) Streams(ctx context.Context, match func(stream string) bool) ([]Stream, error) {
	cluster, err := i.client.AllTopics(ctx)
	if err != nil {
		return nil, err
	}
	streams := []Stream{}
	var topics []string
	var parts []kafka.TopicPartition
	for _, name := range slices.Sorted(maps.Keys(cluster.Topics)) {
		topic := cluster.Topics[name]
		stream, ok := i.stream(name)
		if !ok || topic.Internal || match != nil && !match(stream) {
			continue
		}
		s := Stream{Stream: stream, Topic: name, Partitions: len(topic.Leaders), ReplicationFactor: topic.Replicas}
		for p, leader := range topic.Leaders {
			if leader == kafka.NoLeader {
				s.WithoutLeader++
				continue
			}
			parts = append(parts, kafka.TopicPartition{Topic: name, Partition: int32(p)})
		}
		streams, topics = append(streams, s), append(topics, name)
	}
	configs, err := i.client.TopicConfigs(ctx, topics, "retention.ms", "cleanup.policy")
	if err != nil {
		return nil, err
	}
	firsts, ends := i.bounds(ctx, parts)
	newest := i.newest(ctx, firsts, ends)
	for n := range streams {
		s := &streams[n]
		s.count(firsts, ends)
		if t, ok := newest[s.Topic]; ok {
			s.LastRecordTime = &t
		}
		s.CleanupPolicy = configs[s.Topic]["cleanup.policy"]
		if ms, err := strconv.ParseInt(configs[s.Topic]["retention.ms"], 10, 64); err == nil {
			s.RetentionMS = &ms
		}
	}
	return streams, nil
}

// count adds up the offsets of the stream's partitions if all of them are known.
func (s *Stream) count(firsts, ends offsets) {
	var records int64
	for p := range s.Partitions {
		tp := kafka.TopicPartition{Topic: s.Topic, Partition: int32(p)}
		first, known := firsts[tp]
		end, looked := ends[tp]
		if !known || !looked {
			return
		}
		records += end - first
	}
	s.Records = &records
}
