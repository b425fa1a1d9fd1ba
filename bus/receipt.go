package bus

import (
	"context"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
)

// Receipt is the outcome of an App.PublishAsync, which is there when Done is closed. Its methods may be called
// concurrently.
type Receipt struct {
	promise  produce.Promise
	producer *produce.Producer // nil as long as the record has not got there
	// early is why the record never got as far as the producer.
	early  error
	stream string
	topic  string
	key    []byte
	time   time.Time
	// watched is nil for most.
	watched *publication
}

// Done returns a channel that is closed when the outcome is known.
func (r *Receipt) Done() <-chan struct{} {
	if r.early != nil {
		return closed()
	}
	return r.promise.Done()
}

// Wait returns the outcome: nil when the record is acknowledged, else why not. When ctx ends first, it returns ctx's
// error, which also wraps [ErrUnacknowledged] while the record may still be written.
func (r *Receipt) Wait(ctx context.Context) error {
	if r.early != nil {
		return r.early
	}
	if err := outcome(ctx, r.producer, &r.promise); err != nil {
		return publishError(r.stream, err)
	}
	return nil
}

// Record returns where the record is: stream, topic, partition, offset, key and time. It is nil before Done, and when
// the publish failed. The offset is -1 when the broker had the record already and does not say where.
func (r *Receipt) Record() *Record {
	select {
	case <-r.Done():
	default:
		return nil
	}
	if r.early != nil || r.promise.Err() != nil {
		return nil
	}
	partition, offset := r.promise.Position()
	return &Record{Stream: r.stream, Topic: r.topic, Partition: int(partition), Offset: offset, Key: r.key, Time: r.time}
}

func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}
