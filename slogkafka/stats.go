package slogkafka

import (
	"fmt"
	"strings"
	"time"
)

// Stats counts what became of the records. At every moment Accepted + Recovered = Delivered + Dropped + Spooled +
// Queued. Each of these is a count of its own: none is computed from the others. Records that the handler itself
// writes, about dropped ones, are not counted.
type Stats struct {
	// Accepted counts all records that Handle got, those that were dropped at once included. A record whose caller
	// still waits is not counted yet.
	Accepted uint64
	// Recovered counts records that an earlier handler left in the directory of [Spool].
	Recovered uint64
	// Delivered counts records that Kafka has acknowledged.
	Delivered uint64
	// Dropped counts those that Kafka does not get.
	Dropped uint64
	// Spooled counts those that are in the directory of [Spool] and not in the queue.
	Spooled uint64
	// Queued counts those in memory: they wait, or are sent and not acknowledged.
	Queued uint64
	// QueuedBytes is the memory of these records: their bytes, and about 400 more for each.
	QueuedBytes uint64
	// Oldest is the age of the oldest of them, by its own time; 0 when none is queued, or it has no time.
	Oldest time.Duration
	// DroppedBy splits Dropped by reason: one of the Dropped constants.
	DroppedBy map[string]uint64
	// Sampled counts the records that the option Sample left out. They are not accepted.
	Sampled uint64
	// Invalid counts the accepted records that have schema_errors.
	Invalid uint64
	// Truncated counts records whose values were shortened, by the handler or because the broker accepts no larger
	// ones.
	Truncated uint64
	// Retries counts further attempts to deliver a record, except those that the producer makes by itself, which
	// bus.Stats has. Batches counts the batches that were given to the producer.
	Retries, Batches uint64
	// Fallback counts the dropped records that the handler of [Fallback] accepted, and FallbackDropped the others:
	// its queue was full, Close had ended, or it returned an error or panicked.
	Fallback, FallbackDropped uint64
	// Lost counts the dropped records that reached neither Kafka nor a fallback. Those dropped on purpose (DroppedOwn,
	// DroppedInvalid, DroppedNotConfigured) are not lost.
	Lost uint64
}

// Reasons of a drop; keys of Stats.DroppedBy.
const (
	// DroppedFull: the queue was full, and with a spool the disk was full or too slow.
	DroppedFull = "full"
	// DroppedTooLarge: the record is larger than Kafka accepts, even with all its values shortened.
	DroppedTooLarge = "too_large"
	// DroppedRejected: Kafka refused the record for good.
	DroppedRejected = "rejected"
	// DroppedClosed: the handler was closed before the record was logged.
	DroppedClosed = "closed"
	// DroppedUndelivered: the record was still queued when Close ended. Kafka may have it all the same, if it had
	// been sent.
	DroppedUndelivered = "undelivered"
	// DroppedOwn: the bus logged the record, or the fallback did, and neither is shipped.
	DroppedOwn = "own"
	// DroppedInvalid: the function of OnInvalid dropped the record.
	DroppedInvalid = "invalid"
	// DroppedNotConfigured: the app has no servers, and the handler has the option [WhenConfigured].
	DroppedNotConfigured = "not_configured"
	// DroppedDamaged: the record was damaged or lost in the directory of [Spool].
	DroppedDamaged = "damaged"
)

// reason is one of the Dropped constants.
type reason uint8

const (
	full reason = iota
	tooLarge
	rejected
	closed
	undelivered
	own
	invalid
	notConfigured
	damaged
	reasons
)

func (r reason) String() string {
	return [reasons]string{
		DroppedFull, DroppedTooLarge, DroppedRejected, DroppedClosed, DroppedUndelivered, DroppedOwn, DroppedInvalid,
		DroppedNotConfigured, DroppedDamaged,
	}[r]
}

// onPurpose reports whether the drop is intended.
func (r reason) onPurpose() bool { return r == own || r == invalid || r == notConfigured }

// reasonOf returns the reason of a Dropped constant.
func reasonOf(name string) reason {
	for r := range reasons {
		if r.String() == name {
			return r
		}
	}
	panic("slogkafka: no such reason: " + name)
}

// snapshot returns consistent counts: all shards are locked meanwhile.
func (q *queue) snapshot() Stats {
	for i := range q.shards {
		q.shards[i].lock()
		defer q.shards[i].unlock()
	}
	s := Stats{DroppedBy: make(map[string]uint64), Retries: q.retries.Load(), Batches: q.batches.Load()}
	now := time.Now()
	spooled := int64(0)
	for i := range q.shards {
		for _, c := range q.shards[i].bothCounts() {
			s.Recovered += c.recovered
			spooled += c.spooled
			s.Accepted += c.accepted
			s.Delivered += c.delivered
			s.Queued += c.queued
			s.QueuedBytes += c.bytes
			s.Invalid += c.invalid
			s.Truncated += c.truncated
			for why, n := range c.dropped {
				if n > 0 {
					s.Dropped += n
					s.DroppedBy[reason(why).String()] += n
				}
			}
		}
		if r := q.shards[i].first; r != nil && !r.time.IsZero() {
			s.Oldest = max(s.Oldest, now.Sub(r.time))
		}
	}
	s.Spooled = uint64(spooled)
	return s
}

// missed returns the number of unintended drops, in total and by reason.
func (q *queue) missed() (n uint64, by [reasons]uint64) {
	for i := range q.shards {
		s := &q.shards[i]
		s.lock()
		for _, c := range s.bothCounts() {
			for why, m := range c.dropped {
				if !reason(why).onPurpose() {
					n += m
					by[why] += m
				}
			}
		}
		s.unlock()
	}
	return n, by
}

// UndeliveredError is the error of Close for records that were not delivered.
type UndeliveredError struct {
	// Records is the number of accepted records that were neither delivered, spooled, nor dropped before.
	Records int
	// Lost is how many records reached neither Kafka, nor the disk, nor the fallback: of these, and of those that were
	// dropped before and still waited for the fallback.
	Lost int
	// Stream is the handler's stream.
	Stream string
	// Cause is why they were left: the context's end, and the error of the last batch, if it failed.
	Cause error
}

func (e *UndeliveredError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "slogkafka: close: %d log records for stream %q were left undelivered", e.Records, e.Stream)
	switch {
	case e.Lost > 0:
		fmt.Fprintf(&b, ", and %d reached neither Kafka nor a fallback", e.Lost)
	case e.Records > 0:
		b.WriteString("; the fallback has them")
	}
	if e.Cause != nil {
		fmt.Fprintf(&b, ": %v", e.Cause)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *UndeliveredError) Unwrap() error { return e.Cause }
