// Package consume runs one subscription: a member of a consumer group, the fetcher that reads the partitions the member
// is given, and the lanes that their records are handled in.
//
//	member   joins, keeps beating, commits; calls Assign and Drain
//	fetcher  reads the assigned partitions
//	dispatch one goroutine a generation: takes chunks from the fetcher and puts their records into lanes
//	lanes    handle records, and know the watermark of each partition
//
// What it promises: a record is handled at least once; nothing is committed beyond a record that has not been handled;
// when a partition is taken away nothing of it begins any more, and what runs may finish until the drain time is over.
package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/group"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/lanes"
)

// Options of a Consumer.
type Options struct {
	// Group is the consumer group.
	Group string
	// InstanceID makes the member a static one (group.instance.id). Defaults to none.
	InstanceID string
	// Match tells which topics to read.
	Match func(topic string) bool
	// Topics are the only ones that Match may take, where their names are known. Defaults to any.
	Topics []string
	// Lanes and Limit are those of [lanes.Options].
	Lanes lanes.Mode
	Limit int
	// TopicPrefix is what a record's topic has before its stream.
	TopicPrefix string
	// Do, DoBatch, Batches and Dropped are those of [lanes.Options]. [PartitionOf] tells from ctx where the item comes
	// from.
	Do      func(ctx context.Context, r *wire.Record, retry *lanes.Retry) (finished bool, next *lanes.Retry)
	DoBatch func(ctx context.Context, items []lanes.Item[wire.Record]) lanes.Result
	Batches lanes.Batches
	Dropped func(ctx context.Context, r *wire.Record, retry *lanes.Retry)
	// NotBefore tells of an item that is read now when it may be handled; asked once for each item of the topics that
	// Delayed names. These are the group's own: what waits there is never passed over, whatever auto_offset_reset
	// says.
	NotBefore func(r *wire.Record, now time.Time) time.Time
	Delayed   func(topic string) bool
	// Manual: only what [Place.Commit] was called for is committed.
	Manual bool
	// DrainTimeout is how long handlers may run on when their partitions are taken away, or at the end.
	DrainTimeout time.Duration
	// Logger must not be nil.
	Logger *slog.Logger
}

// Consumer is one running subscription.
type Consumer struct {
	opts    Options
	client  *kafka.Client
	cfg     kafka.Settings
	log     *slog.Logger
	member  *group.Member
	fetcher *fetch.Fetcher
	pool    *lanes.Pool[wire.Record]

	stopping chan struct{} // closed by the first Stop or Fail
	once     sync.Once
	failure  error // valid after stopping

	mu      sync.Mutex
	current *generation // the last one assigned; its lanes may be stopped
	// abandoned are lanes with handlers that did not return when their context ended: whoever gets such a partition
	// next in this process waits for all of them, so that a record is never handled twice at the same time.
	abandoned map[kafka.TopicPartition][]*lanes.Partition[wire.Record]
	lastError error
	errorAt   time.Time
	handled   uint64 // items of generations that are over

	corrupt atomic.Uint64 // batches that could not be read
}

// New returns a Consumer, which does nothing before Run.
func New(c *kafka.Client, o Options) *Consumer {
	x := &Consumer{
		opts: o, client: c, cfg: c.Settings(), log: o.Logger,
		stopping:  make(chan struct{}),
		abandoned: make(map[kafka.TopicPartition][]*lanes.Partition[wire.Record]),
	}
	x.pool = lanes.New(lanes.Options[wire.Record]{
		Mode: o.Lanes, Limit: o.Limit,
		Offset: func(r *wire.Record) int64 { return r.Offset }, Key: func(r *wire.Record) []byte { return r.Key },
		Size: (*wire.Record).Memory,
		Do:   o.Do, DoBatch: o.DoBatch, Batches: o.Batches, Dropped: o.Dropped,
		PartitionBytes: partitionBytes, PartitionItems: c.Settings().MaxPollRecords,
	})
	x.member = group.New(c, group.Config{
		Group: o.Group, InstanceID: o.InstanceID, Match: o.Match, Topics: o.Topics, Commit: x.cfg.AutoCommitInterval,
		Drain:  o.DrainTimeout,
		Logger: o.Logger, Consumer: x,
	})
	return x
}

// partitionBytes is how much of a partition is held for its lanes before it is not read any further: about two fetches'
// worth, so that the next is there when the last has been handled.
const partitionBytes = 2 << 20

