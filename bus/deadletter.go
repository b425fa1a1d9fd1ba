package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/consume"
)

// The headers of dead letters and of records in retry streams, all text. The record's own headers stand before them.
const (
	// GroupHeader is the group whose handler gave the record up.
	GroupHeader = "kafkaesk-group"
	// FirstTopicHeader, FirstPartitionHeader and FirstOffsetHeader tell where the record was read for the first time.
	FirstTopicHeader     = "kafkaesk-first-topic"
	FirstPartitionHeader = "kafkaesk-first-partition"
	FirstOffsetHeader    = "kafkaesk-first-offset"
	// FirstTimeHeader is the time of that record, and FailedTimeHeader when it was given up, both in RFC 3339.
	FirstTimeHeader  = "kafkaesk-first-time"
	FailedTimeHeader = "kafkaesk-failed-time"
	// AttemptsHeader is how often the handler has been called for the record, over all retry streams.
	AttemptsHeader = "kafkaesk-attempts"
	// ErrorHeader is the text of the last error, with the stack if it was a panic, and ErrorTypeHeader its Go type.
	ErrorHeader     = "kafkaesk-error"
	ErrorTypeHeader = "kafkaesk-error-type"
	// NotBeforeHeader is when a record of a retry stream may be handled again, in RFC 3339.
	NotBeforeHeader = "kafkaesk-not-before"
)

// history are the headers that moving a record replaces.
var history = []string{
	GroupHeader, FirstTopicHeader, FirstPartitionHeader, FirstOffsetHeader, FirstTimeHeader, FailedTimeHeader, AttemptsHeader,
	ErrorHeader, ErrorTypeHeader, NotBeforeHeader,
}

// longestError bounds the text of an error in a header: records have to stay within what the broker takes.
const longestError = 8 << 10

// moved is the outcome of a record that has been written to another stream.
type moved struct {
	stream   string
	attempts int
	dead     bool
	delay    time.Duration // until it may be handled again; of a dead letter none
	err      error
}

func (e *moved) Error() string { return fmt.Sprintf("moved to stream %q: %v", e.stream, e.err) }
func (e *moved) Unwrap() error { return e.err }

// burying moves a record that next has given up to where it waits for another time, or to the dead letters. The record is not finished before
// that is acknowledged: its lane waits.
func (x *runner) burying(next Handler) Handler {
	return func(ctx context.Context, r *Record) error {
		err := next(ctx, r)
		if err == nil || errors.Is(err, errUnfinished) {
			return err
		}
		switch verdictOf(err).(type) {
		case *abortion, stopped:
			return err
		}
		m := x.destination(r, err)
		headers := x.epitaph(r, m, time.Now())
		place := consume.PlaceOf(ctx)
		backoff := kafka.Backoff{First: time.Second, Max: 30 * time.Second}
		for attempt := 0; ; attempt++ {
			// Not the record's own context: Timeout may be why it failed.
			failed := x.app.forward(place.Context(), m.stream, r, headers, nil)
			if failed == nil {
				x.noteMoved(r, m)
				return m
			}
			if place.Context().Err() != nil {
				return errUnfinished
			}
			if errors.Is(failed, ErrTooLarge) {
				headers = shorten(headers)
			}
			x.trouble(failed)
			x.log.Error("bus: a record cannot be moved, and its lane waits; trying again",
				"record", where(r), "stream", m.stream, "why", brief(err), "error", failed)
			if over := pause(place.Context(), backoff.Delay(attempt)); over != nil {
				return errUnfinished
			}
		}
	}
}

// destination tells where a record goes that has failed with err.
func (x *runner) destination(r *Record, err error) *moved {
	m := &moved{err: err, attempts: earlierAttempts(r) + 1}
	if f, ok := errors.AsType[*failure](err); ok {
		m.attempts, m.err = earlierAttempts(r)+f.attempts, f.err
	}
	base, tier := x.streams.origin(r.Stream)
	_, rejected := verdictOf(err).(*rejection)
	if m.dead = rejected || tier >= len(x.delays); m.dead {
		m.stream = base + "." + x.group + deadSuffix
	} else {
		m.stream, m.delay = base+"."+x.group+retryInfix+strconv.Itoa(tier+1), x.delays[tier]
	}
	return m
}

