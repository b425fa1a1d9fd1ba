package bus

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/lanes"
)

// batchBytes is how much memory the records of a batch take at most, if there is more than one.
const batchBytes = 1 << 20

// Batch has the handler called with many records at once, for a database, a search index or an object store. The
// handler takes a slice, []T, []*[Message], []*[Record] or [][]byte, of up to max records of one lane, in order.
// Without Batch a slice is the data of one record, which is a JSON array.
//
// A batch is handed over when it has max records or 1 MiB, or when its first record has waited for wait. It is also
// handed over when its partition holds as many unfinished records as it may (max_poll_records, or 2 MiB). With a wait
// of 0 it takes what is there. Its lane depends on [Concurrency]. With [ByPartition] it is a partition. With [ByKey]
// each partition has n lanes, each for a share of the keys: a batch may have records of many keys, and the batches with
// records of one key are handled one after another. With [Unordered] batches of a partition are handled at the same
// time.
//
// A nil error finishes all records of the call. [FailedAt] says which record has failed, and how. Any other error gives
// no record up, because it does not say which one it is about. After a pause of the [RetryPolicy] the first record is
// handed over alone. The records behind it follow in batches of one record at first, and of up to twice as many after
// each success. Only an error of a call with one record, or FailedAt, counts against a record. So a record that breaks
// its batch is found, and no other becomes a dead letter because of it. With [RetryAfter] all records of the call wait
// together. [Abort] and [ErrStop] leave all of them.
//
// A record that cannot be decoded never reaches the handler. It is rejected after those before it are finished. With
// [DeadLetter] a batch ends before such a record, so that its dead letter keeps its place in the order.
//
// [Timeout] applies to each call. A record that is handed over alone afterwards has the whole time once more. With
// [ManualCommit], [Message.Commit] commits up to that record, and counts those before it in its batch as finished.
// When partitions are taken away, batches that are not full are dropped and read again by the next owner, and batches
// with a handler may finish ([Config.DrainTimeout]). [RetryTopics] and dead letters take single records. A call with
// more than one record has a span of its own, with a link to the trace of each record. [App.OnConsumed] and
// [Middleware] are called for each record.
//
// max has to be 1 or more and wait not negative: else Subscribe returns an error.
func Batch(max int, wait time.Duration) SubscribeOption {
	return func(s *subscription) { s.batch = &lanes.Batches{Max: max, Bytes: batchBytes, Wait: wait} }
}

// FailedAt is the outcome of a [Batch] of which record i, counted from 0, has failed with err. The records before it
// are finished. Record i has the outcome of err, as if the handler had returned that for it alone: [Reject],
// [RetryAfter], or any other error. The records behind it are handed over again. With a nil err record i is finished,
// too, so that FailedAt(len(batch), nil) finishes all. Any other index that the batch does not have is an error of
// the whole batch.
func FailedAt(i int, err error) error { return &handlerOutcome{kind: failedAt, index: i, err: err} }

// batchResult is what became of the records that a batch's handler was called with.
type batchResult struct {
	finished int // records from the first one on
	// err is that of the record behind them. When it is nil, that record is handed over again, with those behind it.
	err error
	// shared says that there were more records than one, and that err is not known to be of that one.
	shared bool
}

// resultOf returns what the error of a handler means for the n records of its call.
func resultOf(err error, n int) batchResult {
	if err = printable(err); err == nil {
		return batchResult{finished: n}
	}
	o, ok := errors.AsType[*handlerOutcome](err)
	switch {
	case !ok || o.kind != failedAt:
		return batchResult{err: err, shared: n > 1}
	case o.index == n && outcomeOf(o.err).kind == handled:
		return batchResult{finished: n} // what a bulk write returns may be passed on: so many are written, and no error
	case o.index < 0 || o.index >= n:
		err = fmt.Errorf("the handler returned FailedAt(%d), and its batch has %d records: %v", o.index, n, o.err)
		return batchResult{err: err, shared: n > 1}
	case outcomeOf(o.err).kind == handled:
		return batchResult{finished: o.index + 1}
	}
	return batchResult{finished: o.index, err: printable(o.err)}
}

// batchChain is what chain makes of a handler that takes batches: decode, middleware, the application's handler.
type batchChain struct {
	x       *runner
	slice   reflect.Type
	decode  func(r *Record, element reflect.Value) error
	handler func(ctx context.Context, slice reflect.Value) error
	// middleware calls the application's middleware for one record; nil when there is none. What is inside of it finds
	// its batchStep in the context.
	middleware Handler
}

// newBatchChain is called when the App begins to run.
func newBatchChain(x *runner, b *batchHandler, middleware []Middleware) *batchChain {
	c := &batchChain{x: x, slice: b.slice, decode: b.decode, handler: b.call}
	if len(middleware) > 0 {
		c.middleware = wrap(nextOfBatch, middleware)
	}
	return c
}

// decodedBatch is a batch for a handler: records, and the slice of what they were decoded to.
type decodedBatch struct {
	records []*Record
	values  reflect.Value
}

func (c *batchChain) newBatch(most int) *decodedBatch {
	return &decodedBatch{values: reflect.MakeSlice(c.slice, 0, most)}
}

// add decodes a record, and appends it to the batch if that succeeds.
func (b *decodedBatch) add(c *batchChain, r *Record) error {
	n := b.values.Len()
	b.values = b.values.Slice(0, n+1)
	if err := c.decode(r, b.values.Index(n)); err != nil {
		b.values.Index(n).SetZero() // it may be decoded in part
		b.values = b.values.Slice(0, n)
		return err
	}
	b.records = append(b.records, r)
	return nil
}

// single is the Handler of a call for one record.
func (c *batchChain) single(ctx context.Context, r *Record) error {
	b := c.newBatch(1)
	if err := b.add(c, r); err != nil {
		return Reject(err)
	}
	return c.handle(ctx, b).err
}

// handle calls the middleware and the handler.
func (c *batchChain) handle(ctx context.Context, b *decodedBatch) batchResult {
	if c.middleware == nil {
		return resultOf(c.call(ctx, b), len(b.records))
	}
	n := &nestedBatch{chain: c, batch: b, errs: make([]error, len(b.records))}
	for i := range n.errs {
		n.errs[i] = errBehind
	}
	n.run(ctx, 0)
	return n.result()
}

// call calls the application's handler.
func (c *batchChain) call(ctx context.Context, b *decodedBatch) error {
	if c.slice.Elem().Implements(anyMessageType) {
		of := callOf(ctx)
		if of == nil {
			of = &call{Context: ctx, x: c.x} // a middleware has made a context of its own
		}
		for i := range b.records {
			b.values.Index(i).Interface().(anyMessage).deliver(of)
		}
	}
	return c.handler(ctx, b.values)
}

// batchHandler is a handler that takes batches, as it was declared.
type batchHandler struct {
	slice  reflect.Type
	decode func(r *Record, element reflect.Value) error
	call   func(ctx context.Context, slice reflect.Value) error
}

func newBatchHandler[T any](validate bool, handler func(context.Context, T) error) (*batchHandler, error) {
	slice := reflect.TypeFor[T]()
	decode, err := elementDecoder(slice.Elem(), validate)
	if err != nil {
		return nil, err
	}
	return &batchHandler{slice: slice, decode: decode, call: func(ctx context.Context, v reflect.Value) error {
		return handler(ctx, v.Interface().(T))
	}}, nil
}