// errDraining is the cause of a context that ended because the time to finish was over.
var errDraining = errors.New("the partition has been taken away, and the time to finish is over")

// Run reads and handles until ctx ends or Stop is called, and then drains, commits and leaves; that is no error.
// Otherwise it returns what Fail was called with, or why the member cannot go on. It can be called once.
func (c *Consumer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-c.stopping:
			cancel()
		case <-ctx.Done():
		}
	})
	c.mu.Lock() // Status may look
	// Where a partition begins again that has lost an offset is decided here, and not for all alike: see
	// partition.resetOffset.
	c.fetcher = fetch.New(c.client, fetch.Options{TopicPrefix: c.opts.TopicPrefix, OutOfRange: kafka.NoReset,
		Logger: c.log.With("group", c.opts.Group)})
	c.mu.Unlock()
	wg.Go(func() { c.watch(ctx) })
	err := c.member.Run(ctx)
	cancel()
	wg.Wait()
	c.fetcher.Close()
	c.finish()
	select {
	case <-c.stopping:
		return errors.Join(c.failure, err)
	default:
		return err
	}
}

// finish waits for the lanes, but not for handlers that have been abandoned: they do not listen, and their records will
// be handled again.
func (c *Consumer) finish() {
	c.mu.Lock()
	c.forgetIdleLocked()
	stuck := len(c.abandoned)
	c.mu.Unlock()
	if stuck == 0 {
		c.pool.Close()
	}
}

// forgetIdleLocked forgets the abandoned lanes whose handlers have returned.
func (c *Consumer) forgetIdleLocked() {
	for tp, stuck := range c.abandoned {
		if c.abandoned[tp] = slices.DeleteFunc(stuck, isIdle); len(c.abandoned[tp]) == 0 {
			delete(c.abandoned, tp)
		}
	}
}

// abandonedLocked counts the handlers that have been abandoned and have not returned.
func (c *Consumer) abandonedLocked() (handlers int) {
	c.forgetIdleLocked()
	for _, stuck := range c.abandoned {
		for _, lane := range stuck {
			_, _, running := lane.Held()
			handlers += running
		}
	}
	return handlers
}

// Stop ends Run: without an error, unless Fail came first. It does not wait.
func (c *Consumer) Stop() { c.Fail(nil) }

// Fail ends Run with err. Only the first call counts.
func (c *Consumer) Fail(err error) {
	c.once.Do(func() {
		c.failure = err
		close(c.stopping)
	})
}

// CancelHandlers ends the time that handlers have to finish now.
func (c *Consumer) CancelHandlers() {
	c.mu.Lock()
	g := c.current
	c.mu.Unlock()
	if g != nil {
		g.cancel(errDraining)
	}
}

// Assign implements group.Consumer.
func (c *Consumer) Assign(a group.Assignment) {
	g := newGeneration(c, a)
	c.mu.Lock()
	c.current = g
	c.mu.Unlock()
	g.start()
}

// Drain implements group.Consumer.
func (c *Consumer) Drain(ctx context.Context) {
	c.mu.Lock()
	g := c.current
	c.mu.Unlock()
	if g != nil && !g.drained.Load() {
		g.drain(ctx)
	}
}

// Marks implements group.Consumer.
func (c *Consumer) Marks() map[kafka.TopicPartition]int64 {
	c.mu.Lock()
	g := c.current
	c.mu.Unlock()
	if g == nil {
		return nil
	}
	marks := make(map[kafka.TopicPartition]int64, len(g.partitions))
	for tp, p := range g.partitions {
		if mark, ok := p.mark(); ok {
			marks[tp] = mark
		}
	}
	return marks
}

// recordError keeps an error for Status.
func (c *Consumer) recordError(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastError, c.errorAt = err, time.Now()
}

// recordAbandoned remembers lanes of a partition whose handlers do not return.
func (c *Consumer) recordAbandoned(tp kafka.TopicPartition, stuck []*lanes.Partition[wire.Record]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abandoned[tp] = append(c.abandoned[tp], stuck...)
}

// heldBy returns the lanes of earlier generations of a partition in which handlers still run.
func (c *Consumer) heldBy(tp kafka.TopicPartition) []*lanes.Partition[wire.Record] {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetIdleLocked()
	return slices.Clone(c.abandoned[tp])
}

// isIdle reports whether a lane has been stopped and none of its handlers runs.
func isIdle(lane *lanes.Partition[wire.Record]) bool { return isDone(lane.Idle()) }

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func name(tp kafka.TopicPartition) string { return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition) }
