package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

// committer commits the member's offsets: at an interval, on request, and at the end of a
// generation. It sends one request at a time, so that an older one never comes behind a newer one, and only within a
// generation.
type committer struct {
	coordinator  *coordinator
	every        time.Duration // 0 = never by itself
	marks        func() map[kafka.TopicPartition]int64
	exists       func(topic string) bool
	logger       *slog.Logger
	post         func(event)
	updateStatus func(func(*Status))

	turn          chan struct{}      // who has put something in may use current
	current       *generationCommits // nil between generations
	cancelCurrent context.CancelFunc

	mu      sync.Mutex
	asked   map[kafka.TopicPartition]int64 // by those who wait for the turn: whoever has it sends for all
	askedIn int32                          // their generation
}

// beginGeneration begins a generation: its commits are sent from now on. With the turn in hand it calls start, so that
// nothing is committed of partitions that have not been begun.
func (c *committer) beginGeneration(
	ctx context.Context, member identity, found map[kafka.TopicPartition]int64, start func(),
) {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	c.current = newGenerationCommits(ctx, member, found)
	c.cancelCurrent = c.current.cancel
	c.publishCommitted(c.current)
	start()
}

// endGeneration ends the generation. When it returns nothing is being sent, and nothing will be before the next
// begin. Begin and end are called by one goroutine.
func (c *committer) endGeneration() {
	if c.cancelCurrent != nil {
		c.cancelCurrent() // ends the request of whoever has the turn
	}
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	c.current, c.cancelCurrent = nil, nil
	c.updateStatus(func(s *Status) { s.Committed = nil })
}

// run commits by itself until ctx ends.
func (c *committer) run(ctx context.Context) {
	if c.every <= 0 {
		return
	}
	failing := false
	for wait := c.every; kafka.Sleep(ctx, wait) == nil; {
		wait = c.every
		err := c.flush(ctx)
		switch f := faultOf(err); {
		case ctx.Err() != nil:
			return
		case err == nil:
			if failing {
				c.logger.Info("group: offsets are committed again")
			}
			failing = false
			continue
		case errors.Is(err, ErrRevoked):
			continue
		case f == denied:
			wait = max(c.every, deniedBackoff)
		}
		if !failing {
			c.logger.Warn("group: offsets cannot be committed; it is tried again and again", "error", err)
		}
		failing = true
	}
}

// flush commits the Consumer's marks, once.
func (c *committer) flush(ctx context.Context) error {
	return c.once(ctx, func(*generationCommits) (map[kafka.TopicPartition]int64, error) { return c.marks(), nil })
}

// commit commits offsets of a generation. It retries transient errors until ctx or the generation ends.
func (c *committer) commit(ctx context.Context, generation int32, offsets map[kafka.TopicPartition]int64) error {
	backoff := pauses(c.coordinator.settings)
	var before error // what the last attempt met, if ctx ends in this one
	for n := 0; ; n++ {
		c.ask(generation, offsets)
		err := c.once(ctx, func(g *generationCommits) (map[kafka.TopicPartition]int64, error) {
			if g.member.generation != generation {
				return nil, ErrRevoked
			}
			for p := range offsets {
				if _, mine := g.committed[p]; !mine {
					return nil, fmt.Errorf("%w: %s is not assigned in generation %d", ErrRevoked, p, generation)
				}
				if g.deleted[p] {
					return nil, fmt.Errorf("%s: %w", p, errDeleted)
				}
			}
			return offsets, nil
		})
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			if before == nil {
				return err
			}
			return fmt.Errorf("%w; before that: %w", context.Cause(ctx), before)
		case !isTransient(err):
			return err
		}
		if before = err; kafka.Sleep(ctx, backoff.Delay(n)) != nil {
			return fmt.Errorf("%w; before that: %w", context.Cause(ctx), before)
		}
	}
}

// forget takes back what is known to be committed of a partition.
func (c *committer) forget(ctx context.Context, generation int32, p kafka.TopicPartition) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-c.turn }()
	if g := c.current; g != nil && g.member.generation == generation {
		g.forget(p)
		c.publishCommitted(g)
	}
}

