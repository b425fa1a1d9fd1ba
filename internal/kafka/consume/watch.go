package consume

import (
	"context"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
)

const (
	// watchEvery is how often the partitions are looked at.
	watchEvery = 5 * time.Second
	// stuckAfter is how long a partition may finish nothing, while a handler runs, before the log says. It tells again
	// each time that the time has doubled.
	stuckAfter = time.Minute
)

// watch looks at the partitions from time to time, until ctx ends: a handler may run for as long as it likes, because
// the member's heartbeats do not depend on it, so nobody else would notice one that never returns.
func (c *Consumer) watch(ctx context.Context) {
	seen := make(map[kafka.TopicPartition]progress)
	for kafka.Sleep(ctx, watchEvery) == nil {
		c.mu.Lock()
		g := c.current
		c.mu.Unlock()
		if g == nil || g.drained.Load() {
			clear(seen)
			continue
		}
		now := time.Now()
		for tp, p := range g.partitions {
			_, _, running := p.lane.Load().Held()
			s, isDue := seen[tp].after(p.oldest(), running > 0, now)
			if seen[tp] = s; isDue {
				c.log.Warn("consume: a handler has been running for long and holds up its partition",
					"group", c.opts.Group, "partition", name(tp), "offset", s.offset, "for", now.Sub(s.since).Round(time.Second))
			}
		}
		c.updateEnds(ctx, g)
	}
}

// progress is what watch knows of a partition.
type progress struct {
	offset int64     // the first that is not finished
	since  time.Time // a handler has been running and the offset has been the same
	next   time.Duration
}

// after returns the progress as it is now, and whether it is time to tell.
func (p progress) after(offset int64, running bool, now time.Time) (_ progress, isDue bool) {
	if !running || p.offset != offset || p.since.IsZero() {
		return progress{offset: offset, since: now, next: stuckAfter}, false
	}
	if now.Sub(p.since) < p.next {
		return p, false
	}
	p.next *= 2
	return p, true
}

// updateEnds asks for the ends of partitions that are not being read: no fetch tells them, and their lag is the one
// that grows.
func (c *Consumer) updateEnds(ctx context.Context, g *generation) {
	var paused []kafka.TopicPartition
	for tp, p := range g.partitions {
		if p.isPaused() {
			paused = append(paused, tp)
		}
	}
	if len(paused) == 0 {
		return
	}
	limited, cancel := context.WithTimeout(ctx, watchEvery)
	defer cancel()
	ends, _ := c.client.HighWatermarks(limited, paused) // what fails is looked up again the next time
	for tp, end := range ends {
		g.partitions[tp].end.Store(end)
	}
}

func (p *partition) isPaused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused
}
