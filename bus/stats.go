package bus

import (
	"encoding/json"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/consume"
)

// Stats is a snapshot of an App.
type Stats struct {
	// Initialized reports whether the App is connected, and Running whether [App.Run] runs.
	Initialized, Running bool
	// Producer has the counts of what is published.
	Producer ProducerStats
	// Streams are those that schemas declare, that were published to, or that subscriptions read, by name.
	Streams []StreamStats
	// Subscriptions are all that are declared, in the order of their declarations. After a run they keep what they
	// had at its end.
	Subscriptions []SubscriptionStats
}

// ProducerStats are the figures of what an App publishes, since it was initialized.
type ProducerStats struct {
	// Records is how many published records wait for their acknowledgement, and Bytes is the memory they take.
	Records int
	Bytes   int64
	// InFlight is how many requests wait for their answer.
	InFlight int
	// Sent is how many records have been acknowledged, and Failed how many never will be.
	Sent, Failed uint64
	// Requests is how many were sent, and Retries how many batches were sent again. Resets is how often a partition
	// went on under another producer id: only then can a record be written twice.
	Requests, Retries, Resets uint64
}

// StreamStats is what an App knows of a stream.
type StreamStats struct {
	// Stream is its name, Topic that of its topic.
	Stream, Topic string
	// Schema is the name of the schema that the App publishes on it, as in "Content:1"; empty if it publishes nothing
	// there.
	Schema string
	// Partitions is how many the topic has; 0 when no subscription reads it.
	Partitions int
	// Groups are those of the subscriptions that read it.
	Groups []string
}

// SubscriptionStats is a snapshot of a subscription. Its counts begin at zero with each [App.Run] and
// [App.ConsumeFor].
type SubscriptionStats struct {
	// Patterns, Group and Handler are those of the declaration. Handler is the name of the function, "" for a
	// function literal.
	Patterns []string
	Group    string
	Handler  string

	// State of the member: idle, joining, syncing, stable, draining, left or dead.
	State string
	// MemberID is the member's id in the group, Generation the group's current one, Protocol the assignor that the
	// group agreed on, and Leader reports whether the member assigns the partitions.
	MemberID   string
	Generation int32
	Protocol   string
	Leader     bool
	// Rebalances counts the generations of the group that gave the member its partitions. Of them Revoked have ended in
	// order: its handlers finished, and what they did was committed. Lost ended because the group went on without the
	// member, which was silent for longer than its session: what it finished since its last commit is handled again.
	Rebalances, Revoked, Lost uint64
	// Each time is zero when it has not happened yet.
	LastRebalance, LastHeartbeat, LastCommit time.Time

	// Streams that match now, by name.
	Streams []string
	// Assigned are the partitions the member has, by topic and partition.
	Assigned []PartitionStats
	// Lag is how many records of the assigned partitions are not finished, as far as their ends are known.
	Lag int64
	// InFlight is how many handlers run now, and Waiting how many records wait for one. Bytes is the memory of both,
	// and of what has been fetched behind them.
	InFlight, Waiting int
	Bytes             int64
	// PausedSince is when the subscription's [Breaker] opened; zero while it is closed, and without one.
	PausedSince time.Time
	// Abandoned is how many handlers have not returned although their context has ended.
	Abandoned int

	// Finished is how many records are finished, whatever their outcome. Of them Rejected were given up without a
	// dead letter, Postponed moved to a retry stream, and DeadLettered to the dead letters. Skipped belonged to
	// another group whose retry or replay stream has the same name. Retried is how many further attempts there were.
	Finished, Rejected, Postponed, DeadLettered, Skipped, Retried uint64
	// Broken is how many batches could not be read, and OutOfRange how often the broker no longer had the next
	// offset.
	Broken, OutOfRange uint64

	// LastError is the last error after which the subscription went on, or that ended it; nil for none.
	LastError   error
	LastErrorAt time.Time
}

// PartitionStats is what a subscription knows of a partition that is assigned to its member.
type PartitionStats struct {
	Stream, Topic string
	Partition     int
	// Committed is the group's committed offset, Watermark the first offset that is not finished, Position where
	// reading goes on, and End the partition's end as the broker said it last. Each is -1 while it is not known.
	Committed, Watermark, Position, End int64
	// Lag is End minus Watermark; -1 while one of them is not known.
	Lag int64
	// InFlight is how many handlers run now, and Waiting how many records wait for one. Bytes is the memory of both.
	InFlight, Waiting int
	Bytes             int64
	// Paused tells that the partition is not being read: as many of its records wait for a handler as may, or in a retry
	// stream the delay of the next record is not over (RetryTopics).
	Paused bool
	// Oldest is the time of the first record that is not finished; zero when none is held. A producer may set a time
	// outside of the years 0 to 9999: then it is the nearest time within them.
	Oldest time.Time
	// Blocked says why a record cannot be written to the dead letters or a retry stream, and what to change. The
	// record is finished only when it has been written; the write is tried again, every 30 seconds at the latest. It
	// is empty when there is no such record.
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

// Stats returns a snapshot. It does no I/O.
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
	if c := a.conn.Load(); c != nil {
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
		Streams:  x.conn.streamsOf(m.Topics),
		InFlight: now.Running, Abandoned: now.Abandoned, PausedSince: x.breaker.PausedSince(),
		Finished: now.Handled, Rejected: x.rejected.Load(), Postponed: x.postponed.Load(),
		DeadLettered: x.deadLettered.Load(), Skipped: x.skipped.Load(), Retried: x.retried.Load(),
		Broken: now.Corrupt, OutOfRange: now.Fetch.OutOfRange,
		LastError: m.LastError, LastErrorAt: m.LastErrorAt,
	}
	for topic, partitions := range m.Topics {
		streams.read(x.conn.stream(topic), partitions, x.group)
	}
	blocked := x.blocked.ByPartition()
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
		Stream: x.conn.stream(p.Topic), Topic: p.Topic, Partition: int(p.Partition),
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
