package slogkafka

import "fmt"

// Stats counts what became of the records. At every moment Accepted = Delivered + Dropped + Spooled + Queued.
type Stats struct {
	// Accepted counts all records that Handle got, those dropped at once too. One whose caller is still blocked is not in yet.
	Accepted uint64
	// Delivered counts those that Kafka has acknowledged.
	Delivered uint64
	// Dropped counts those that are lost to Kafka.
	Dropped uint64
	// Spooled counts those on disk. No policy of this version spools: it is zero.
	Spooled uint64
	// Queued counts those that wait, or are on their way and unanswered.
	Queued uint64
	// QueuedBytes is what they take of the queue.
	QueuedBytes uint64
	// DroppedBy splits Dropped by reason: one of the Dropped constants.
	DroppedBy map[string]uint64
	// Sampled counts the records that the option Sample left out. They are not accepted.
	Sampled uint64
	// Invalid counts the records, of all those accepted, that have schema_errors.
	Invalid uint64
	// Truncated counts those whose values were shortened.
	Truncated uint64
}

// Why a record was dropped; keys of Stats.DroppedBy.
const (
	// DroppedFull: the queue was full.
	DroppedFull = "full"
	// DroppedTooLarge: the record is larger than Kafka takes, even with all its values shortened.
	DroppedTooLarge = "too_large"
	// DroppedRejected: Kafka refused the record for good.
	DroppedRejected = "rejected"
	// DroppedClosed: the handler was closed when the record came.
	DroppedClosed = "closed"
	// DroppedUndelivered: it was still queued when Close ended. Kafka may have it all the same, if it was on its way.
	DroppedUndelivered = "undelivered"
	// DroppedOwn: the bus logged it, and the bus does not ship its own logs.
	DroppedOwn = "own"
	// DroppedInvalid: the function of OnInvalid dropped it.
	DroppedInvalid = "invalid"
)

// UndeliveredError is the error of Close when records were left.
type UndeliveredError struct {
	// Records is how many were accepted and have neither been delivered nor dropped before.
	Records int
	// Stream is where they should have gone.
	Stream string
	// Cause is why they were left: that the context ended, and why the last batch failed, if it did.
	Cause error
}

func (e *UndeliveredError) Error() string {
	return fmt.Sprintf("slogkafka: close: %d log records for stream %q were left undelivered: %v", e.Records, e.Stream, e.Cause)
}

// Unwrap returns the cause.
func (e *UndeliveredError) Unwrap() error { return e.Cause }
