// Package streamname knows how streams are named: what a name may have in it, and which are the bus's own.
package streamname

import (
	"regexp"
	"strings"
)

// Characters are those that a topic's name can have.
const Characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

var own = regexp.MustCompile(`^.+\..+\.(dead|retry\.[0-9]+|replay(\.log)?)$`)

// IsOwn reports whether a stream is one of the bus's own: <stream>.<group>.dead, <stream>.<group>.retry.<n>,
// <stream>.<group>.replay or <stream>.<group>.replay.log. They are read only where a pattern names them.
func IsOwn(stream string) bool { return own.MatchString(stream) }

// NamesOwn reports whether a pattern names the bus's own streams.
func NamesOwn(pattern string) bool {
	return strings.HasSuffix(pattern, ".dead") || strings.Contains(pattern, ".retry.") ||
		strings.HasSuffix(strings.TrimSuffix(pattern, ".log"), ".replay")
}
