package fetch

import (
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// With client_rack, a leader answers that another replica is nearer (KIP-392), and gives no records.
const (
	// leastReplicaTime is for how long a partition is read at a replica at least, while that works, before the leader
	// is asked again which one to read; metadata_max_age_ms is, where it is longer.
	leastReplicaTime = time.Minute
	// leadersTime is for how long all leaders are read after a replica has failed: until the leaders have heard of it,
	// too.
	leadersTime = 10 * time.Second
)

// readReplicaLocked reads a partition at the replica that its leader has named.
func (f *Fetcher) readReplicaLocked(p *partition, replica int32) {
	p.replicaUntil = time.Now().Add(max(f.cfg.MetadataMaxAge, leastReplicaTime))
	f.log.Debug("fetch: reading from a replica", "topic", p.Topic, "partition", p.Partition, "leader", p.leader,
		"replica", replica)
	f.moveLocked(p, replica)
}

// leaveReplicaLocked reads a partition at its leader again.
func (f *Fetcher) leaveReplicaLocked(p *partition) {
	f.log.Debug("fetch: reading from the leader again", "topic", p.Topic, "partition", p.Partition, "leader", p.leader,
		"replica", p.broker)
	f.leadersUntil = time.Now().Add(leadersTime)
	p.replicaUntil = time.Time{}
	p.retryAt = time.Now().Add(reassignSoon)
	if f.partitions[p.TopicPartition] == p {
		f.moveLocked(p, p.leader)
	}
}

// leaveReplicasLocked is leaveReplicaLocked for all partitions that are read at a broker that does not lead them.
func (f *Fetcher) leaveReplicasLocked(l *loop) {
	if f.cfg.ClientRack == "" {
		return
	}
	for _, p := range f.partitions {
		if p.broker == l.broker && p.leader != l.broker && p.leader != kafka.NoLeader {
			f.leaveReplicaLocked(p)
		}
	}
}