// foreign tells of a record in one of our retry or replay streams that another group has put it there: the name of a group may be the end of another's,
// and so two groups have a retry stream of the same name, which both read.
func (x *runner) foreign(r *Record) bool {
	if !x.deadLetter {
		return false
	}
	group, ok := r.Header(GroupHeader) // first: hardly any record has it, and to look at the topic costs more
	return ok && string(group) != x.group && x.streams.own(r.Topic)
}

func (x *runner) noteMoved(r *Record, m *moved) {
	x.trouble(m.err)
	if m.dead {
		x.buried.Add(1)
		x.refusals.warn(x.log, "bus: a record goes to the dead letters",
			append([]any{"record", where(r), "stream", m.stream, "attempts", m.attempts, "error", brief(m.err)}, stackOf(m.err)...)...)
		return
	}
	x.postponed.Add(1)
	x.log.Debug("bus: a record waits for another time", "record", where(r), "stream", m.stream, "attempts", m.attempts, "error", brief(m.err))
}

func earlierAttempts(r *Record) int {
	text, _ := r.Header(AttemptsHeader)
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// epitaph returns the headers of a record that is moved: its own, and what has happened to it.
func (x *runner) epitaph(r *Record, m *moved, now time.Time) []Header {
	headers := make([]Header, 0, len(r.Headers)+len(history))
	for _, h := range r.Headers {
		if !slices.Contains(history, h.Name) {
			headers = append(headers, h)
		}
	}
	add := func(name, value string) { headers = append(headers, Header{name, []byte(value)}) }
	first := func(name, value string) {
		if v, ok := r.Header(name); ok { // it has been moved before
			value = string(v)
		}
		add(name, value)
	}
	add(GroupHeader, x.group)
	first(FirstTopicHeader, r.Topic)
	first(FirstPartitionHeader, strconv.Itoa(r.Partition))
	first(FirstOffsetHeader, strconv.FormatInt(r.Offset, 10))
	first(FirstTimeHeader, r.Time.UTC().Format(time.RFC3339Nano))
	add(FailedTimeHeader, now.UTC().Format(time.RFC3339Nano))
	add(AttemptsHeader, strconv.Itoa(m.attempts))
	add(ErrorHeader, describe(m.err))
	add(ErrorTypeHeader, typeOf(m.err))
	if !m.dead {
		add(NotBeforeHeader, now.Add(m.delay).UTC().Format(time.RFC3339Nano))
	}
	return headers
}

// describe returns the text of an error for a header: valid UTF-8, because another value would stop every Python consumer.
func describe(err error) string {
	text := err.Error()
	if p, ok := errors.AsType[*PanicError](err); ok {
		text += "\n" + string(p.Stack)
	}
	return truncate(strings.ToValidUTF8(text, "\uFFFD"), longestError)
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

// typeOf returns the type of the error that an application returned, beneath what the bus has wrapped around it.
func typeOf(err error) string {
	for {
		switch e := err.(type) {
		case *rejection:
			err = e.err
		case *later:
			err = e.err
		case *failure:
			err = e.err
		case *expiry:
			err = e.last
		default:
			return fmt.Sprintf("%T", err)
		}
	}
}

// shorten cuts the text of the error to what any broker takes.
func shorten(headers []Header) []Header {
	const most = 200
	headers = slices.Clone(headers)
	for i, h := range headers {
		if h.Name == ErrorHeader {
			headers[i].Value = []byte(truncate(string(h.Value), most))
		}
	}
	return headers
}

// notBefore returns when a record of a retry stream may be handled.
func notBefore(r *Record) time.Time {
	text, _ := r.Header(NotBeforeHeader)
	t, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return time.Time{} // written by somebody else: it has no reason to wait
	}
	return t
}
