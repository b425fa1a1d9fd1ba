package produce

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

const (
	// refreshInterval is the least time between two calls for new leaders while records wait for a broker that fails.
	refreshInterval = time.Second

	// movedDelay is the least time between two attempts where a leader moved or a topic is not there yet: asking at once
	// spins.
	movedDelay = 100 * time.Millisecond
)

// metadata is the sender's view of the cluster. Guarded by Producer.mu.
type metadata struct {
	changed   atomic.Bool // the watch has something new
	fault     fault       // the cluster cannot be looked at
	refreshed time.Time   // when new leaders were last called for
}

// refreshMetadata calls for new leaders while something fails: a broker that is gone for good answers nothing
// that would say so.
func (p *Producer) refreshMetadata(a *schedule) {
	if p.oldestFault.err != nil && a.due(p.metadata.refreshed.Add(refreshInterval)) {
		p.metadata.refreshed = a.now
		p.watch.Refresh()
	}
}

// clusterChanged is called by the watch.
func (p *Producer) clusterChanged() {
	p.metadata.changed.Store(true)
	p.signal()
}

// watchMetadata takes over what the watch has seen of the topics in use.
func (p *Producer) watchMetadata() {
	if !p.metadata.changed.Swap(false) {
		return
	}
	cluster, asked, err := p.watch.Cluster()
	if err != nil {
		err = fmt.Errorf("produce: look up the leaders: %w", err)
		if kafka.Classify(err) == kafka.Denied {
			p.failWaiting(err)
		}
		p.metadata.fault.failed(err, time.Now(), kafka.Backoff{First: p.backoff.First, Max: refreshInterval}, 0)
		return
	}
	if p.metadata.fault.err != nil {
		p.retryNow()
	}
	p.metadata.fault.clear()
	if cluster != nil {
		p.apply(cluster, asked)
	}
}

// retryNow makes everything due that is in a pause: the cluster was out of reach and is back. Looking for it every
// second costs a connection; sending to it as often would cost a batch each time.
func (p *Producer) retryNow() {
	for _, b := range p.brokers {
		b.fault.due = time.Time{}
	}
	for _, q := range p.active {
		q.fault.due = time.Time{}
	}
	for t := range p.unready {
		t.fault.due = time.Time{}
	}
	p.identity.fault.due = time.Time{}
}

// apply takes over a snapshot for all topics that are in use. A topic that is gone is ensured again before anything is
// sent to it; its partitions stay, with their sequences, as metadata of a cluster that fails may lack a topic for a
// moment.
func (p *Producer) apply(c *kafka.Cluster, asked time.Time) {
	for name, t := range p.topics {
		seen := c.Topics[name]
		switch {
		case len(t.partitions) == 0, asked.Before(t.seen):
		case seen == nil:
			t.ensured = false
			p.unready[t] = struct{}{}
			p.updateLeaders(t, nil)
		case t.ensured && len(seen.Leaders) > 0:
			p.updateLeaders(t, seen.Leaders)
		}
	}
	p.applyBrokers(c)
}

// applyBrokers takes over the addresses of the brokers, and forgets a broker that is not in the cluster any more once
// no request to it waits for an answer.
func (p *Producer) applyBrokers(c *kafka.Cluster) {
	p.addresses = make(map[int32]string, len(c.Brokers))
	for _, b := range c.Brokers {
		p.addresses[b.ID] = b.Address()
	}
	for id, b := range p.brokers {
		if p.addresses[id] == "" && b.inFlight == 0 {
			delete(p.brokers, id)
		}
	}
}

// ensureTopics starts what it takes to have the topics that records wait for.
func (p *Producer) ensureTopics(a *schedule) {
	for t := range p.unready {
		if !p.wanted(t) {
			continue
		}
		p.oldestFault = p.oldestFault.older(t.fault)
		if !t.ensuring && a.due(t.fault.due) {
			t.ensuring = true
			failures := t.fault.attempts
			p.work.Go(func() { p.ensureTopic(t, failures) })
		}
	}
}

// wanted reports whether anything waits for the topic.
func (p *Producer) wanted(t *topic) bool {
	if len(t.queued) > 0 {
		return true
	}
	for _, q := range t.partitions {
		if !p.idle(q) {
			return true
		}
	}
	return false
}

// ensureTimeout is how long a try may take. EnsureTopic tries again by itself until its context ends, and tells only
// then what is wrong: the first tries are short, so that the log, Health and the errors of those who wait know it soon.
func ensureTimeout(failures int) time.Duration {
	return min(time.Second<<min(failures, 10), maxAttempt)
}

// ensureTopic makes one try to have the topic and its leaders.
func (p *Producer) ensureTopic(t *topic, failures int) {
	ctx, cancel := context.WithTimeout(p.ctx, ensureTimeout(failures))
	defer cancel()
	cluster, err := p.findTopic(ctx, t.name)

	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.signal()
	t.ensuring = false
	if p.ctx.Err() != nil {
		return
	}
	if err == nil {
		t.ensured = true
		t.fault.clear()
		delete(p.unready, t)
		t.seen = time.Now()
		p.updateLeaders(t, cluster.Topics[t.name].Leaders)
		p.applyBrokers(cluster)
		p.watchTopics()
		return
	}
	err = fmt.Errorf("produce: prepare topic %q: %w", t.name, err)
	switch kafka.Classify(err) {
	case kafka.Transient, kafka.Moved, kafka.TopicMissing:
		t.fault.failed(err, time.Now(), p.backoff, movedDelay)
	default:
		p.failQueued(t, err)
		for _, q := range t.partitions {
			p.failPartition(q, err)
		}
		t.fault.clear()
		if p.wanted(t) { // a batch is in a request, and may be sent back here
			t.fault.failed(err, time.Now(), p.backoff, movedDelay)
		}
		p.forget(t)
	}
}

// watchTopics makes the watch follow the topics that have partitions here.
func (p *Producer) watchTopics() {
	names := make([]string, 0, len(p.topics))
	for name, t := range p.topics {
		if len(t.partitions) > 0 {
			names = append(names, name)
		}
	}
	p.watch.SetTopics(names)
}

// forget drops a topic that never was, once nothing waits for it: names that come from outside must not pile up.
func (p *Producer) forget(t *topic) {
	if len(t.partitions) > 0 || len(t.queued) > 0 || t.ensuring {
		return
	}
	delete(p.topics, t.name)
	delete(p.unready, t)
}

// findTopic returns a snapshot that has the topic.
func (p *Producer) findTopic(ctx context.Context, name string) (*kafka.Cluster, error) {
	if p.ensure != nil {
		if err := p.ensure(ctx, name); err != nil {
			return nil, err
		}
	}
	cluster, err := p.client.Topics(ctx, name)
	if err != nil {
		return nil, err
	}
	if t := cluster.Topics[name]; t == nil || len(t.Leaders) == 0 {
		return nil, kafka.CodeErr(unknownTopic)
	}
	return cluster, nil
}
