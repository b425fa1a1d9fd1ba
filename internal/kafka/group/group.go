package group

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

var (
	// ErrRevoked: the generation that a commit belongs to is over. Its partitions may be another member's by now, who
	// begins at what was committed; the records will be seen again, here or there.
	ErrRevoked = errors.New("the partitions have been taken back")
	// ErrFenced: another program has joined with the same static id (group_instance_id) and has replaced this one. Each
	// program needs an id of its own.
	ErrFenced = errors.New("fenced: another member uses the same group_instance_id")
)

// Config is what a [Member] is and does. Session, heartbeats, the rebalance timeout and backoff are the
// [kafka.Client]'s settings.
type Config struct {
	// Group is the group's id.
	Group string
	// InstanceID makes the member static: within the session timeout it finds its partitions again after a restart. No two
	// members of a group may have the same. Defaults to none. Kafka: group.instance.id.
	InstanceID string
	// Match says whether the member wants a topic. It is asked about every topic of the cluster, or of Topics, again
	// and again, but for Kafka's internal ones, which are never wanted. It must be pure and fast, and may be called by
	// several goroutines at once.
	Match func(topic string) bool
	// Topics are the only ones that Match may take, where their names are known: then the cluster is asked for these
	// alone. With nil it is asked for all topics.
	Topics []string
	// Commit is how often the Consumer's marks are committed. With 0 they never are, not at a drain either: then only
	// [Member.Commit] commits. Kafka: auto.commit.interval.ms.
	Commit time.Duration
	// Drain is how long Consumer.Drain may take. The member allows less where the group would not wait so long
	// (rebalance_timeout_ms). With 0 its context has ended from the beginning.
	Drain time.Duration
	// Logger gets a line per generation, and what goes wrong. Nil discards.
	Logger *slog.Logger
	// Consumer works the partitions.
	Consumer Consumer
}

// Consumer works the partitions that a member is given. Assign and Drain are called one at a time; each Assign is
// followed by one Drain before the next Assign.
type Consumer interface {
	// Assign begins. It returns at once.
	Assign(a Assignment)
	// Drain stops. When it returns no handler runs, or ctx has ended and those that still ran were cancelled and
	// abandoned.
	Drain(ctx context.Context)
	// Marks returns what may be committed now: for each partition that has one, the lowest offset that is not finished. It
	// may be called at any time.
	Marks() map[kafka.TopicPartition]int64
}

// Assignment is what a member has to do in one generation of its group.
type Assignment struct {
	// Generation counts the group's rebalances.
	Generation int32
	// Partitions are the member's own until Drain.
	Partitions map[kafka.TopicPartition]Start
}

// Start says where a partition is to be begun.
type Start struct {
	// Committed is the offset that the group has committed, or -1: none.
	Committed int64
	// Late: the topic, or this partition of it, has appeared since the member began to look. It has to be begun at its
	// first record, whatever auto_offset_reset says, where nothing is committed: all that is in it was written after the
	// subscription.
	Late bool
}

// State is where a member is in its life.
type State int

const (
	// Idle: not yet run, or waiting to try again.
	Idle State = iota
	// Joining: it has asked to be let in, and waits for the others to do so too.
	Joining
	// Syncing: it is in the group, and waits for its partitions.
	Syncing
	// Stable: it works its partitions.
	Stable
	// Draining: it finishes what it has begun, to hand its partitions over.
	Draining
	// Left: it was told to stop, and has left the group.
	Left
	// Dead: it cannot go on; Run has returned why.
	Dead
)

// String returns the state's name, for logs.
func (s State) String() string {
	switch s {
	case Idle:
		return "idle"
	case Joining:
		return "joining"
	case Syncing:
		return "syncing"
	case Stable:
		return "stable"
	case Draining:
		return "draining"
	case Left:
		return "left"
	default:
		return "dead"
	}
}

// Status is what a member says about itself.
type Status struct {
	// State is where it is.
	State State
	// MemberID is the coordinator's name for it; "" as long as it has none.
	MemberID string
	// Protocol is the assignor that the group has agreed on.
	Protocol string
	// Generation is the group's, as far as this member has heard; 0 before the first.
	Generation int32
	// Leader: this member deals out the partitions of the generation.
	Leader bool
	// Assigned are its partitions, in order; empty while it has none.
	Assigned []kafka.TopicPartition
	// Topics are those that it wants and that are there, with their numbers of partitions.
	Topics map[string]int
	// Committed is what is known to be committed of its partitions; those without a commit are not in it.
	Committed map[kafka.TopicPartition]int64
	// Rebalances counts the generations it has been in. Of them Revoked have ended by a drain that the group waits for,
	// and Lost because the group went on without the member.
	Rebalances, Revoked, Lost uint64
	// LastRebalance, LastHeartbeat and LastCommit are when these last succeeded; zero if never. A heartbeat's time is
	// when it was sent: the answer to one may have waited for a process that stood still.
	LastRebalance, LastHeartbeat, LastCommit time.Time
	// LastError is what last went wrong, and stays when it is over; LastErrorAt is when.
	LastError   error
	LastErrorAt time.Time
}
