package slogkafka

import (
	"log/slog"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/ownlog"
)

// QueueSize bounds what waits for its delivery, on its way to the broker included. Zero leaves a bound as it is. They default
// to 10,000 records and 16 MiB. No record is longer than the queue is large: its values are shortened.
func QueueSize(records, bytes int) Option {
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
func Linger(d time.Duration) Option {
	return func(o *options) {
		if d < 0 {
			o.refuse("linger %v: it cannot be negative", d)
			return
		}
		o.linger = d
	}
}

// Policy says what Handle does with a record when the queue is full.
type Policy interface{ policy() }

type drop uint8

func (drop) policy() {}

const (
	// DropNewest drops the record that does not fit. It is the default.
	DropNewest drop = iota
	// DropOldest drops those that wait the longest, until the record fits. Those already on their way to the broker stay.
	DropOldest
)

type block time.Duration

func (block) policy() {}

// Block makes the caller wait for room, at most d, and drops the record when there is none by then.
func Block(d time.Duration) Policy { return block(d) }

// Overflow sets what happens when the queue is full. Defaults to DropNewest.
func Overflow(p Policy) Option {
	return func(o *options) {
		if p == nil {
			o.refuse("overflow: no policy given")
			return
		}
		o.policy = p
	}
}

// Fallback sets a handler for the records that are dropped, whatever the reason, and for what this handler has to say
// about its own work. It gets them with all their fields as attributes: on the goroutine that logs when the record was not
// queued, else later. Defaults to none: dropped records are only counted, and what there is to say goes to standard error.
//
// slog's own default handler is refused, because it may lead back here, and a slogkafka handler too; see [Handler.Err]. One that
// leads here in another way has to pass its context on: what comes with it goes no further.
func Fallback(h slog.Handler) Option {
	return func(o *options) {
		if _, ours := h.(*Handler); ours || h == nil || ownlog.IsDefault(h) {
			o.refuse("fallback %T: it may log to this handler; use another, such as slog.NewTextHandler(os.Stderr, nil)", h)
			return
		}
		o.fallback = h
	}
}
