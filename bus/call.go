package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kafkaesk/kafkaesk/internal/kafka/consume"
	"github.com/kafkaesk/kafkaesk/internal/streams"
	"github.com/kafkaesk/kafkaesk/internal/testcall"
)

// call is the context of one call of a handler. It says which records the call is for, and where they came from. There
// is one for every record that is consumed: it has to be small.
type call struct {
	context.Context
	x       *runner
	record  *Record
	batch   *decodedBatch // of a call for many records, of which record is the first; nil for one
	attempt int
}

type callKey struct{}

// Value implements context.Context.
func (c *call) Value(key any) any {
	if _, ok := key.(callKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// callOf returns the call that ctx belongs to; nil when there is none.
func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// records returns the records that the call is for.
func (c *call) records() []*Record {
	if c.batch != nil {
		return c.batch.records
	}
	return []*Record{c.record}
}

var (
	errNoCall = errors.New("the context is not that of a handler's call: use the one that the handler was given;" +
		" a test that calls the handler itself gives it the Context of a bustest.Message")
	errNoRecord = errors.New("there is no record (it is nil): use the one that the handler was given;" +
		" a Message made by hand needs a Record, and bustest.NewMessage makes one that has it")
	errNoPartition = errors.New(
		"a middleware called the handler with a context of its own: make it of the one that the middleware was given")
)

// Attempt returns the number of the handler's call for its record, from 1. Calls that [RetryAfter] asked for count. For
// a [Batch] it is the number of the first record's call. It begins at 1 again in each retry stream, and when another
// member of the group gets the record's partition. [AttemptsHeader] counts the calls of the streams before. It is 0
// when ctx is not that of a handler or a middleware.
func Attempt(ctx context.Context) int {
	if c := callOf(ctx); c != nil {
		return c.attempt
	}
	if testRecorderOf(ctx) != nil {
		return 1
	}
	return 0
}

// Records returns the records that a handler is called with, as they were read: one, or those of a [Batch], in order.
// They are for a handler that takes []byte, or another type that does not say where it came from. They must not be
// changed. Records returns nil when ctx is not that of a handler or a middleware.
func Records(ctx context.Context) []*Record {
	if c := callOf(ctx); c != nil {
		return c.records()
	}
	if t := testRecorderOf(ctx); t != nil {
		return t.Records()
	}
	return nil
}

// Commit is [Message.Commit] for a handler that does not take a *Message. The record is the one that the handler was
// called with, or one of [Records].
func Commit(ctx context.Context, r *Record) error {
	c := callOf(ctx)
	if c == nil {
		return commitInTest(ctx, r, errNoCall)
	}
	return c.commit(ctx, r)
}

// Forward is [Message.Forward] for a handler that does not take a *Message. The record is the one that the handler
// was called with, or one of [Records]. Its value may be anything: it needs no envelope.
func Forward(ctx context.Context, r *Record, stream string, opts ...PublishOption) error {
	c := callOf(ctx)
	if c == nil {
		return forwardInTest(ctx, r, stream, opts, errNoCall)
	}
	return c.x.app.forward(ctx, stream, r, opts)
}

// testRecorder stands in for the subscription when a test calls a handler itself: bustest puts one into the context,
// and it keeps what the handler does with its record.
type testRecorder interface {
	Records() []*Record
	Committed(*Record)
	Forwarded(*Record)
}

// testRecorderOf returns the testRecorder that ctx has; nil when there is none.
func testRecorderOf(ctx context.Context) testRecorder {
	t, _ := ctx.Value(testcall.Key{}).(testRecorder)
	return t
}

// commitInTest is Commit for a record that no subscription has delivered. Without a testRecorder it fails with missing.
func commitInTest(ctx context.Context, r *Record, missing error) error {
	t, err := recorderFor(ctx, r, missing)
	if err != nil {
		return fmt.Errorf("bus: commit: %w", err)
	}
	t.Committed(r)
	return nil
}

// forwardInTest is Forward for a record that no subscription has delivered. A stream's name that Kafka refuses is an
// error here, too. What it records has the headers of the
// record and those of the options; the bus's own, such as IDHeader, are added only by a real publish.
func forwardInTest(ctx context.Context, r *Record, stream string, opts []PublishOption, missing error) error {
	t, err := recorderFor(ctx, r, missing)
	if err != nil {
		return fmt.Errorf("bus: forward to stream %q: %w", stream, err)
	}
	o := publishOptions{key: r.Key, headers: slices.Clone(r.Headers)}
	apply(&o, opts)
	if err := errors.Join(streams.CheckName(stream), o.err); err != nil {
		return publishError(stream, err)
	}
	t.Forwarded(&Record{
		Stream: stream, Topic: stream, Key: o.key, Value: r.Value, Headers: withoutFailure(o.headers, stream), Time: o.time,
	})
	return nil
}

// recorderFor returns the testRecorder of ctx, or what keeps r from being committed or forwarded.
func recorderFor(ctx context.Context, r *Record, missing error) (testRecorder, error) {
	t := testRecorderOf(ctx)
	switch {
	case t == nil:
		return nil, missing
	case r == nil:
		return nil, errNoRecord
	}
	return t, context.Cause(ctx)
}

func (c *call) commit(ctx context.Context, r *Record) error {
	if r == nil {
		return fmt.Errorf("bus: commit: %w", errNoRecord)
	}
	err := errNoPartition
	if partition := consume.PartitionOf(c.Context); partition != nil {
		// The handler has to do with r itself, and with what stands before it in its batch.
		own := map[int64]bool{r.Offset: true}
		for _, other := range c.records() {
			if other.Offset < r.Offset {
				own[other.Offset] = true
			}
		}
		err = partition.Commit(ctx, r.Offset+1, func(offset int64) bool { return own[offset] })
	}
	if err != nil {
		return fmt.Errorf("bus: commit %s: %w", where(r), err)
	}
	return nil
}

// forward sends a record's value, key and headers on, and returns when they are acknowledged.
func (a *App) forward(ctx context.Context, stream string, r *Record, opts []PublishOption) error {
	if r == nil {
		return fmt.Errorf("bus: forward to stream %q: %w", stream, errNoRecord)
	}
	out := &Receipt{stream: stream, watched: a.watch(stream, len(r.Value))}
	c, until, err := a.useFor(ctx, stream)
	if err != nil {
		return out.fail(err).end(ctx)
	}
	w := a.getWorkspace()
	w.key, w.until = r.Key, until
	w.headers = append(w.headers, r.Headers...)
	c.send(ctx, out, w, r.Value, true, opts)
	a.give(w)
	return out.end(ctx)
}

// where names a record's place in an error or a log line.
func where(r *Record) string { return fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset) }
