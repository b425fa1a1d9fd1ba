package bus

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/recordid"
	"github.com/kafkaesk/kafkaesk/internal/streams"
)

// The headers of dead letters and of records in retry streams, all of them UTF-8 text. The record's own headers stand
// before them. A record that the application publishes to any other stream, by [Message.Forward] say, goes without
// them.
const (
	// GroupHeader, kafkaesk-group, is the group whose handler gave the record up.
	GroupHeader = streams.GroupHeader
	// FirstStreamHeader (kafkaesk-first-stream), FirstTopicHeader, FirstPartitionHeader and FirstOffsetHeader tell
	// where the record was read for the first time: the topic is the stream with [Config.TopicPrefix].
	FirstStreamHeader    = streams.FirstStreamHeader
	FirstTopicHeader     = "kafkaesk-first-topic"
	FirstPartitionHeader = "kafkaesk-first-partition"
	FirstOffsetHeader    = "kafkaesk-first-offset"
	// FirstTimeHeader is the time of that record, and FailedTimeHeader when it was given up, both in RFC 3339, which
	// has the years 0 to 9999; a time outside of them is written as the nearest one. A record without a time has no
	// FirstTimeHeader.
	FirstTimeHeader  = "kafkaesk-first-time"
	FailedTimeHeader = "kafkaesk-failed-time"
	// AttemptsHeader is how often the handler has been called for the record, over all retry streams and replays, and
	// after RetryAfter, too: 1,000,000 at most. A record that cannot be decoded counts 1, although it reaches no handler.
	AttemptsHeader = "kafkaesk-attempts"
	// ErrorHeader is the text of the last error, with the stack if it was a panic, cut to 8 KiB, or to 200 bytes where
	// the broker does not take more. ErrorTypeHeader is the error's Go type.
	ErrorHeader     = "kafkaesk-error"
	ErrorTypeHeader = "kafkaesk-error-type"
	// NotBeforeHeader is when a record of a retry stream may be handled again, in RFC 3339. A time later
	// than the stream's delay allows counts as that delay.
	NotBeforeHeader = "kafkaesk-not-before"
	// DroppedHeadersHeader is how many of the record's own headers were left out, because the broker did not take the
	// record with them.
	DroppedHeadersHeader = "kafkaesk-dropped-headers"
)

// isFailureHeader reports whether a header is one of those above: moving a record replaces them.
func isFailureHeader(name string) bool {
	if !strings.HasPrefix(name, "kafkaesk-") {
		return false
	}
	switch name {
	case GroupHeader, FirstStreamHeader, FirstTopicHeader, FirstPartitionHeader, FirstOffsetHeader, FirstTimeHeader,
		FailedTimeHeader, AttemptsHeader, ErrorHeader, ErrorTypeHeader, NotBeforeHeader, DroppedHeadersHeader:
		return true
	}
	return false
}

const (
	longestError = 8 << 10 // bytes of an error's text in a header
	shortError   = 200     // where the record is too large with more
	longestText  = 249     // bytes of every other text that is not ours: that of a topic's name
	mostAttempts = 1_000_000
)

// history is what has happened to a record before it was read here.
type history struct {
	stream, topic string // where it was read first
	partition     int
	offset        int64
	time          string // in RFC 3339; "" for none
	attempts      int
	dropped       int // own headers that it has lost
}

// historyOf reads a record's history from its headers. It ignores them outside of the bus's own streams, because
// anybody may publish headers of these names. In the bus's own streams it ignores what does not have the form that
// the bus writes.
func historyOf(r *Record, prefix string) history {
	h := history{stream: r.Stream, topic: r.Topic, partition: r.Partition, offset: r.Offset, time: rfc3339(r.Time)}
	if !streams.IsOwn(r.Stream) {
		return h
	}
	text := func(name string) string {
		value, _ := r.Header(name)
		return string(value)
	}
	number := func(name string, most int) int {
		n, err := strconv.Atoi(text(name))
		if err != nil {
			return 0
		}
		return min(max(n, 0), most)
	}
	h.attempts, h.dropped = number(AttemptsHeader, mostAttempts), number(DroppedHeadersHeader, mostAttempts)
	topic, stream := text(FirstTopicHeader), text(FirstStreamHeader)
	if stream == "" { // a dead letter of an earlier version
		stream = strings.TrimPrefix(topic, prefix)
	}
	partition, noPartition := strconv.ParseInt(text(FirstPartitionHeader), 10, 32)
	offset, noOffset := strconv.ParseInt(text(FirstOffsetHeader), 10, 64)
	if !streams.IsTopicName(topic) || !streams.IsTopicName(stream) ||
		noPartition != nil || noOffset != nil || partition < 0 || offset < 0 {
		return h
	}
	h.stream, h.topic, h.partition, h.offset, h.time = stream, topic, int(partition), offset, ""
	if t, err := time.Parse(time.RFC3339Nano, text(FirstTimeHeader)); err == nil {
		h.time = rfc3339(t)
	}
	return h
}

