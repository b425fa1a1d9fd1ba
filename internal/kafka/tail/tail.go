// Package tail reads every topic that matches, without a consumer group and without ever committing
// anything: nobody's position changes, and none is kept.
package tail

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
)

// From says where the topics that exist when Run begins are read from. Topics and partitions that
// appear later are read from their first record, whatever it is.
type From int

const (
	// End reads what is written from now on.
	End From = iota
	// First reads everything.
	First
	// Time reads each partition from its first record whose timestamp is not before Options.Time, and
	// from its end if it has none.
	Time
	// Last reads the Options.Last newest records of all partitions together, in the order of their
	// timestamps, and then what is written from now on.
	Last
)

// Options of a tail.
type Options struct {
	// Match says which topics to read. Kafka's own (__*) are never asked about. Required.
	Match func(topic string) bool
	// TopicPrefix is what a record's topic has before its stream. Defaults to nothing.
	TopicPrefix string
	// Topics are the only ones that Match may take, where their names are known: then the cluster is asked for these
	// alone. With nil it is asked for all topics.
	Topics []string
	// From says where to begin. Defaults to End.
	From From
	// Time is where From: Time begins, to the millisecond.
	Time time.Time
	// Last is how many records From: Last begins with. They are held in memory until the last is found.
	Last int
	// StopAtEnd ends the tail when it has read what was there when it began. It never waits for new
	// records, and reads no topic that appears later.
	StopAtEnd bool
	// ReportOpen has a Session that does not stop at the end look for open transactions too.
	ReportOpen bool
	// Logger is told of brokers and partitions that begin to fail, and of topics that come and go.
	// Defaults to none.
	Logger *slog.Logger
}

// newTopicsEvery is how often all topics are looked at for new ones: they are to be found within two seconds.
const newTopicsEvery = 1500 * time.Millisecond

// Run returns the records as chunks. A chunk has at least one record, and is valid until the loop asks
// for the next; the records' keys and values stay valid. Of one partition they come in the order of
// their offsets.
//
// Broken connections, brokers that are away and leaders that move are waited for and retried. What is
// yielded as an error is a *fetch.PartitionError, after which the tail goes on without that batch, that record or that
// partition, or the last thing that the loop sees: the cause of ctx's end, or a refusal by the brokers
// (kafka.ErrAuth). A pattern that matches nothing waits until something does; with StopAtEnd it ends.
//
// With StopAtEnd there is an error for all that was there at the beginning and is not yielded: of partitions without
// a leader (fetch.ErrNoLeader), that may not be read or cannot be looked up; records that were deleted before they
// were read (ErrDeleted); records behind the beginning of an open transaction (ErrOpenTransaction), told last. While
// following, missing leaders and deleted records are told to the Logger, and a partition that may not be read is
// tried again after its error.
//
// A topic that is deleted and made again is read from its first record. Two topics of one name are told
// apart by the name's absence in between, or by an offset that the second one does not have.
//
// Breaking out of the loop stops everything, and returns when every goroutine has ended. The sequence
// may be used more than once: each time it begins anew.
func Run(ctx context.Context, c *kafka.Client, o Options) iter.Seq2[*fetch.Chunk, error] {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return func(yield func(*fetch.Chunk, error) bool) {
		if err := newTail(c, o, yield).run(ctx); err != nil && !errors.Is(err, errBreak) {
			yield(nil, err)
		}
	}
}

func newTail(c *kafka.Client, o Options, yield func(*fetch.Chunk, error) bool) *tail {
	return &tail{client: c, opts: o, yield: yield, topics: make(map[string]int),
		refused: make(map[kafka.TopicPartition]bool), missing: make(offsets)}
}

// errBreak says that the loop over the tail was left.
var errBreak = errors.New("tail: the loop was left")

// tail is one run. It has no goroutine of its own: the fetcher's work beside it, and a change of the topics
// interrupts the wait for the next chunk.
type tail struct {
	client  *kafka.Client
	opts    Options
	yield   func(*fetch.Chunk, error) bool
	fetcher *fetch.Fetcher                // that follows
	current atomic.Pointer[fetch.Fetcher] // that is read from
	topics  map[string]int                // partitions that are read, by topic
	refused map[kafka.TopicPartition]bool // of these, those that we may not read
	seen    *kafka.Cluster                // the latest metadata that was acted on
	missing offsets                       // where partitions were to be read whose first record is looked up again
	highest offsets                       // the high watermarks at the beginning, with StopAtEnd and read_committed

	watch     *kafka.Watch
	began     time.Time // the first look was over: older metadata says less
	interrupt atomic.Pointer[context.CancelFunc]
}

