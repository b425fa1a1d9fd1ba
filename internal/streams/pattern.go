package streams

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/kafkaesk/kafkaesk/internal/fnmatch"
)

// LongestTopic is how many characters a topic's name may have.
const LongestTopic = 249

// IsTopicName reports whether Kafka takes a name for a topic, "." and ".." aside.
func IsTopicName(name string) bool {
	return name != "" && len(name) <= LongestTopic && !strings.ContainsFunc(name, isNoNameCharacter)
}

func isNoNameCharacter(c rune) bool { return !strings.ContainsRune(nameCharacters, c) }

// nameCharacters are those that a topic's name can have.
const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// CheckPattern returns why a pattern can match no stream: then nothing would ever be read, and nothing say so. prefix
// is that of the topics, as far as it is known.
func CheckPattern(prefix, pattern string) error {
	if pattern == "" {
		return errors.New("a pattern needs a text: name a stream, or write * for all")
	}
	if _, err := fnmatch.Compile(prefix, pattern); err != nil {
		return fmt.Errorf("pattern %q: %w", pattern, err)
	}
	if isDots(pattern) {
		return fmt.Errorf("pattern %q matches no stream: %w", pattern, errDots)
	}
	part, shortest := fnmatch.Impossible(pattern, nameCharacters)
	switch n := len(prefix) + shortest; {
	case part != "":
		return fmt.Errorf("pattern %q matches no stream: no name has %q in it, only letters, digits, dots, dashes "+
			"and underscores: %s", pattern, part, adviseOnPattern(part))
	case n > LongestTopic:
		return fmt.Errorf("pattern %q matches no stream: with the prefix it has %d characters where Kafka allows %d",
			pattern, n, LongestTopic)
	}
	return nil
}

// adviseOnPattern says what to write instead of the part of a pattern that no name has.
func adviseOnPattern(part string) string {
	switch {
	case strings.ContainsFunc(part, unicode.IsSpace):
		return "take out the space"
	case part == "[":
		return "a set such as [ab] ends with ]"
	case len(part) > 1:
		return "one of the characters of a set such as [ab] has to be one of these"
	case strings.Contains(",;{}", part):
		return "give each pattern by itself, further ones by Patterns (Subscribe) or Include (Tail)"
	case strings.Contains(`^$|()\+`, part):
		return "a pattern is no regular expression: * stands for any characters, ? for one, [ab] for one of these"
	}
	return "name a stream, or write * for any characters, ? for one, [ab] for one of these"
}

// isDots reports whether a name means a directory or its parent, where Kafka has a directory for each partition.
func isDots(name string) bool { return name == "." || name == ".." }

var errDots = errors.New(`Kafka's topics are called neither "." nor ".."`)

// CheckName returns why no stream can have the name.
func CheckName(name string) error {
	at := strings.IndexFunc(name, isNoNameCharacter)
	switch {
	case name == "":
		return errors.New("a stream needs a name")
	case at >= 0:
		return fmt.Errorf("stream %q: a name has letters, digits, dots, dashes and underscores only, and no %q",
			name, []rune(name[at:])[0])
	case isDots(name):
		return fmt.Errorf("stream %q: %w", name, errDots)
	case len(name) > LongestTopic:
		return fmt.Errorf("stream %q: its name has %d characters where Kafka allows %d", name, len(name), LongestTopic)
	}
	return nil
}

// Compile prepares patterns for matching topics.
func Compile(prefix string, patterns []string) ([]fnmatch.Pattern, error) {
	compiled := make([]fnmatch.Pattern, len(patterns))
	for i, text := range patterns {
		if err := CheckPattern(prefix, text); err != nil {
			return nil, err
		}
		var err error
		if compiled[i], err = fnmatch.Compile(prefix, text); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", text, err)
		}
	}
	return compiled, nil
}

// Reads reports whether a topic belongs to a pattern: it matches, and where it is one of the bus's own streams, the
// pattern names them.
func Reads(p fnmatch.Pattern, prefix, topic string) bool {
	return p.Match(topic) && (NamesOwn(p.String()) || !IsOwn(strings.TrimPrefix(topic, prefix)))
}

// MatchAny reports whether one of the patterns matches a topic.
func MatchAny(patterns []fnmatch.Pattern, topic string) bool {
	return slices.ContainsFunc(patterns, func(p fnmatch.Pattern) bool { return p.Match(topic) })
}
