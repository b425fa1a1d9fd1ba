package group

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// confirmAfter is how long a topic has to be missing, at least, before a second look is believed.
const confirmAfter = 200 * time.Millisecond

// resolver notices topics that come, go and grow.
type resolver struct {
	watch *kafka.Watch
	woken chan struct{} // has a value when the watch has something new
	match func(topic string) bool
	names []string // that match takes; nil: any may match
	// changed: at first, and whenever the topics that are wanted and there, or the others, are not what they were. And
	// unseen
	post func(eventData)

	// Of run alone:
	last    *kafka.Cluster
	asked   time.Time       // for the last snapshot
	missing map[string]bool // not in the last snapshot, but still in topics

	mu sync.Mutex
	// wanted, with their partition counts, as posted; nil before the first look. Only run replaces it
	topics map[string]int
	first  map[string]int // partition counts at the first look; less where a topic has shrunk or gone since
	others map[string]int // what else the group's leader has to watch, with the partition counts it assigned
}

// open begins to watch. Run ends it.
func (r *resolver) open(c *kafka.Client) {
	r.watch = c.Watch(kafka.WatchOptions{All: r.names == nil, Changed: r.wake})
	r.watch.SetTopics(r.names)
}

func (r *resolver) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// run looks until ctx ends.
func (r *resolver) run(ctx context.Context) {
	defer r.watch.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last error
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.woken:
		case <-timer.C:
		}
		cluster, asked, err := r.watch.Cluster()
		if err != last && (err != nil || last != nil) {
			r.post(eventData{event: event{kind: unseen, err: err}})
		}
		last = err
		if cluster != nil && err == nil && r.compareSnapshot(cluster, asked) {
			r.post(eventData{event: event{kind: changed}, topics: maps.Clone(r.topics)})
		}
		if len(r.missing) > 0 {
			timer.Reset(confirmAfter)
			r.watch.Refresh()
		}
	}
}

// compareSnapshot compares a snapshot with the one before, and reports whether the group has to know. The same one says
// something new where it was looked at again and lacks a topic: the topic has gone.
func (r *resolver) compareSnapshot(cluster *kafka.Cluster, asked time.Time) bool {
	if cluster == r.last && (len(r.missing) == 0 || asked.Equal(r.asked)) {
		return false
	}
	r.last, r.asked = cluster, asked
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
	differs := r.topics == nil || !maps.Equal(r.topics, topics)

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
			differs = true
		}
	}
	return differs
}

// watchOthers makes the resolver watch topics that only other members want, because only the leader's view counts.
// Nil ends that.
func (r *resolver) watchOthers(others map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.others = maps.Clone(others)
	if r.names != nil {
		r.watch.SetTopics(slices.AppendSeq(slices.Clone(r.names), maps.Keys(others)))
	}
}

// count returns how many partitions of a topic are to be assigned. One that the snapshot lacks has those it had, until
// the resolver itself takes it for gone: it would not notice, and nobody would join again, if a leader had left it out
// for one snapshot.
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
