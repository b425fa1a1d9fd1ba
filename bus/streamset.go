package bus

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/fnmatch"
)

const (
	deadSuffix   = ".dead"
	retryInfix   = ".retry."
	replaySuffix = ".replay"
	logSuffix    = ".log" // behind replaySuffix: what has been replayed
)

// ownStream is how the bus names its own streams: <stream>.<group>.dead, <stream>.<group>.retry.<n>,
// <stream>.<group>.replay and <stream>.<group>.replay.log.
var ownStream = regexp.MustCompile(`^.+\..+\.(dead|retry\.[0-9]+|replay(\.log)?)$`)

// namesOwn reports whether a pattern names the bus's own streams.
func namesOwn(pattern string) bool {
	return strings.HasSuffix(pattern, deadSuffix) || strings.Contains(pattern, retryInfix) ||
		strings.HasSuffix(strings.TrimSuffix(pattern, logSuffix), replaySuffix)
}

// isSecondDead reports whether a stream holds dead letters of dead letters. A record that fails in it is rejected.
func isSecondDead(stream string) bool {
	return ownStream.MatchString(stream) && strings.Count(stream+".", deadSuffix+".") > 1
}

// streamSet tells which topics a subscription reads.
type streamSet struct {
	prefix      string
	patterns    []fnmatch.Pattern // of streams that applications publish to
	named       []fnmatch.Pattern // those among them that name the bus's own streams
	group       string
	tiers       int  // retry streams of the subscription's own
	deadLetters bool // the subscription writes dead letters, and reads those that are replayed
}

func newStreamSet(prefix string, s *subscription) (streamSet, error) {
	patterns, err := compile(prefix, s.patterns)
	if err != nil {
		return streamSet{}, err
	}
	set := streamSet{prefix: prefix, patterns: patterns, group: s.group, tiers: len(s.delays), deadLetters: s.deadLetter}
	for i, text := range s.patterns {
		if namesOwn(text) {
			set.named = append(set.named, patterns[i])
		}
	}
	return set, nil
}

// olderTiers is how many retry streams are looked for beyond the subscription's own, where its streams are named:
// there may have been more delays once.
const olderTiers = 10

// topics returns the names of all topics that the subscription may read; nil if it has a pattern that more than one
// name can match.
func (s *streamSet) topics(patterns []string) []string {
	topics := namedTopics(s.prefix, patterns)
	if !s.deadLetters {
		return topics
	}
	for _, topic := range topics[:len(topics):len(topics)] {
		topics = append(topics, topic+"."+s.group+replaySuffix)
		if s.tiers == 0 {
			continue
		}
		for tier := range s.tiers + olderTiers {
			topics = append(topics, topic+"."+s.group+retryInfix+strconv.Itoa(tier+1))
		}
	}
	return topics
}

// namedTopics returns the topics that patterns name; nil if one of them can match more than one name.
func namedTopics(prefix string, patterns []string) []string {
	topics := make([]string, 0, len(patterns))
	for _, pattern := range patterns {
		if fnmatch.HasMeta(pattern) {
			return nil
		}
		topics = append(topics, prefix+pattern)
	}
	return topics
}

// match reports whether the subscription reads a topic: one of its patterns, or a retry or replay stream of its own.
func (s *streamSet) match(topic string) bool {
	stream, ok := strings.CutPrefix(topic, s.prefix)
	if !ok {
		return false
	}
	if ownStream.MatchString(stream) {
		return matchAny(s.named, topic) && !s.written(stream) || s.own(topic)
	}
	return matchAny(s.patterns, topic)
}

// written reports whether a stream is where the subscription's own dead letters go: if it read them, those that fail
// would go round for ever.
func (s *streamSet) written(stream string) bool {
	base, ours := strings.CutSuffix(stream, "."+s.group+deadSuffix)
	return ours && s.deadLetters && matchAny(s.patterns, s.prefix+base)
}

// own reports whether a topic is one of the subscription's own retry or replay streams.
func (s *streamSet) own(topic string) bool {
	if !s.deadLetters {
		return false
	}
	stream, ok := strings.CutPrefix(topic, s.prefix)
	if !ok {
		return false
	}
	source, _ := s.origin(stream)
	return source != stream && matchAny(s.patterns, s.prefix+source)
}

// origin returns the stream that a record came from at first, and the retry stream it is in now: 0 for none, as in a
// replay stream. It may be one beyond the subscription's last: when there are fewer delays than there were, what
// waits there is to be handled all the same.
func (s *streamSet) origin(stream string) (source string, tier int) {
	name, replayed := strings.CutSuffix(stream, replaySuffix)
	if !replayed {
		var number string
		name, number, _ = cutLast(stream, retryInfix)
		if n, err := strconv.Atoi(number); err == nil && s.tiers > 0 {
			tier = n
		}
	}
	source, ours := strings.CutSuffix(name, "."+s.group)
	if !ours || source == "" || !s.deadLetters || !replayed && tier < 1 {
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

// streamsOf returns the names of topics as the application knows them, sorted.
func (c *connection) streamsOf(topics map[string]int) []string {
	streams := make([]string, 0, len(topics))
	for topic := range topics {
		streams = append(streams, c.stream(topic))
	}
	slices.Sort(streams)
	return streams
}

// stream returns the name of a topic as the application knows it.
func (c *connection) stream(topic string) string { return strings.TrimPrefix(topic, c.prefix) }
