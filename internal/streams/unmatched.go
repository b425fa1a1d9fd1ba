package streams

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/fnmatch"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/near"
)

// unmatchedAfter is how long a pattern may match no stream before the log says so.
const unmatchedAfter = 10 * time.Second

// Unmatched finds the patterns of a subscription or a tail that match no stream: as a rule a name is mistyped.
type Unmatched struct {
	prefix   string
	patterns []fnmatch.Pattern
	since    []time.Time // of each pattern: when it was first seen to match nothing; zero while it matches
	logged   []bool      // of each: the log has said so since then
}

// NewUnmatched returns an Unmatched of these patterns.
func NewUnmatched(prefix string, patterns []fnmatch.Pattern) *Unmatched {
	return &Unmatched{prefix: prefix, patterns: patterns,
		since: make([]time.Time, len(patterns)), logged: make([]bool, len(patterns))}
}

// due returns the patterns that have matched none of the topics for unmatchedAfter, each once for as long as that
// lasts. topics is nil as long as no broker has said which there are.
func (u *Unmatched) due(now time.Time, topics map[string]*kafka.Topic) []fnmatch.Pattern {
	if topics == nil {
		return nil
	}
	var due []fnmatch.Pattern
	for i, p := range u.patterns {
		switch {
		case u.matches(p, topics):
			u.since[i], u.logged[i] = time.Time{}, false
		case u.since[i].IsZero():
			u.since[i] = now
		case !u.logged[i] && now.Sub(u.since[i]) >= unmatchedAfter:
			u.logged[i] = true
			due = append(due, p)
		}
	}
	return due
}

func (u *Unmatched) matches(p fnmatch.Pattern, topics map[string]*kafka.Topic) bool {
	for name, topic := range topics {
		if !topic.Internal && Reads(p, u.prefix, name) {
			return true
		}
	}
	return false
}

// Log logs the patterns that have matched no stream for so long, each once for as long as that lasts.
func (u *Unmatched) Log(ctx context.Context, client *kafka.Client, log *slog.Logger) {
	for _, p := range u.due(time.Now(), client.KnownTopics()) {
		attrs := []any{"pattern", p.String()}
		if near := u.near(ctx, client, p.String()); len(near) > 0 {
			attrs = append(attrs, "near", near)
		}
		log.Warn("bus: no stream matches the pattern; it waits for one", attrs...)
	}
}

// near returns the streams whose names are near a pattern; none when no broker answers soon.
func (u *Unmatched) near(ctx context.Context, client *kafka.Client, pattern string) []string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cluster, err := client.AllTopics(ctx)
	if err != nil {
		return nil
	}
	maps.DeleteFunc(cluster.Topics, func(name string, topic *kafka.Topic) bool {
		return topic.Internal || !strings.HasPrefix(name, u.prefix)
	})
	return near.Matching(pattern, func(yield func(string) bool) {
		for name := range cluster.Topics {
			if !yield(strings.TrimPrefix(name, u.prefix)) {
				return
			}
		}
	})
}

// Watch calls Log each second until ctx ends.
func (u *Unmatched) Watch(ctx context.Context, client *kafka.Client, log *slog.Logger) {
	for kafka.Sleep(ctx, time.Second) == nil {
		u.Log(ctx, client, log)
	}
}