// rfc3339 writes any time that a record can have; "" for Kafka's -1, which is none.
func rfc3339(t time.Time) string {
	if t.UnixMilli() == -1 {
		return ""
	}
	return boundedTime(t).Format(time.RFC3339Nano)
}

// boundedTime returns t in UTC, or the nearest time that RFC 3339 and JSON have a text for.
func boundedTime(t time.Time) time.Time {
	first, last := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	switch t = t.UTC(); {
	case t.Before(first):
		return first
	case t.After(last):
		return last
	}
	return t
}

// failedRecord is why a record is moved, as its headers tell it.
type failedRecord struct {
	history
	group     string
	err       error
	cause     error // what the application returned
	at        time.Time
	notBefore time.Time // zero for a dead letter
}

// size is how much of the headers a moved record has: less where the broker does not take all of them.
type size int

const (
	whole      size = iota
	shortTexts      // the error is cut to its beginning
	bare            // the record's own headers are left out
)

// headers returns the headers of a record that is moved: its own, and what has happened to it.
func (f *failedRecord) headers(own []Header, s size) []Header {
	headers := make([]Header, 0, len(own)+12)
	dropped := f.dropped
	for _, h := range own {
		switch {
		case isFailureHeader(h.Name):
		case s == bare && (h.Name != IDHeader || len(h.Value) > recordid.Length):
			dropped++
		default:
			headers = append(headers, h)
		}
	}
	add := func(name, value string) { headers = append(headers, Header{Name: name, Value: []byte(value)}) }
	add(GroupHeader, f.group)
	add(FirstStreamHeader, f.stream)
	add(FirstTopicHeader, f.topic)
	add(FirstPartitionHeader, strconv.Itoa(f.partition))
	add(FirstOffsetHeader, strconv.FormatInt(f.offset, 10))
	if f.time != "" {
		add(FirstTimeHeader, f.time)
	}
	add(FailedTimeHeader, rfc3339(f.at))
	add(AttemptsHeader, strconv.Itoa(min(f.attempts, mostAttempts)))
	longest := longestError
	if s > whole {
		longest = shortError
	}
	add(ErrorHeader, textOf(f.err, longest))
	add(ErrorTypeHeader, truncate(fmt.Sprintf("%T", f.cause), longestText))
	if !f.notBefore.IsZero() {
		add(NotBeforeHeader, rfc3339(f.notBefore))
	}
	if dropped > 0 {
		add(DroppedHeadersHeader, strconv.Itoa(dropped))
	}
	return headers
}

// textOf returns the text of an error for a header, a panic's with its stack: valid UTF-8, because another value would
// stop every Python consumer.
func textOf(err error, longest int) string {
	text := err.Error()
	if p, ok := errors.AsType[*PanicError](err); ok {
		text += "\n" + string(p.Stack)
	}
	return truncate(strings.ToValidUTF8(truncate(text, 2*longest), "\uFFFD"), longest)
}

// brief returns the text of an error for a line of the log: what an application's error says may have any length.
func brief(err error) string {
	const most = 1 << 10
	return truncate(err.Error(), most)
}

func truncate(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// withoutFailure removes the headers of a failure from a record that is published again. A record for one of the bus's
// own streams, such as a dead letter for a replay stream, keeps them, because it keeps its history.
func withoutFailure(headers []wire.Header, stream string) []wire.Header {
	ofFailure := func(h wire.Header) bool { return isFailureHeader(h.Name) }
	if !slices.ContainsFunc(headers, ofFailure) || streams.IsOwn(stream) {
		return headers
	}
	return slices.DeleteFunc(headers, ofFailure)
}

// notBefore returns when a record that is read now from a retry stream with this delay may be handled. The record waits
// no longer than the delay, because the clock that wrote its header, or its time, may be wrong.
func notBefore(r *Record, delay time.Duration, now time.Time) time.Time {
	text, _ := r.Header(NotBeforeHeader)
	t, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return time.Time{} // written by somebody else: it has no reason to wait
	}
	written := r.Time
	if written.After(now) || written.UnixMilli() == -1 {
		written = now
	}
	if last := written.Add(delay + time.Millisecond); t.After(last) { // Kafka cuts off what is less than a millisecond
		return last
	}
	return t
}
