package fetch

import "github.com/kafkaesk/kafkaesk/internal/kafka"

// BrokerOf returns the broker that a partition is read at.
func BrokerOf(f *Fetcher, tp kafka.TopicPartition) int32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.partitions[tp].broker
}