// ask leaves offsets for the next request of their generation, whoever sends it.
func (c *committer) ask(generation int32, offsets map[kafka.TopicPartition]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == nil || c.askedIn != generation {
		c.asked, c.askedIn = make(map[kafka.TopicPartition]int64), generation
	}
	raise(c.asked, offsets)
}

// mergeAsked returns offsets and what others have asked for in the generation.
func (c *committer) mergeAsked(
	generation int32, offsets map[kafka.TopicPartition]int64,
) map[kafka.TopicPartition]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == nil || c.askedIn != generation {
		return offsets
	}
	asked := c.asked
	c.asked = nil
	raise(asked, offsets)
	return asked
}

// raise makes each offset in to at least that in offsets.
func raise(to, offsets map[kafka.TopicPartition]int64) {
	for p, offset := range offsets {
		if had, ok := to[p]; !ok || had < offset {
			to[p] = offset
		}
	}
}

// last commits the Consumer's marks for the last time in a generation. It retries transient errors until ctx ends.
func (c *committer) last(ctx context.Context) error {
	backoff := pauses(c.coordinator.settings)
	for n := 0; ; n++ {
		twice := false
		err := c.once(ctx, func(g *generationCommits) (map[kafka.TopicPartition]int64, error) {
			twice = g.needsAnotherAcknowledgement()
			return c.marks(), nil
		})
		switch {
		case errors.Is(err, errDeleted), err == nil && !twice:
			return nil
		case err == nil:
			continue
		}
		if ctx.Err() != nil || !isTransient(err) || kafka.Sleep(ctx, backoff.Delay(n)) != nil {
			return err
		}
	}
}

// isTransient reports whether a retry may succeed. An unknown topic that is there is one that the broker has not heard
// of yet.
func isTransient(err error) bool {
	return !errors.Is(err, ErrRevoked) && faultOf(err) == transient
}

// once takes the turn and sends what choose returns for the current generation, if it is not committed already.
func (c *committer) once(
	ctx context.Context, choose func(*generationCommits) (map[kafka.TopicPartition]int64, error),
) error {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	g, err := c.send(ctx, choose)
	<-c.turn
	if g != nil && errors.Is(err, ErrRevoked) && faultOf(err).endsGeneration() {
		c.post(event{kind: refused, id: g.member.id, generation: g.member.generation, err: err})
	}
	if err != nil && !errors.Is(err, ErrRevoked) && ctx.Err() == nil {
		c.updateStatus(func(s *Status) { s.LastError, s.LastErrorAt = err, time.Now() })
	}
	return err
}

// send is once with the turn in hand.
func (c *committer) send(ctx context.Context, choose func(*generationCommits) (map[kafka.TopicPartition]int64,
	error)) (*generationCommits, error) {
	g := c.current
	if g == nil || g.refused {
		return nil, ErrRevoked
	}
	offsets, err := choose(g)
	if err != nil {
		return nil, err
	}
	due := g.due(c.mergeAsked(g.member.generation, offsets))
	if len(due) == 0 {
		return g, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(g.ctx, cancel)
	defer stop()
	results, err := c.coordinator.commit(ctx, g.member, due)
	if g.ctx.Err() != nil && err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRevoked, err)
	}
	err = g.recordResults(due, results, err, c.exists)
	c.publishCommitted(g)
	if err != nil && !g.refused && g.holds(offsets) {
		err = nil // what failed is reported to the others
	}
	if err != nil {
		return g, fmt.Errorf("group: committing %d partitions of %q: %w", len(due), c.coordinator.group, err)
	}
	c.updateStatus(func(s *Status) { s.LastCommit = time.Now() })
	return g, nil
}

// publishCommitted shows a generation's commits in the Status.
func (c *committer) publishCommitted(g *generationCommits) {
	committed := maps.Clone(g.committed)
	maps.DeleteFunc(committed, func(_ kafka.TopicPartition, offset int64) bool { return offset < 0 })
	c.updateStatus(func(s *Status) { s.Committed = committed })
}
