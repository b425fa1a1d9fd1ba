package bus

import (
	"encoding/json"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/consume"
)

// Stats is what an App is at, at one moment.
type Stats struct {
	// Initialized and Running tell whether the App is connected, and whether [App.Run] is under way.
	Initialized, Running bool
	// Producer is what is published and not yet acknowledged, and what has been.
	Producer ProducerStats
	// Streams are those that schemas declare, that were published to, or that subscriptions read, by name.
	Streams []StreamStats
	// Subscriptions are all that are declared, in the order they were. Those of a run that is over keep what they were at
	// its end.
	Subscriptions []SubscriptionStats
}

// ProducerStats are the figures of what an App publishes, since it was initialized.
type ProducerStats struct {
	// Records are published and wait for their acknowledgement, and Bytes is the memory they take.
	Records int
	Bytes   int64
	// InFlight counts requests that wait for their answer.
	InFlight int
	// Sent records have been acknowledged; Failed ones never will be.
	Sent, Failed uint64
	// Requests counts those sent, Retries batches that were sent again, and Resets how often a partition went on under
	// another producer id: only there can a record be written twice.
	Requests, Retries, Resets uint64
}

// StreamStats is what an App knows of a stream.
type StreamStats struct {
	// Stream is its name, Topic that of its topic.
	Stream, Topic string
	// Schema is the name of the schema that the App publishes on it, as in "Content:1"; empty if it publishes nothing
	// there.
	Schema string
	// Partitions is how many it has; 0 when no subscription reads it.
	Partitions int
	// Groups of the subscriptions that read it.
	Groups []string
}

// SubscriptionStats is what a subscription is at. Its counts begin at zero with each [App.Run] and [App.ConsumeFor].
type SubscriptionStats struct {
	// Patterns, Group and Handler are as they were declared; Handler is the name of the function, "" for a function
	// literal.
	Patterns []string
	Group    string
	Handler  string

	// State of the member: idle, joining, syncing, stable, draining, left or dead.
	State string
	// MemberID is what the group calls the member, Generation the group's current one, Protocol the assignor it agreed on,
	// and Leader whether the member is the one that assigns.
	MemberID   string
	Generation int32
	Protocol   string
	Leader     bool
	// Rebalances counts the generations of the group that gave the member its partitions. Of them Revoked have ended in
	// order: its handlers finished, and what they did was committed. Lost ended because the group went on without the
	// member, which was silent for longer than its session: what it finished since its last commit is handled again.
	Rebalances, Revoked, Lost uint64
	// Times are zero for what has not happened yet.
	LastRebalance, LastHeartbeat, LastCommit time.Time

	// Streams that match now, by name.
	Streams []string
	// Assigned are the partitions the member has, by topic and partition.
	Assigned []PartitionStats
	// Lag is how many records of the assigned partitions are not finished, as far as their ends are known.
	Lag int64
	// InFlight counts handlers that run now, and Waiting records that have been read and wait for one. Bytes is what
	// both keep in memory, and what has been fetched behind them.
	InFlight, Waiting int
	Bytes             int64
	// PausedSince is when the subscription's [Breaker] opened; zero while it is closed, and without one.
	PausedSince time.Time
	// Abandoned counts handlers that have not returned although their context has ended.
	Abandoned int

	// Finished counts records that are done with, whatever became of them. Of them Rejected were given up without a dead
	// letter, Postponed went to a retry stream, and DeadLettered to the dead letters. Skipped lay in a retry or replay
	// stream whose name is that of another group's, too, and belonged to that group. Retried counts further attempts.
	Finished, Rejected, Postponed, DeadLettered, Skipped, Retried uint64
	// Broken counts batches that could not be read, OutOfRange how often the broker no longer had the offset to read on
	// from.
	Broken, OutOfRange uint64

	// LastError is the last thing that went wrong and was gone on after, or that ended the subscription; nil for none.
	LastError   error
	LastErrorAt time.Time
}

// PartitionStats is what a subscription knows of a partition that its member has.
type PartitionStats struct {
	Stream, Topic string
	Partition     int
	// Committed is the group's offset, Watermark the first that is not finished, Position where reading goes on, and End
	// the partition's end when it was last heard of. They are -1 as long as they are not known.
	Committed, Watermark, Position, End int64
	// Lag is End less Watermark; -1 when one of them is not known.
	Lag int64
	// InFlight counts handlers that run now, Waiting records that wait for one.
	InFlight, Waiting int
	Bytes             int64
	// Paused: it is not being read now, because enough of it is waiting, or what waits has to (RetryTopics).
	Paused bool
	// Oldest is the time of the first record that is not finished; zero when none is held. A time outside of the years
	// 0 to 9999, which a producer may set, is the nearest of those.
	Oldest time.Time
	// Blocked tells of the first record that is finished only when it has been written to the dead letters or a retry
	// stream, which cannot be done: why, and what to change. It is tried again, every 30 seconds at the latest. It is
	// empty when there is none.
	Blocked string
}

