package group

import (
	"context"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// Looks at the cluster are so far apart, within these as MetadataMaxAge is: a snapshot that has been seen is not looked at again.
const (
	minLook = 100 * time.Millisecond
	maxLook = time.Second
)

// resolver notices topics that come, go and grow. It asks for what the Transport knows of all topics, and so creates none.
type resolver struct {
	client *kafka.Client
	match  func(topic string) bool
	post   func(news) // changed: at first, and whenever the topics that are wanted and there, or the others, are not what they were. And unseen

	// Of run alone:
	last    *kafka.Cluster
	missing map[string]bool // not in the last snapshot, but still in topics

	mu     sync.Mutex
	topics map[string]int // wanted, with their partition counts, as posted; nil before the first look. Only run replaces it
	first  map[string]int // partition counts at the first look; less where a topic has shrunk or gone since
	others map[string]int // what else the group's leader has to watch, with the partition counts it dealt out
}

// run looks until ctx ends.
func (r *resolver) run(ctx context.Context) {
	every := min(max(r.client.Settings().MetadataMaxAge, minLook), maxLook)
	backoff := pauses(r.client.Settings())
	for failures := 0; ; {
		cluster, err := r.client.Cluster(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := every - every/4 + rand.N(every/2) // many members must not look, and join, in step
		switch {
		case err == nil:
			if failures > 0 {
				r.post(news{event: event{what: unseen}})
			}
			failures = 0
			if r.look(cluster) {
				r.post(news{event: event{what: changed}, topics: maps.Clone(r.topics)})
			}
		default:
			r.post(news{event: event{what: unseen, err: err}})
			wait = backoff.Delay(failures)
			if faultOf(err) == denied {
				wait = slowly
			}
			failures++
		}
		if kafka.Sleep(ctx, wait) != nil {
			return
		}
	}
}

// look compares a snapshot with the one before, and reports whether the group has to know.
func (r *resolver) look(cluster *kafka.Cluster) bool {
	if cluster == r.last {
		return false
	}
	r.last = cluster
	topics := make(map[string]int)
	for name, topic := range cluster.Topics {
		if topic.Internal || !r.match(name) {
			continue
		}
		n := len(topic.Leaders)
		if n == 0 {
			n = r.topics[name] // the broker cannot describe it at the moment
		}
		if n > 0 {
			topics[name] = n
		}
	}
	// A topic has gone when two snapshots say so: that of a broker that has just started may be empty.
	missing := make(map[string]bool)
	for name, n := range r.topics {
		if topics[name] == 0 && !r.missing[name] {
			missing[name], topics[name] = true, n
		}
	}
	news := r.topics == nil || !maps.Equal(r.topics, topics)

	r.mu.Lock()
	defer r.mu.Unlock()
	r.topics, r.missing = topics, missing
	if r.first == nil {
		r.first = maps.Clone(topics)
	}
	for name, n := range r.first {
		r.first[name] = min(n, topics[name])
	}
	for name, n := range r.others {
		if now := partitions(cluster, name); now != n {
			r.others[name] = now
			news = true
		}
	}
	return news
}

// lead makes the resolver watch topics that only other members want, because only the leader's view counts. Nil ends that.
func (r *resolver) lead(others map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.others = maps.Clone(others)
}

// count returns how many partitions of a topic are to be dealt out. One that the snapshot lacks has those it had, until the resolver itself
// takes it for gone: it would not notice, and nobody would join again, if a leader had left it out for one snapshot.
func (r *resolver) count(cluster *kafka.Cluster, topic string) int {
	if n := partitions(cluster, topic); n > 0 {
		return n
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.topics[topic]
}

// late reports whether a partition has appeared since the first look.
func (r *resolver) late(p kafka.TopicPartition) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int(p.Partition) >= r.first[p.Topic]
}

// partitions returns how many partitions a topic has; 0 when it is not there.
func partitions(cluster *kafka.Cluster, topic string) int {
	if t := cluster.Topics[topic]; t != nil {
		return len(t.Leaders)
	}
	return 0
}
