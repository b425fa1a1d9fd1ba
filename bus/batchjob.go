package bus

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/lanes"
	"github.com/kafkaesk/kafkaesk/internal/recordlimit"
)

// batchJob is one call of a handler for more than one record.
type batchJob struct {
	records []*Record // those of the handler, and between them others that it does not get
	errs    []error   // of each: why it cannot be decoded, or errSkipped
	batch   *decodedBatch
	first   job // whose deadline is that of the call; of the first record, if that has waited
	done    int // records from the first one on that are finished
}

// errSkipped marks a record of another group.
var errSkipped = errors.New("the record belongs to another group")

// doBatch works on records of a lane: it calls the handler for them, and does with each what follows from that. Lanes
// call it. What concerns a single record is done as for a subscription without batches.
func (x *runner) doBatch(ctx context.Context, items []lanes.Item[wire.Record]) (result lanes.Result) {
	kept := keptJob(items[0].Retry)
	if len(items) == 1 || x.breaker.IsOpen() || kept != nil && (kept.moving != nil || kept.expired()) {
		return x.doOne(ctx, items[0])
	}
	begun := 0 // records that the limit has let begin before
	if kept != nil {
		begun = 1
	}
	n, state := x.limit.Reserve(len(items) - begun)
	switch n += begun; {
	case n == 0 && state == recordlimit.Reserved:
		return lanes.Result{Retry: &lanes.Retry{At: time.Now().Add(limitPause)}, Together: true}
	case n == 0:
		return lanes.Result{Leave: true}
	}
	b := x.collect(items[:n])
	x.limit.Release(n - max(begun, len(b.records)))
	if len(b.records) == 0 {
		return x.doOne(ctx, items[0])
	}
	if kept != nil {
		b.first = *kept
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		// As in do: a panic of a function of OnConsumed, or Goexit, ends the run and not the program.
		err := errGoexit
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
		x.fail(b.records[b.done], err)
		x.limit.Release(len(b.records) - b.done)
		result = lanes.Result{Finished: b.done, Leave: true}
	}()
	result = x.workBatch(ctx, b)
	returned = true
	return result
}

// keptJob returns the state of a record that has waited.
func keptJob(retry *lanes.Retry) *job {
	if retry == nil {
		return nil
	}
	j, _ := retry.State.(*job)
	return j
}

// doOne is do for the first record; those behind it are handed over again.
func (x *runner) doOne(ctx context.Context, item lanes.Item[wire.Record]) lanes.Result {
	finished, retry := x.do(ctx, item.Value, item.Retry)
	if finished {
		return lanes.Result{Finished: 1}
	}
	return lanes.Result{Retry: retry, Leave: retry == nil}
}

// collect decodes the records of a batch. One that cannot be decoded and goes to the dead letters ends it.
func (x *runner) collect(items []lanes.Item[wire.Record]) *batchJob {
	b := &batchJob{batch: x.batches.newBatch(len(items))}
	for _, item := range items {
		r, err := (*Record)(item.Value), errSkipped
		if !x.fromOtherGroup(r) {
			if err = b.batch.add(x.batches, r); err != nil && x.deadLetter {
				break
			}
		}
		b.records, b.errs = append(b.records, r), append(b.errs, err)
	}
	return b
}

// workBatch calls the handler, and does with each record what follows.
func (x *runner) workBatch(ctx context.Context, b *batchJob) lanes.Result {
	b.start(x)
	r, late := x.callBatch(ctx, b)
	for left := r.finished; b.done < len(b.records) && (left > 0 || b.errs[b.done] != nil); b.done++ {
		x.finishOfBatch(ctx, b)
		if b.errs[b.done] == nil {
			left--
		}
	}
	if r.err == nil || b.done == len(b.records) {
		x.limit.Release(len(b.records) - b.done)
		return lanes.Result{Finished: b.done}
	}
	return x.decideBatch(ctx, b, r, late)
}