func (t *tail) run(ctx context.Context) error {
	cluster, starts, ends, err := t.open(ctx)
	defer t.close()
	if err != nil {
		return err
	}
	if t.opts.From == Last {
		if err := t.history(ctx, starts, ends); err != nil {
			return err
		}
		if t.opts.StopAtEnd {
			return t.reportOpen(ends)
		}
		starts = ends
	}
	if t.opts.StopAtEnd {
		f := t.untilEnd()
		defer f.Close()
		if err := t.readUntil(ctx, f, starts, ends, t.emit); err != nil {
			return err
		}
		return t.reportOpen(ends)
	}
	return t.readOn(ctx, cluster, starts, t.emit)
}

// open looks up what there is, and begins to watch it. It is followed by close, also when it fails.
func (t *tail) open(ctx context.Context) (cluster *kafka.Cluster, starts, ends offsets, err error) {
	if cluster, err = t.cluster(ctx); err != nil {
		return nil, nil, nil, err
	}
	t.began = time.Now()
	t.watch = t.client.Watch(kafka.WatchOptions{All: t.opts.Topics == nil, Every: newTopicsEvery, Changed: t.changed})
	t.watch.SetTopics(t.opts.Topics)
	starts, ends, err = t.findOffsets(ctx, cluster)
	return cluster, starts, ends, err
}

func (t *tail) close() {
	if t.watch != nil {
		t.watch.Close()
	}
}

// untilEnd returns a Fetcher for what ends: nothing is waited for that may never come.
func (t *tail) untilEnd() *fetch.Fetcher { return t.newFetcher(fetch.Options{LeaderWait: leaderWait}) }

func (t *tail) newFetcher(o fetch.Options) *fetch.Fetcher {
	o.TopicPrefix, o.OutOfRange, o.Logger = t.opts.TopicPrefix, kafka.NoReset, t.opts.Logger
	return fetch.New(t.client, o)
}

// leaderWait is how long the leader of a partition is waited for that is read up to its end.
const leaderWait = 10 * time.Second

var (
	// ErrDeleted is the cause of the *fetch.PartitionError for records that were deleted before they were read.
	ErrDeleted = errors.New("records were deleted before they were read")
	// ErrOpenTransaction is the cause of the *fetch.PartitionError for records that lie behind the beginning of a
	// transaction that had not ended.
	ErrOpenTransaction = errors.New("a transaction is open: what follows cannot be read before it ends")
)

// reportOpen yields an error for each partition that had records behind its end when the tail began: the end is where
// an open transaction begins.
func (t *tail) reportOpen(ends offsets) error {
	for _, tp := range slices.SortedFunc(maps.Keys(ends), kafka.TopicPartition.Compare) {
		end, ok := t.highest[tp]
		if !ok || end <= ends[tp] {
			continue
		}
		if !t.yield(nil, &fetch.PartitionError{Topic: tp.Topic, Partition: tp.Partition, Offset: ends[tp], Next: -1,
			Err: ErrOpenTransaction}) {
			return errBreak
		}
	}
	return nil
}

// emit hands a chunk to the loop.
func (t *tail) emit(c *fetch.Chunk) error {
	if len(c.Records) > 0 && !t.yield(c, nil) {
		return errBreak
	}
	return nil
}

// matches reports whether a topic is to be read.
func (t *tail) matches(topic *kafka.Topic) bool {
	return !topic.Internal && !strings.HasPrefix(topic.Name, "__") && t.opts.Match(topic.Name)
}

// cluster returns today's metadata. It asks until it gets an answer.
func (t *tail) cluster(ctx context.Context) (*kafka.Cluster, error) {
	backoff := t.client.Settings().Backoff()
	var last error
	for attempt := 0; ; attempt++ {
		// A topic of a moment ago is a topic that exists at the beginning: no answer out of a watch.
		var cluster *kafka.Cluster
		var err error
		if t.opts.Topics == nil {
			cluster, err = t.client.AllTopics(ctx)
		} else {
			cluster, err = t.client.Topics(ctx, t.opts.Topics...)
		}
		switch {
		case err == nil:
			return cluster, nil
		case ctx.Err() != nil:
			return nil, ended(ctx, last)
		case !kafka.Classify(err).Retriable():
			return nil, fmt.Errorf("tail: asking for the topics: %w", err)
		}
		if attempt == 0 {
			t.opts.Logger.Warn("tail: the cluster does not answer; trying again", "error", err)
		}
		last = err
		if kafka.Sleep(ctx, backoff.Delay(attempt)) != nil {
			return nil, ended(ctx, last)
		}
	}
}

// ended is the error of a tail whose context has ended while it tried something in vain.
func ended(ctx context.Context, last error) error {
	if last == nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("tail: %w; before that: %w", context.Cause(ctx), last)
}
