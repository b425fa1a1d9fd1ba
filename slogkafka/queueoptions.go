package slogkafka

import (
	"cmp"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/ownlog"
)

// QueueSize sets how many records, and how many bytes of them, may wait for their delivery; records that are sent and
// not acknowledged count. Zero leaves a limit unchanged. Defaults to 100,000 records, of at most 16 million, and 32
// MiB. A record takes its bytes and about 400 more. A quarter of the bytes is kept for the producer's copies of
// records that are sent. The values of a record that could never fit are shortened.
func QueueSize(records, bytes int) KafkaOption {
	return func(o *options) {
		if records < 0 || bytes < 0 || bytes > 0 && bytes < minBytes {
			o.refuse("queue size of %d records and %d bytes: the minimum is 1 record and %d bytes", records, bytes, minBytes)
			return
		}
		if records > 0 {
			o.records = records
		}
		if bytes > 0 {
			o.bytes = bytes
		}
	}
}

// minBytes is the smallest queue that can hold a record with only its base fields.
const minBytes = 4 << 10

// Linger sets how long the worker waits for more records before it sends the first one. A longer time makes fewer,
// larger batches, and records reach Kafka that much later. Defaults to 2ms.
func Linger(d time.Duration) KafkaOption {
	return func(o *options) {
		if d < 0 {
			o.refuse("linger %v: must not be negative", d)
			return
		}
		o.linger = d
	}
}

// Policy says what Handle does with a record when the queue is full.
type Policy interface{ policy() }

// DropPolicy is a [Policy] that drops records: [DropNewest] or [DropOldest].
type DropPolicy uint8

func (DropPolicy) policy() {}

const (
	// DropNewest drops the record that does not fit. It is the default.
	DropNewest DropPolicy = iota
	// DropOldest drops the records that wait the longest, until the new one fits. Records that have been sent stay.
	DropOldest
)

type block time.Duration

func (block) policy() {}

// Block makes the caller wait for room, for at most d, and drops the record when there is none by then. The context
// of the log call does not end the wait.
func Block(d time.Duration) Policy { return block(d) }

// levelPolicy is the policy for records from a level on.
type levelPolicy struct {
	from   slog.Level
	policy Policy
}

// Overflow sets what happens with all records when the queue is full: [DropNewest], [DropOldest], [Block] or [Spool].
// Defaults to DropNewest. [OverflowFrom] sets another policy for some levels.
func Overflow(p Policy) KafkaOption { return OverflowFrom(lowestLevel, p) }

// lowestLevel is below all levels.
const lowestLevel = slog.Level(math.MinInt)

// OverflowFrom sets what happens with records from a level on when the queue is full: errors may block while everything
// else is dropped, for example. When it is given several times, the policy of the highest level that is not above the
// record's applies.
func OverflowFrom(level slog.Level, p Policy) KafkaOption {
	return func(o *options) {
		if p == nil {
			o.refuse("overflow: no policy given")
			return
		}
		others := slices.DeleteFunc(slices.Clone(o.policies), func(l levelPolicy) bool { return l.from == level })
		if s, ok := p.(spooling); ok {
			if err := s.check(others); err != nil {
				o.refuse("overflow: %w", err)
				return
			}
		}
		o.policies = append(others, levelPolicy{level, p})
		slices.SortFunc(o.policies, func(a, b levelPolicy) int { return cmp.Compare(a.from, b.from) })
	}
}

// FlushOn makes Handle wait, for records from a level on, until Kafka has acknowledged the record. It waits for at
// most within, or until the context of the call ends; then Handle returns an error that says so, and the record stays
// queued or spooled. With slog.SetDefault and slog.SetLogLoggerLevel(slog.LevelError) it makes log.Fatal deliver its
// line. Defaults to never.
func FlushOn(level slog.Leveler, within time.Duration) KafkaOption {
	return func(o *options) {
		if level == nil || within <= 0 {
			o.refuse("flush on %v within %v: it needs a level and a time", level, within)
			return
		}
		o.flushOn, o.flushTime = level, within
	}
}

// WhenConfigured has the handler drop and count records while the app has no servers (bus.Config.Servers), with the
// reason DroppedNotConfigured, and report nothing. It is for programs that run without Kafka on a developer's
// machine. Defaults to off: records wait for bus.App.Configure, and the handler reports that they do.
func WhenConfigured() KafkaOption { return func(o *options) { o.whenConfigured = true } }

// Retention sets how long the stream keeps its records (retention.ms), on a topic that the app creates; an existing
// topic is never altered. Defaults to the broker's configuration.
func Retention(d time.Duration) KafkaOption {
	return func(o *options) {
		if d < time.Millisecond {
			o.refuse("retention %v: the minimum is a millisecond", d)
			return
		}
		o.retention = d
	}
}

// Partitions sets how many partitions the stream gets, on a topic that the app creates (num.partitions). Defaults to
// 7.
func Partitions(n int) KafkaOption {
	return func(o *options) {
		if n < 1 {
			o.refuse("%d partitions: the minimum is 1", n)
			return
		}
		o.partitions = n
	}
}

// Fallback sets a handler for the records that are dropped, and for what this handler reports about its own work. It
// gets records with all their fields, as attributes of slog's own kinds, and with the attribute dropped, which is the
// reason (DroppedFull and so on). It does not get what is dropped on purpose. Defaults to none: dropped records are
// only counted, and reports go to standard error.
//
// The fallback is called in a goroutine of its own, for one record at a time, in the order in which they were
// dropped. At most 4,096 records wait for it; Stats.FallbackDropped counts what it is too slow for. It holds up
// nothing else, even when it blocks or panics. If it can log back to this handler, it has to pass on its context, by
// which such a loop is stopped.
//
// slog's own default handler and slogkafka handlers are refused, because they may lead back here; see [Handler.Err].
func Fallback(h slog.Handler) KafkaOption {
	return func(o *options) {
		if _, ours := h.(*Handler); ours || h == nil || ownlog.IsDefault(h) {
			o.refuse("fallback %T: it may log to this handler; use another, such as slog.NewTextHandler(os.Stderr, nil)", h)
			return
		}
		o.fallback = h
	}
}
