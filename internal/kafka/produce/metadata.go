package produce

import (
	"context"
	"fmt"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

const (
	// settleInterval is how often the leaders are looked up while something is in trouble: kafka-go's cache answers, so it is cheap.
	settleInterval = 200 * time.Millisecond

	// refreshInterval is the least time between two requests of ours for new metadata, which ask for all topics.
	refreshInterval = time.Second

	// growInterval is how often they are looked up otherwise, for partitions that were added.
	growInterval = 5 * time.Second

	// movedDelay is the least time between two attempts where a leader moved or a topic is not there yet: asking at once spins.
	movedDelay = 100 * time.Millisecond
)

// metadata is the sender's view of the cluster. Guarded by Producer.mu.
type metadata struct {
	asking bool
	asked  time.Time
	fault  fault

	stale     bool      // a broker or kafka-go said that it does not fit the cluster
	refreshed time.Time // when new metadata was last asked for
}

// refreshMetadata looks the leaders up again when that is due.
func (p *Producer) refreshMetadata(a *agenda) {
	if len(p.active) == 0 || p.metadata.asking {
		return
	}
	every := growInterval
	if p.leaderless() {
		p.metadata.stale = true
	}
	if p.metadata.stale || p.trouble.err != nil {
		every = settleInterval
	}
	if !a.due(p.metadata.asked.Add(every)) || !a.due(p.metadata.fault.due) {
		return
	}
	p.metadata.asking = true
	p.work.Go(p.lookUp)
}

func (p *Producer) leaderless() bool {
	for _, q := range p.active {
		if q.leader < 0 {
			return true
		}
	}
	return false
}

// cluster returns the latest snapshot; a new one where the last is known to be stale, as its age may be minutes (metadata_max_age_ms).
func (p *Producer) cluster(ctx context.Context) (*kafka.Cluster, error) {
	p.mu.Lock()
	refresh := p.metadata.stale && time.Since(p.metadata.refreshed) >= refreshInterval
	if refresh {
		p.metadata.stale, p.metadata.refreshed = false, time.Now()
	}
	p.mu.Unlock()
	if refresh {
		if err := p.client.Refresh(ctx); err != nil {
			return nil, err
		}
	}
	return p.client.Cluster(ctx)
}

// lookUp takes over the cluster's present state, once.
func (p *Producer) lookUp() {
	ctx, cancel := context.WithTimeout(p.ctx, p.attempt)
	defer cancel()
	cluster, err := p.cluster(ctx)

	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.signal()
	now := time.Now()
	p.metadata.asking, p.metadata.asked = false, now
	if p.ctx.Err() != nil {
		return
	}
	if err == nil {
		if p.metadata.fault.err != nil {
			p.retryNow()
		}
		p.metadata.fault.clear()
		p.apply(cluster)
		return
	}
	err = fmt.Errorf("produce: look up the leaders: %w", err)
	if kafka.Classify(err) == kafka.Denied {
		p.failWaiting(err)
	}
	p.metadata.fault.failed(err, now, kafka.Backoff{First: p.backoff.First, Max: refreshInterval}, 0)
}

// retryNow makes everything due that is in a pause: the cluster was out of reach and is back. Looking for it every second costs a connection;
// sending to it as often would cost a batch each time.
func (p *Producer) retryNow() {
	for _, b := range p.brokers {
		b.fault.due = time.Time{}
	}
	for _, q := range p.active {
		q.fault.due = time.Time{}
	}
	for t := range p.unsettled {
		t.fault.due = time.Time{}
	}
	p.identity.fault.due = time.Time{}
}

// apply takes over a snapshot for all topics that are in use. A topic that is gone is ensured again before anything is sent to it; its
// partitions stay, with their sequences, as metadata of a cluster in trouble may lack a topic for a moment.
func (p *Producer) apply(c *kafka.Cluster) {
	for name, t := range p.topics {
		seen := c.Topics[name]
		switch {
		case seen == nil:
			if len(t.partitions) > 0 {
				t.ensured = false
				p.unsettled[t] = struct{}{}
				p.adopt(t, nil)
			}
		case !t.ensured || len(seen.Leaders) == 0:
		default:
			p.adopt(t, seen.Leaders)
		}
	}
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
func (p *Producer) ensureTopics(a *agenda) {
	for t := range p.unsettled {
		if !t.wanted() {
			continue
		}
		p.trouble = p.trouble.older(t.fault)
		if !t.ensuring && a.due(t.fault.due) {
			t.ensuring = true
			failures := t.fault.attempts
			p.work.Go(func() { p.ensureTopic(t, failures) })
		}
	}
}

// wanted reports whether anything waits for the topic.
func (t *topic) wanted() bool {
	if len(t.parked) > 0 {
		return true
	}
	for _, q := range t.partitions {
		if !q.idle() {
			return true
		}
	}
	return false
}

// ensurePatience is how long a try may take. EnsureTopic tries again by itself until its context ends, and tells only then what is wrong: the
// first tries are short, so that the log, Health and the errors of those who wait know it soon.
func ensurePatience(failures int) time.Duration {
	return min(time.Second<<min(failures, 10), maxAttempt)
}

// ensureTopic makes one try to have the topic and its leaders.
func (p *Producer) ensureTopic(t *topic, failures int) {
	ctx, cancel := context.WithTimeout(p.ctx, ensurePatience(failures))
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
		delete(p.unsettled, t)
		p.metadata.asked = time.Now()
		p.apply(cluster)
		return
	}
	err = fmt.Errorf("produce: prepare topic %q: %w", t.name, err)
	switch kafka.Classify(err) {
	case kafka.Transient, kafka.Moved, kafka.TopicMissing:
		p.metadata.stale = true
		t.fault.failed(err, time.Now(), p.backoff, movedDelay)
	default:
		p.failParked(t, err)
		for _, q := range t.partitions {
			p.failPartition(q, err)
		}
		t.fault.clear()
		if t.wanted() { // a batch is in a request, and may be sent back here
			t.fault.failed(err, time.Now(), p.backoff, movedDelay)
		}
		p.forget(t)
	}
}

// forget drops a topic that never was, once nothing waits for it: names that come from outside must not pile up.
func (p *Producer) forget(t *topic) {
	if len(t.partitions) > 0 || len(t.parked) > 0 || t.ensuring {
		return
	}
	delete(p.topics, t.name)
	delete(p.unsettled, t)
	if p.last == t {
		p.last = nil
	}
}

// findTopic returns a snapshot that has the topic.
func (p *Producer) findTopic(ctx context.Context, name string) (*kafka.Cluster, error) {
	if p.ensure != nil {
		if err := p.ensure(ctx, name); err != nil {
			return nil, err
		}
	}
	cluster, err := p.cluster(ctx)
	if err != nil {
		return nil, err
	}
	if t := cluster.Topics[name]; t == nil || len(t.Leaders) == 0 {
		return nil, kafka.CodeErr(unknownTopic)
	}
	return cluster, nil
}