// MarshalJSON writes LastError as its text, which is null when there is none. The text is cut to 8 KiB, because it may
// quote the record.
func (s SubscriptionStats) MarshalJSON() ([]byte, error) {
	type plain SubscriptionStats // without this method
	out := struct {
		plain
		LastError *string
	}{plain: plain(s)}
	if s.LastError != nil {
		text := truncate(s.LastError.Error(), 8<<10)
		out.LastError = &text
	}
	return json.Marshal(out)
}

// Stats returns a snapshot. It does no I/O, and may be called at any time.
func (a *App) Stats() Stats {
	if a == nil {
		return Stats{}
	}
	a.mu.Lock()
	r, subscriptions := a.running, a.subscriptions
	s := Stats{Initialized: a.ready.Load(), Running: r != nil}
	if r == nil {
		r = a.last
	}
	prefix := a.cfg.TopicPrefix
	a.mu.Unlock()
	if c := a.core.Load(); c != nil {
		s.Producer = ProducerStats(c.producer.Stats())
	}
	streams := newStreamTable(prefix)
	a.schemas.each(func(stream string, d *declaration) { streams.of(stream).Schema = d.name() })
	for i, sub := range subscriptions {
		if r != nil && i < len(r.runners) {
			s.Subscriptions = append(s.Subscriptions, r.runners[i].stats(streams))
			continue
		}
		s.Subscriptions = append(s.Subscriptions, SubscriptionStats{Patterns: sub.patterns, Group: sub.group,
			Handler: sub.handler, State: "idle"})
	}
	s.Streams = streams.sorted()
	return s
}

func (x *runner) stats(streams *streamTable) SubscriptionStats {
	now := x.consumer.Status()
	m := now.Member
	s := SubscriptionStats{
		Patterns: x.patterns, Group: x.group, Handler: x.handler,
		State: m.State.String(), MemberID: m.MemberID, Generation: m.Generation, Protocol: m.Protocol, Leader: m.Leader,
		Rebalances: m.Rebalances, Revoked: m.Revoked, Lost: m.Lost,
		LastRebalance: m.LastRebalance, LastHeartbeat: m.LastHeartbeat, LastCommit: m.LastCommit,
		Streams:  x.core.streamsOf(m.Topics),
		InFlight: now.Running, Abandoned: now.Abandoned, PausedSince: x.breaker.pausedSince(),
		Finished: now.Handled, Rejected: x.rejected.Load(), Postponed: x.postponed.Load(),
		DeadLettered: x.deadLettered.Load(), Skipped: x.skipped.Load(), Retried: x.retried.Load(),
		Broken: now.Corrupt, OutOfRange: now.Fetch.OutOfRange,
		LastError: m.LastError, LastErrorAt: m.LastErrorAt,
	}
	for topic, partitions := range m.Topics {
		streams.read(x.core.stream(topic), partitions, x.group)
	}
	blocked := x.blocked.byPartition()
	for _, p := range now.Partitions {
		ps := x.partition(p)
		ps.Blocked = blocked[p.TopicPartition]
		s.Assigned = append(s.Assigned, ps)
		s.Lag += max(ps.Lag, 0)
		s.Waiting += ps.Waiting
		s.Bytes += ps.Bytes
	}
	if now.LastErrorAt.After(s.LastErrorAt) {
		s.LastError, s.LastErrorAt = now.LastError, now.LastErrorAt
	}
	if t := x.lastError.Load(); t != nil && t.at.After(s.LastErrorAt) {
		s.LastError, s.LastErrorAt = t.err, t.at
	}
	return s
}

func (x *runner) partition(p consume.PartitionStatus) PartitionStats {
	s := PartitionStats{
		Stream: x.core.stream(p.Topic), Topic: p.Topic, Partition: int(p.Partition),
		Committed: p.Committed, Watermark: p.Watermark, Position: p.Position, End: p.End, Lag: -1,
		// a lane may have finished, and not left
		InFlight: p.Running, Waiting: max(p.Held-p.Handling, 0), Bytes: p.Bytes, Paused: p.Paused,
	}
	if p.End >= 0 && p.Watermark >= 0 {
		s.Lag = max(p.End-p.Watermark, 0)
	}
	if p.Oldest != nil {
		s.Oldest = boundedTime(p.Oldest.Time)
	}
	return s
}
