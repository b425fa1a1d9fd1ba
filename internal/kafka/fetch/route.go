package fetch

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

const (
	// reassignSoon is the least time between two fetches, or two look-ups, of a partition that fails.
	reassignSoon = 100 * time.Millisecond
	// debounce is the pause after the leaders were looked at: what changes meanwhile is looked at together. The first
	// look has no pause before it, because a new subscription adds its partitions in one call.
	debounce = 5 * time.Millisecond
	// deniedBackoff is the pause after an answer that an operator has to repair: long enough not to lock an account.
	deniedBackoff = 5 * time.Second
	// longestPause bounds the pauses between attempts. It is short, because a broker that is back has
	// to be noticed, and an attempt costs it little.
	longestPause = 2 * time.Second
	// offsetTimeout bounds one attempt to look up offsets. A leader that hangs delays its own
	// partitions alone.
	offsetTimeout = 10 * time.Second
)

// route gives each partition to the loop of its leader, until ctx ends. It is the only place that looks
// at the cluster's metadata, and the only one that starts loops and look-ups.
func (f *Fetcher) route(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last error
	for {
		select {
		case <-f.routerWoken: // for what is seen now
		default:
		}
		f.watchTopics()
		cluster, _, err := f.watch.Cluster()
		if err != last { // not for the same failure again
			f.logClusterState(last, err)
			last = err
		}
		pause := time.Hour // until something changes
		if cluster != nil {
			pause = f.assignLeaders(ctx, cluster)
		}
		if kafka.Sleep(ctx, debounce) != nil { // what changes together is looked at together
			return
		}
		timer.Reset(pause)
		select {
		case <-f.routerWoken:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// watchTopics makes the watch follow the set of partitions.
func (f *Fetcher) watchTopics() {
	f.mu.Lock()
	topics := make(map[string]bool)
	for tp := range f.partitions {
		topics[tp.Topic] = true
	}
	f.mu.Unlock()
	if !maps.Equal(topics, f.topics) {
		f.topics = topics
		f.watch.SetTopics(slices.Collect(maps.Keys(topics)))
	}
}

// logClusterState says that the cluster does not answer, or does so again.
func (f *Fetcher) logClusterState(before, err error) {
	switch {
	case err == nil:
		f.log.Info("fetch: the cluster answers again")
	case kafka.Classify(err) == kafka.Denied:
		f.report(&BrokerError{Broker: -1, Err: err})
	case before == nil:
		f.log.Warn("fetch: the cluster does not answer; trying again", "error", err)
	}
}

// invalidateMetadata makes the watcher ask the brokers who leads what: what is known of it may be wrong.
func (f *Fetcher) invalidateMetadata() { f.watch.Refresh() }

func (f *Fetcher) backoff() kafka.Backoff {
	return kafka.Backoff{First: f.cfg.RetryBackoff, Max: longestPause}
}

// offsetQuery is a question for offsets that one leader can answer.
type offsetQuery struct {
	leader int32
	at     int64
}

// assignLeaders gives each partition to its leader, and looks up the offsets that are not known yet. It returns how
// long the router may pause until it has something to do again.
func (f *Fetcher) assignLeaders(ctx context.Context, cluster *kafka.Cluster) (pause time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	pause = time.Hour
	now := time.Now()
	questions := make(map[offsetQuery][]*partition)
	for tp, p := range f.partitions {
		leader, exists := kafka.NoLeader, false
		if t := cluster.Topics[tp.Topic]; t != nil && !t.Internal && int(tp.Partition) < len(t.Leaders) {
			leader, exists = t.Leaders[tp.Partition], true
		}
		f.logLeaderLocked(p, exists && leader < 0, now)
		if leader != p.leader || p.broker != leader && !(p.replicaUntil.After(now) && cluster.Up(p.broker)) {
			p.leader, p.attempt, p.retryAt = leader, 0, time.Time{}
			f.moveLocked(p, leader)
		}
		if p.broker != leader {
			pause = min(pause, p.replicaUntil.Sub(now)) // then the leader is asked again
		}
		if !p.noLeaderSince.IsZero() && !p.noLeaderLogged {
			pause = min(pause, max(p.noLeaderSince.Add(leaderTimeout).Sub(now), 0)) // then it is logged
		}
		switch {
		case leader < 0, p.next >= 0, p.resolving, p.stopped:
		case p.retryAt.After(now):
			pause = min(pause, p.retryAt.Sub(now))
		default:
			p.resolving = true
			q := offsetQuery{leader, p.at}
			questions[q] = append(questions[q], p)
		}
	}
	for q, parts := range questions {
		f.wg.Go(func() { f.resolve(ctx, q, parts) })
	}
	return pause
}

// leaderTimeout is how long a partition may be without a leader before that is logged: an election is everyday life.
const leaderTimeout = 2 * time.Second

// logLeaderLocked logs once that a partition has no leader, and once that it has one again.
func (f *Fetcher) logLeaderLocked(p *partition, missing bool, now time.Time) {
	switch {
	case missing && p.noLeaderSince.IsZero():
		p.noLeaderSince = now
	case missing && f.opts.LeaderWait > 0:
		if !p.stopped && now.Sub(p.noLeaderSince) >= f.opts.LeaderWait {
			f.stopLocked(p, p.next, ErrNoLeader)
		}
	case missing && !p.noLeaderLogged && now.Sub(p.noLeaderSince) >= leaderTimeout:
		p.noLeaderLogged = true
		f.log.Warn("fetch: the partition has no leader; it is read when it has one again", "topic", p.Topic,
			"partition", p.Partition, "offset", p.next)
	case !missing:
		if p.noLeaderLogged {
			f.log.Info("fetch: the partition has a leader again", "topic", p.Topic, "partition", p.Partition, "offset", p.next)
		}
		p.noLeaderSince, p.noLeaderLogged = time.Time{}, false
	}
}

// resolve looks up the offsets that partitions begin at. A partition whose look-up fails is looked up again after a
// pause; it holds back none of the others.
func (f *Fetcher) resolve(ctx context.Context, q offsetQuery, parts []*partition) {
	tps := make([]kafka.TopicPartition, len(parts))
	for i, p := range parts {
		tps[i] = p.TopicPartition
	}
	limited, cancel := context.WithTimeout(ctx, offsetTimeout)
	defer cancel()
	offsets, failed := f.client.FindOffsets(limited, tps, q.at)
	if q.at >= 0 {
		f.endWhereNone(limited, offsets, failed)
	}
	if ctx.Err() != nil {
		return
	}
	f.startReading(parts, offsets)
	retry := 0
	var first error
	for _, p := range parts {
		err := failed[p.TopicPartition]
		switch {
		case err == nil:
			continue
		case kafka.Classify(err) == kafka.Denied:
			f.denied(p, err)
			continue
		}
		f.mu.Lock()
		if p.attempt == worthTelling {
			first = err
			retry++
		}
		p.resolving = false
		p.retryAt = time.Now().Add(max(f.backoff().Delay(p.attempt), reassignSoon))
		p.attempt++
		f.mu.Unlock()
	}
	if first != nil {
		f.log.Warn("fetch: looking up where partitions begin fails; trying again", "broker", q.leader,
			"partitions", retry, "error", first)
	}
	if len(failed) > 0 {
		f.invalidateMetadata()
		f.wakeRouter()
	}
}

// worthTelling is the failed look-up of a partition, counted from 0, that is told as a warning: a few are everyday
// life right after a topic has been made.
const worthTelling = 3

// startLocked lets the partitions begin whose offsets have been found: all at once, so that the next request is
// for all of them.
func (f *Fetcher) startReading(parts []*partition, offsets map[kafka.TopicPartition]int64) {
	segments := make([]*segment, 0, len(parts))
	f.mu.Lock()
	for _, p := range parts {
		if offset, ok := offsets[p.TopicPartition]; ok {
			p.resolving, p.next, p.attempt, p.retryAt = false, offset, 0, time.Time{}
			// Its owner learns where the partition begins even if there is nothing to read.
			segments = append(segments, &segment{part: p, from: offset, next: offset, highWatermark: -1})
			f.changedLocked(p)
		}
	}
	f.pushLocked(segments...) // before a loop can ask, so no answer comes before it
	f.mu.Unlock()
}

// endWhereNone replaces the offset -1, for "no record since that time", by the partition's end.
func (f *Fetcher) endWhereNone(ctx context.Context, offsets map[kafka.TopicPartition]int64,
	failed map[kafka.TopicPartition]error) {
	var none []kafka.TopicPartition
	for tp, offset := range offsets {
		if offset < 0 {
			none = append(none, tp)
			delete(offsets, tp)
		}
	}
	ends, errs := f.client.FindOffsets(ctx, none, kafka.EndOffset)
	maps.Copy(offsets, ends)
	maps.Copy(failed, errs)
}

// denied applies a refusal to look up where a partition begins.
func (f *Fetcher) denied(p *partition, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deniedLocked(p, -1, err)
}

// deniedLocked applies a refusal to read a partition at offset; -1 where that is not known.
func (f *Fetcher) deniedLocked(p *partition, offset int64, err error) {
	if !f.opts.RetryDenied {
		f.stopLocked(p, offset, err)
		return
	}
	p.resolving, p.end, p.retryAt = false, -1, time.Now().Add(deniedBackoff)
	if !p.denied {
		p.denied = true
		f.pushErrorLocked(p, offset, offset, err)
	}
}

// stopLocked ends reading of a partition, and tells its owner why.
func (f *Fetcher) stopLocked(p *partition, offset int64, err error) {
	p.stopped, p.resolving = true, false
	f.changedLocked(p)
	f.pushErrorLocked(p, offset, -1, err)
}

// pushErrorLocked has Next return an error of a partition, behind what it has of it.
func (f *Fetcher) pushErrorLocked(p *partition, offset, next int64, err error) {
	f.pushLocked(&segment{part: p, next: next, items: []item{{err: &PartitionError{
		Topic: p.Topic, Partition: p.Partition, Offset: offset, Next: next, Err: err,
	}}}})
}

// ErrNoLeader is the cause of the *PartitionError that an owner gets who does not wait for a leader
// (Options.LeaderWait).
var ErrNoLeader = errors.New("the partition has no leader")

// ErrOutOfRange is the cause of the *PartitionError that an owner who wants no reset gets (Options.OutOfRange).
var ErrOutOfRange = errors.New("the broker does not have this offset: retention has removed it, or the topic has " +
	"been made anew")
