package streams

import (
	"strconv"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/fnmatch"
)

// Subscription is what the names of streams depend on in a subscription.
type Subscription struct {
	Patterns []string
	Group    string
	// Tiers counts the retry streams of a stream.
	Tiers int
	// DeadLetters: the subscription writes dead letters, and reads those that are replayed.
	DeadLetters bool
}

// own returns the streams that the subscription writes to when records of a stream fail: the dead letters, and one for
// each tier.
func (s *Subscription) own(stream string) []string {
	if !s.DeadLetters {
		return nil
	}
	var names []string
	if !IsSecondDead(stream) {
		names = append(names, Dead(stream, s.Group))
	}
	for tier := range s.Tiers {
		names = append(names, Retry(stream, s.Group, tier+1))
	}
	return names
}

// Set says which topics a subscription reads.
type Set struct {
	Subscription
	prefix   string
	compiled []fnmatch.Pattern // of streams that applications publish to
	named    []fnmatch.Pattern // those among them that name the bus's own streams
}

// NewSet returns the Set of a subscription, or why a pattern can match nothing.
func NewSet(prefix string, s Subscription) (*Set, error) {
	compiled, err := Compile(prefix, s.Patterns)
	if err != nil {
		return nil, err
	}
	set := &Set{Subscription: s, prefix: prefix, compiled: compiled}
	for i, text := range s.Patterns {
		if NamesOwn(text) {
			set.named = append(set.named, compiled[i])
		}
	}
	return set, nil
}

// Unmatched returns an [Unmatched] of the subscription's patterns.
func (s *Set) Unmatched() *Unmatched { return NewUnmatched(s.prefix, s.compiled) }

// olderTiers is how many retry streams are looked for beyond the subscription's own, where its streams are named:
// there may have been more delays once.
const olderTiers = 10

// Topics returns the names of all topics that the subscription may read; nil if it has a pattern that more than one
// name can match.
func (s *Set) Topics() []string {
	topics := Named(s.prefix, s.Patterns)
	if !s.DeadLetters {
		return topics
	}
	for _, topic := range topics[:len(topics):len(topics)] {
		topics = append(topics, Replay(topic, s.Group))
		if s.Tiers == 0 {
			continue
		}
		for tier := range s.Tiers + olderTiers {
			topics = append(topics, Retry(topic, s.Group, tier+1))
		}
	}
	return topics
}

// Named returns the topics that patterns name; nil if one of them can match more than one name.
func Named(prefix string, patterns []string) []string {
	topics := make([]string, 0, len(patterns))
	for _, pattern := range patterns {
		if fnmatch.HasMeta(pattern) {
			return nil
		}
		topics = append(topics, prefix+pattern)
	}
	return topics
}

// Match reports whether the subscription reads a topic: one of its patterns, or a retry or replay stream of its own.
func (s *Set) Match(topic string) bool {
	stream, ok := strings.CutPrefix(topic, s.prefix)
	if !ok {
		return false
	}
	if IsOwn(stream) {
		return MatchAny(s.named, topic) && !s.written(stream) || s.IsOwn(topic)
	}
	return MatchAny(s.compiled, topic)
}

// written reports whether a stream is where the subscription's own dead letters go: if it read them, those that fail
// would go round for ever.
func (s *Set) written(stream string) bool {
	base, ours := strings.CutSuffix(stream, "."+s.Group+DeadSuffix)
	return ours && s.DeadLetters && MatchAny(s.compiled, s.prefix+base)
}

// IsOwn reports whether a topic is one of the subscription's own retry or replay streams.
func (s *Set) IsOwn(topic string) bool {
	if !s.DeadLetters {
		return false
	}
	stream, ok := strings.CutPrefix(topic, s.prefix)
	if !ok {
		return false
	}
	source, _ := s.Origin(stream)
	return source != stream && MatchAny(s.compiled, s.prefix+source)
}

// Origin returns the stream that a record came from at first, and the retry stream it is in now: 0 for none, as in a
// replay stream. It may be one beyond the subscription's last: when there are fewer delays than there were, what
// waits there is to be handled all the same.
func (s *Set) Origin(stream string) (source string, tier int) {
	name, replayed := strings.CutSuffix(stream, replaySuffix)
	if !replayed {
		var number string
		name, number, _ = cutLast(stream, retryInfix)
		if n, err := strconv.Atoi(number); err == nil && s.Tiers > 0 {
			tier = n
		}
	}
	source, ours := strings.CutSuffix(name, "."+s.Group)
	if !ours || source == "" || !s.DeadLetters || !replayed && tier < 1 {
		return stream, 0
	}
	return source, tier
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
