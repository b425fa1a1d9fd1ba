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

// committer writes down how far the member has come: by itself every so often, when told to, and at the end of a
// generation. It sends one request at a time, so that an older one never comes behind a newer one, and only within a
// term.
type committer struct {
	coordinator *coordinator
	every       time.Duration // 0 = never by itself
	marks       func() map[kafka.TopicPartition]int64
	exists      func(topic string) bool
	logger      *slog.Logger
	post        func(event)
	note        func(func(*Status))

	turn    chan struct{} // who has put something in may use term
	term    *term         // nil between generations
	endTerm context.CancelFunc

	mu      sync.Mutex
	asked   map[kafka.TopicPartition]int64 // by those who wait for the turn: whoever has it sends for all
	askedIn int32                          // their generation
}

// begin opens a term: commits of this generation are taken from now on. With the turn in hand it calls start, so that
// nothing is committed of partitions that have not been begun.
func (c *committer) begin(ctx context.Context, who identity, found map[kafka.TopicPartition]int64, start func()) {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	c.term = newTerm(ctx, who, found)
	c.endTerm = c.term.cancel
	c.told(c.term)
	start()
}

// end closes the term. When it returns nothing is being sent, and nothing will be before the next begin. Begin and end
// are called by one goroutine.
func (c *committer) end() {
	if c.endTerm != nil {
		c.endTerm() // ends the request of whoever has the turn
	}
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	c.term, c.endTerm = nil, nil
	c.note(func(s *Status) { s.Committed = nil })
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
			wait = max(c.every, slowly)
		}
		if !failing {
			c.logger.Warn("group: offsets cannot be committed; it is tried again and again", "error", err)
		}
		failing = true
	}
}

// flush commits the Consumer's marks, once.
func (c *committer) flush(ctx context.Context) error {
	return c.once(ctx, func(*term) (map[kafka.TopicPartition]int64, error) { return c.marks(), nil })
}

// commit commits offsets of a generation. It tries again what a retry can mend, until ctx or the generation ends.
func (c *committer) commit(ctx context.Context, generation int32, offsets map[kafka.TopicPartition]int64) error {
	backoff := pauses(c.coordinator.settings)
	var before error // what the last attempt met, if ctx ends in this one
	for n := 0; ; n++ {
		c.ask(generation, offsets)
		err := c.once(ctx, func(t *term) (map[kafka.TopicPartition]int64, error) {
			if t.who.generation != generation {
				return nil, ErrRevoked
			}
			for p := range offsets {
				if _, mine := t.committed[p]; !mine {
					return nil, fmt.Errorf("%w: %s is not assigned in generation %d", ErrRevoked, p, generation)
				}
				if t.gone[p] {
					return nil, fmt.Errorf("%s: %w", p, errGone)
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
		case !mends(err):
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
	if t := c.term; t != nil && t.who.generation == generation {
		t.forget(p)
		c.told(t)
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

// takeAsked returns offsets and what others have asked for in the generation.
func (c *committer) takeAsked(generation int32, offsets map[kafka.TopicPartition]int64) map[kafka.TopicPartition]int64 {
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

// last commits the Consumer's marks for the last time in a term. It tries again what a retry can mend, until ctx ends.
func (c *committer) last(ctx context.Context) error {
	backoff := pauses(c.coordinator.settings)
	for n := 0; ; n++ {
		twice := false
		err := c.once(ctx, func(t *term) (map[kafka.TopicPartition]int64, error) {
			twice = t.behind()
			return c.marks(), nil
		})
		switch {
		case errors.Is(err, errGone), err == nil && !twice:
			return nil
		case err == nil:
			continue
		}
		if ctx.Err() != nil || !mends(err) || kafka.Sleep(ctx, backoff.Delay(n)) != nil {
			return err
		}
	}
}

// mends reports whether trying again can mend err. An unknown topic that is there is one that the broker has not heard
// of yet.
func mends(err error) bool {
	return !errors.Is(err, ErrRevoked) && faultOf(err) == passing
}

// once takes the turn and sends what choose returns of the open term, if it is not committed already.
func (c *committer) once(ctx context.Context, choose func(*term) (map[kafka.TopicPartition]int64, error)) error {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	t, err := c.send(ctx, choose)
	<-c.turn
	if t != nil && errors.Is(err, ErrRevoked) && faultOf(err).endsTerm() {
		c.post(event{what: refused, id: t.who.id, generation: t.who.generation, err: err})
	}
	if err != nil && !errors.Is(err, ErrRevoked) && ctx.Err() == nil {
		c.note(func(s *Status) { s.LastError, s.LastErrorAt = err, time.Now() })
	}
	return err
}

// send is once with the turn in hand.
func (c *committer) send(ctx context.Context, choose func(*term) (map[kafka.TopicPartition]int64,
	error)) (*term, error) {
	t := c.term
	if t == nil || t.over {
		return nil, ErrRevoked
	}
	offsets, err := choose(t)
	if err != nil {
		return nil, err
	}
	due := t.due(c.takeAsked(t.who.generation, offsets))
	if len(due) == 0 {
		return t, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(t.ctx, cancel)
	defer stop()
	results, err := c.coordinator.commit(ctx, t.who, due)
	if t.ctx.Err() != nil && err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRevoked, err)
	}
	err = t.settle(due, results, err, c.exists)
	c.told(t)
	if err != nil && !t.over && t.holds(offsets) {
		err = nil // what failed is for others to hear
	}
	if err != nil {
		return t, fmt.Errorf("group: committing %d partitions of %q: %w", len(due), c.coordinator.group, err)
	}
	c.note(func(s *Status) { s.LastCommit = time.Now() })
	return t, nil
}

// told makes a term's commits visible.
func (c *committer) told(t *term) {
	committed := maps.Clone(t.committed)
	maps.DeleteFunc(committed, func(_ kafka.TopicPartition, offset int64) bool { return offset < 0 })
	c.note(func(s *Status) { s.Committed = committed })
}
