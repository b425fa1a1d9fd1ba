package slogkafka

import (
	"cmp"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/ownlog"
)

// QueueSize bounds the records that wait for their delivery, those that are sent and not acknowledged included. Zero
// leaves a bound unchanged. They default to 100,000 records and 32 MiB, and are at most 16 million records. A record
// takes its bytes and about 400 more, and a quarter of the bytes is kept for the producer's copies of records that are
// sent. A record that could never fit has its values shortened.
func QueueSize(records, bytes int) KafkaOption {
	return func(o *options) {
		if records < 0 || bytes < 0 || bytes > 0 && bytes < minBytes {
			o.refuse("queue size of %d records and %d bytes: it needs at least 1 record and %d bytes", records, bytes, minBytes)
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

// minBytes is the smallest queue that a record with nothing but its base fields is sure to fit into.
const minBytes = 4 << 10

// Linger sets how long the worker waits for more records before it sends the first. A longer time makes fewer, larger
// batches; a record is in Kafka that much later. Defaults to 2ms.
func Linger(d time.Duration) KafkaOption {
	return func(o *options) {
		if d < 0 {
			o.refuse("linger %v: it cannot be negative", d)
			return
		}
		o.linger = d
	}
}

// Policy says what Handle does with a record when the queue is full: a [DropPolicy], [Block] or [Spool].
type Policy interface{ policy() }

// DropPolicy is a [Policy] that drops records: [DropNewest] or [DropOldest].
type DropPolicy uint8

func (DropPolicy) policy() {}

const (
	// DropNewest drops the record that does not fit. It is the default.
	DropNewest DropPolicy = iota
	// DropOldest drops those that wait the longest, until the record fits. Those already on their way to the broker
	// stay.
	DropOldest
)

type block time.Duration

func (block) policy() {}

// Block makes the caller wait for room, at most d, and drops the record when there is none by then. The context of
// the log call does not end the wait: it is not what decides whether a record is kept.
func Block(d time.Duration) Policy { return block(d) }

// levelPolicy is the policy for records from a level on.
type levelPolicy struct {
	from   slog.Level
	policy Policy
}

// Overflow sets what happens with all records when the queue is full: [DropNewest], [DropOldest], [Block] or [Spool].
// Defaults to DropNewest. Those of some levels may have another policy; see [OverflowFrom].
func Overflow(p Policy) KafkaOption { return OverflowFrom(lowestLevel, p) }

// lowestLevel is below all levels.
const lowestLevel = slog.Level(math.MinInt)

// OverflowFrom sets what happens with records of a level, and of higher ones, when the queue is full: errors may
// block, say, while all else is dropped. Of several the one with the highest level counts that the record reaches.
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

// FlushOn makes Handle wait, for records from a level on, until Kafka has acknowledged the record, for at most so
// long or until the context of the call ends; then Handle returns an error that says so, and the record stays queued,
// or in the spool. With slog.SetDefault and slog.SetLogLoggerLevel(slog.LevelError) it is what makes log.Fatal
// deliver its line. Defaults to never.
func FlushOn(level slog.Leveler, within time.Duration) KafkaOption {
	return func(o *options) {
		if level == nil || within <= 0 {
			o.refuse("flush on %v within %v: it needs a level and a time", level, within)
			return
		}
		o.flushOn, o.flushTime = level, within
	}
}

// WhenConfigured has the handler count records and do nothing else as long as the app has no servers
// (bus.Config.Servers): they are dropped with the reason [DroppedNotConfigured], and neither the fallback nor
// standard error is told. It is for programs that run without Kafka on a developer's machine. Defaults to off:
// records wait for [bus.App.Configure], and somebody is told that they do.
func WhenConfigured() KafkaOption { return func(o *options) { o.whenConfigured = true } }

// Retention sets how long the stream keeps its records (retention.ms, on a topic that the app creates; one that
// exists is never altered). Defaults to what the broker has set.
func Retention(d time.Duration) KafkaOption {
	return func(o *options) {
		if d < time.Millisecond {
			o.refuse("retention %v: it is at least a millisecond", d)
			return
		}
		o.retention = d
	}
}

// Partitions sets how many partitions the stream has, on a topic that the app creates. Defaults to 7.
func Partitions(n int) KafkaOption {
	return func(o *options) {
		if n < 1 {
			o.refuse("%d partitions: there is at least 1", n)
			return
		}
		o.partitions = n
	}
}

// Fallback sets a handler for the records that are dropped, and for what this handler has to say about its own work.
// It gets them with all their fields as attributes of slog's own kinds, and the attribute dropped says why
// ([DroppedFull] and so on). What is dropped on purpose does not go there. Defaults to none: dropped records are only
// counted, and what there is to say goes to standard error.
//
// The handler is called on a goroutine of its own, for one record at a time, in the order in which they were dropped.
// At most 4,096 records wait for it; what it is too slow for is counted in Stats.FallbackDropped. It holds up nothing
// else, whether it is slow, blocks or panics, and may even lead back here.
//
// slog's own default handler is refused, because it may lead back here, and a slogkafka handler too; see
// [Handler.Err].
func Fallback(h slog.Handler) KafkaOption {
	return func(o *options) {
		if _, ours := h.(*Handler); ours || h == nil || ownlog.IsDefault(h) {
			o.refuse("fallback %T: it may log to this handler; use another, such as slog.NewTextHandler(os.Stderr, nil)", h)
			return
		}
		o.fallback = h
	}
}
