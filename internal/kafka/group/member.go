package group

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// Member is one member of one group. Its methods may be called at any time, by any goroutine.
type Member struct {
	client      *kafka.Client
	config      Config
	settings    kafka.Settings
	logger      *slog.Logger
	coordinator *coordinator
	heartbeater *heartbeater
	resolver    *resolver
	committer   *committer

	ran    atomic.Bool
	events chan eventData
	closed chan struct{} // nobody takes events any longer

	mu     sync.Mutex
	status Status

	loop loop
}

// New makes a member. It does nothing before Run.
func New(c *kafka.Client, cfg Config) *Member {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Member{
		client:   c,
		config:   cfg,
		settings: c.Settings(),
		logger:   cfg.Logger.With("group", cfg.Group),
		events:   make(chan eventData),
		closed:   make(chan struct{}),
	}
	m.coordinator = &coordinator{client: c, settings: m.settings, group: cfg.Group, instance: cfg.InstanceID}
	m.heartbeater = newHeartbeater(m.coordinator, func(e event) { m.post(eventData{event: e}) })
	m.resolver = &resolver{match: cfg.Match, names: cfg.Topics, post: m.post, woken: make(chan struct{}, 1)}
	m.committer = &committer{
		coordinator:  m.coordinator,
		every:        cfg.Commit,
		marks:        cfg.Consumer.Marks,
		exists:       m.exists,
		logger:       m.logger,
		post:         func(e event) { m.post(eventData{event: e}) },
		updateStatus: m.updateStatus,
		turn:         make(chan struct{}, 1),
	}
	m.loop.machine = machine{static: cfg.InstanceID != "", backoff: pauses(m.settings).Delay, generation: unjoined}
	return m
}

// Run is the member's life, and is called once: it joins the group, has its partitions worked and follows every
// rebalance until ctx ends. Then it drains, commits, leaves the group and returns nil. That takes no longer than the
// drain and a few seconds, whatever the brokers do.
//
// Otherwise it returns why the member cannot go on: [ErrFenced]; no assignor in common with the group's other
// members, for half a minute; [kafka.ErrAuth] before the member has ever worked (later it tries again, slowly and
// loudly: operators repair such things); what no retry can make succeed. The errors say what to do. When it returns
// every goroutine has ended, and the Consumer is drained.
func (m *Member) Run(ctx context.Context) error {
	if m.ran.Swap(true) {
		return errors.New("group: a member is run once: make another with New")
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	m.resolver.open(m.client)
	var helpers sync.WaitGroup
	helpers.Go(func() { m.resolver.run(work) })
	helpers.Go(func() { m.heartbeater.run(work) })
	helpers.Go(func() { m.committer.run(work) })

	m.runLoop(ctx, work)

	m.cancelOperation()
	m.committer.endGeneration()
	close(m.closed)
	cancel()
	helpers.Wait()
	m.leave(context.WithoutCancel(ctx))
	if m.loop.machine.state == Left {
		return nil
	}
	return fmt.Errorf("group: member of group %q: %w", m.config.Group, advise(m.loop.machine.err, m.settings))
}

// Commit writes down offsets (of the next record to be handled) of partitions that were assigned in a generation. It
// returns nil when they, or higher ones, have been acknowledged; transient errors are retried until ctx ends.
// It returns [ErrRevoked] when that generation is over, or a topic deleted.
func (m *Member) Commit(ctx context.Context, generation int32, offsets map[kafka.TopicPartition]int64) error {
	if err := m.committer.commit(ctx, generation, offsets); err != nil {
		return fmt.Errorf("group: committing offsets of generation %d of %q: %w", generation, m.config.Group, err)
	}
	return nil
}

// Forget tells that what is committed of a partition has lost its meaning, because the partition has fewer records than
// that: lower offsets are committed again. It waits for a commit that is under way, until ctx ends, and does nothing
// when that generation is over.
func (m *Member) Forget(ctx context.Context, generation int32, p kafka.TopicPartition) {
	m.committer.forget(ctx, generation, p)
}

// Status returns what the member is and has at the moment.
func (m *Member) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.status
	s.Assigned = slices.Clone(s.Assigned)
	s.Topics = maps.Clone(s.Topics)
	s.Committed = maps.Clone(s.Committed)
	return s
}

func (m *Member) updateStatus(change func(*Status)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.status)
}

// recordError records what went wrong last.
func (m *Member) recordError(err error) {
	m.updateStatus(func(s *Status) { s.LastError, s.LastErrorAt = err, time.Now() })
}

// exists reports whether a topic is there, as far as is known.
func (m *Member) exists(topic string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status.Topics[topic] > 0
}

// post gives the loop an event, and waits until the loop receives it. It never waits for the loop while the loop
// waits for the caller: nobody calls it with the committer's turn, or out of what the loop abandons.
func (m *Member) post(data eventData) {
	select {
	case m.events <- data:
	case <-m.closed:
	}
}

// sortedPartitions returns the partitions of an assignment in order.
func sortedPartitions(given map[kafka.TopicPartition]Start) []kafka.TopicPartition {
	return slices.SortedFunc(maps.Keys(given), func(a, b kafka.TopicPartition) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

// eventData is an event with what the loop needs in order to do what the machine makes of it.
type eventData struct {
	event
	topics map[string]int                 // of changed
	join   *wire.JoinAnswer               // of joined
	given  map[kafka.TopicPartition]Start // of synced
	others map[string]int                 // of synced, for the leader: what others alone want
}
