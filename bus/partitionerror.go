package bus

import (
	"fmt"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/kafka/tail"
)

// These are the causes of a [*PartitionError], for errors.Is.
var (
	// ErrNoLeader says that the partition has no leader: the brokers that have it are away.
	ErrNoLeader = fetch.ErrNoLeader
	// ErrDeleted says that records were deleted before they were read: by retention as a rule, or with their topic.
	ErrDeleted = tail.ErrDeleted
	// ErrOpenTransaction says that a transaction began and has not ended: the records behind its beginning in that
	// partition cannot be read before it ends.
	ErrOpenTransaction = tail.ErrOpenTransaction
)

// PartitionError is what [App.Tail] yields for records of a partition that it could not read.
type PartitionError struct {
	Stream, Topic string
	Partition     int
	// From is the offset of the first record that was not read; -1 when it is not known.
	From int64
	// To is the offset at which reading goes on; -1 when it does not go on. It is From when the Tail tries again
	// there.
	To int64
	// Err is the cause: [ErrNoLeader], [ErrDeleted], [ErrOpenTransaction], [ErrAuth], or what is wrong with a batch
	// or a record.
	Err error
}

func newPartitionError(prefix string, e *fetch.PartitionError) *PartitionError {
	return &PartitionError{
		Stream: strings.TrimPrefix(e.Topic, prefix), Topic: e.Topic, Partition: int(e.Partition),
		From: e.Offset, To: e.Next, Err: e.Err,
	}
}

func (e *PartitionError) Error() string {
	var what string
	switch {
	case e.From < 0:
		what = "cannot be read"
	case e.To < 0:
		what = fmt.Sprintf("cannot be read from offset %d on", e.From)
	case e.To == e.From:
		what = fmt.Sprintf("cannot be read from offset %d on, which is tried again", e.From)
	default:
		what = fmt.Sprintf("cannot be read from offset %d to %d", e.From, e.To-1)
	}
	return fmt.Sprintf("topic %q partition %d %s: %v", e.Topic, e.Partition, what, e.Err)
}

// Unwrap returns Err.
func (e *PartitionError) Unwrap() error { return e.Err }