// start prepares the call.
func (b *batchJob) start(x *runner) {
	b.first.record, b.first.batch = b.records[0], len(b.batch.records)
	x.resume(&b.first)
	if b.first.attempts > 0 {
		return
	}
	b.first.attempts, b.first.began = 1, time.Now()
	if x.timeout != nil {
		b.first.deadline = b.first.began.Add(*x.timeout)
	}
}

// callBatch calls the handler, and reports whether its time is over.
func (x *runner) callBatch(ctx context.Context, b *batchJob) (r batchResult, late bool) {
	if len(b.batch.records) == 0 {
		return batchResult{}, false
	}
	var span trace.Span
	if x.tracer != nil {
		ctx, span = x.startBatchSpan(ctx, b.batch.records)
	}
	ctx = &call{Context: ctx, x: x, record: b.batch.records[0], batch: b.batch, attempt: b.first.calls + 1}
	err, late := x.limited(ctx, &b.first, func(ctx context.Context) error {
		r = x.batches.handle(ctx, b.batch)
		return r.err
	})
	if err != nil && r.err == nil { // a panic
		r = batchResult{err: err, shared: len(b.batch.records) > 1}
	}
	if err == nil || r.finished > 0 {
		x.breaker.Succeeded(time.Now())
	}
	if span != nil {
		outcome := OutcomeHandled
		if err != nil {
			outcome = OutcomeFailed
		}
		endSpan(span, outcome, err)
	}
	return r, late
}

// jobOf returns the job of the first record that is not finished.
func (b *batchJob) jobOf() *job {
	j := b.first
	if b.done > 0 { // what is known of the first record is not true of this one, but for the call
		j = job{attempts: 1, began: b.first.began, deadline: b.first.deadline, batch: b.first.batch}
		j.record = b.records[b.done]
	}
	return &j
}

// finishOfBatch ends the first record that is not finished.
func (x *runner) finishOfBatch(ctx context.Context, b *batchJob) {
	j := b.jobOf()
	switch err := b.errs[b.done]; {
	case errors.Is(err, errSkipped):
		x.skip(j.record)
		x.limit.Release(1)
	case err != nil:
		j.last = Reject(err)
		x.reject(x.observed(ctx, j), j)
	default:
		x.end(x.observed(ctx, j), j, OutcomeHandled, nil)
		x.limit.Done()
	}
}

// observed returns the context that functions of OnConsumed get for a record.
func (x *runner) observed(ctx context.Context, j *job) context.Context {
	if len(x.observe) == 0 {
		return ctx
	}
	return &call{Context: ctx, x: x, record: j.record, attempt: max(1, j.calls)}
}

// decideBatch does what follows from the error of the first record that is not finished.
func (x *runner) decideBatch(ctx context.Context, b *batchJob, r batchResult, late bool) lanes.Result {
	j := b.jobOf()
	j.calls++
	j.last, j.shared = r.err, r.shared
	x.lines.attempts.line("bus: a call of a handler for a batch failed", j.record, j.last, "call", j.calls,
		"records", j.batch)
	o, a := outcomeOf(j.last), attempt{late: late, several: j.batch > 1, shared: r.shared}
	behind := b.records[b.done+1:]
	finished, retry := x.decide(x.observed(ctx, j), j, a)
	switch {
	case finished:
		x.limit.Release(len(behind))
		b.done++
		return lanes.Result{Finished: b.done}
	case retry == nil:
		for _, record := range behind {
			rest := &job{record: record, began: b.first.began, batch: j.batch}
			x.leave(x.observed(ctx, rest), rest)
		}
		return lanes.Result{Finished: b.done, Leave: true}
	}
	x.limit.Release(len(behind))
	result := lanes.Result{Finished: b.done, Retry: retry, Suspect: a.suspect(o)}
	if a.together(o) {
		retry.Alone, result.Together = false, true
	}
	return result
}
