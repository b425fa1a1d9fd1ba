// Package streams knows names: those of streams and patterns, and those of the streams that the bus makes for a group's
// failed records. It says which topics a subscription reads, and which names Kafka refuses. It does no I/O, but for
// [Unmatched].
package streams

import (
	"regexp"
	"strconv"
	"strings"
)

// DeadSuffix ends the name of a stream of dead letters.
const DeadSuffix = ".dead"

// The headers of a dead letter that say whose it is. Package bus documents them.
const (
	GroupHeader       = "kafkaesk-group"
	FirstStreamHeader = "kafkaesk-first-stream"
)

const (
	retryInfix   = ".retry."
	replaySuffix = ".replay"
	logSuffix    = ".log" // behind replaySuffix
)

// Dead returns the stream of a group's dead letters of a stream.
func Dead(stream, group string) string { return stream + "." + group + DeadSuffix }

// Retry returns the stream in which a group's failed records of a stream wait, of the tier from 1 on.
func Retry(stream, group string, tier int) string {
	return stream + "." + group + retryInfix + strconv.Itoa(tier)
}

// Replay returns the stream in which a group is given its dead letters of a stream again.
func Replay(stream, group string) string { return stream + "." + group + replaySuffix }

// ReplayLog returns the stream that says what has been done with a group's dead letters of a stream.
func ReplayLog(stream, group string) string { return Replay(stream, group) + logSuffix }

// own matches the names above.
var own = regexp.MustCompile(`^.+\..+\.(dead|retry\.[0-9]+|replay(\.log)?)$`)

// IsOwn reports whether a stream's name is one that the bus makes.
func IsOwn(stream string) bool { return own.MatchString(stream) }

// NamesOwn reports whether a pattern names the bus's own streams.
func NamesOwn(pattern string) bool {
	return strings.HasSuffix(pattern, DeadSuffix) || strings.Contains(pattern, retryInfix) ||
		strings.HasSuffix(strings.TrimSuffix(pattern, logSuffix), replaySuffix)
}

// IsSecondDead reports whether a stream holds dead letters of dead letters. A record that fails in it is rejected.
func IsSecondDead(stream string) bool {
	return IsOwn(stream) && strings.Count(stream+".", DeadSuffix+".") > 1
}
