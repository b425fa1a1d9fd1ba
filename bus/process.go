package bus

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/internal/kafka/consume"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/lanes"
	"github.com/kafkaesk/kafkaesk/internal/recordlimit"
)

// job is the state of a record from the first call of its handler until its outcome is known. While the record waits
// for another call, its lane keeps the job.
type job struct {
	record   *Record
	began    time.Time
	deadline time.Time  // of Timeout; zero without one
	calls    int        // of the handler
	attempts int        // those of the calls that the retry policy counts
	last     error      // what the handler returned last
	span     trace.Span // nil = none
	moving   *moving    // not nil once the record was given up and is written to another stream
	batch    int        // records of the call; 0 when the handler takes one
	probe    bool       // the last call was a probe of the breaker
	held     bool       // the breaker holds the record back
	shared   bool       // the last call was for more records, and it is not known that this one is why it failed
}

const (
	// leastPause keeps a RetryAfter of nothing from spinning.
	leastPause = 10 * time.Millisecond
	// returnReserve is how long a handler may take to return after Timeout before the log says that it blocks its lane.
	returnReserve = time.Second
	// limitPause is how long a record waits before ConsumeFor is asked once more whether another record may begin.
	limitPause = 20 * time.Millisecond
)

// errGoexit says that a handler has ended the goroutine of its worker. It ends the App's Run, because the partition
// would stop unnoticed.
var errGoexit = errors.New("the handler has ended its goroutine (runtime.Goexit, or FailNow of a test) instead of " +
	"returning")

// do works on a record: it calls the handler, or tries once more to move the record to another stream. Lanes call it,
// and call it again at the time that it returns.
func (x *runner) do(ctx context.Context, read *wire.Record, retry *lanes.Retry) (finished bool, next *lanes.Retry) {
	r := (*Record)(read)
	var j job
	if retry != nil && retry.State != nil {
		j = *retry.State.(*job)
	} else {
		if x.fromOtherGroup(r) {
			x.skip(r)
			return true, nil
		}
		switch _, state := x.limit.Reserve(1); state {
		case recordlimit.Reserved:
			return false, &lanes.Retry{At: time.Now().Add(limitPause)}
		case recordlimit.Exhausted:
			return false, nil
		}
		j = job{record: r}
	}
	if x.batches != nil {
		j.batch = 1
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		// A panic outside of the handler, in a function of OnConsumed for one, must not end the program. Goexit leaves
		// no panic.
		err := errGoexit
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
		x.fail(r, err)
		x.limit.Release(1)
		finished, next = false, nil
	}()
	finished, next = x.work(ctx, &j)
	returned = true
	return finished, next
}

// startJob prepares the first call of a record's handler.
func (x *runner) startJob(ctx context.Context, j *job) {
	if x.timeout != nil || len(x.observe) > 0 {
		j.began = time.Now()
	}
	if x.timeout != nil {
		j.deadline = j.began.Add(*x.timeout)
	}
	j.span = x.startSpan(ctx, j.record)
	j.attempts = 1
}

// work is one step of a job.
func (x *runner) work(ctx context.Context, j *job) (finished bool, retry *lanes.Retry) {
	if j.attempts == 0 {
		x.startJob(ctx, j)
	}
	ctx = x.context(ctx, j)
	if j.moving != nil {
		return x.moveJob(ctx, j)
	}
	var wait time.Duration
	if j.probe, wait = x.breaker.Admit(time.Now()); wait > 0 {
		return false, j.hold(wait)
	}
	x.resume(j)
	late := j.expired()
	if late && j.shared {
		// It was handed over with other records until its time was over: alone it has that time once more.
		late, j.deadline = false, time.Now().Add(*x.timeout)
	}
	j.shared = false
	if late {
		return x.decide(ctx, j, attempt{late: true})
	}
	j.calls++
	j.last, late = x.limited(ctx, j, func(ctx context.Context) error { return x.handle(ctx, j.record) })
	if j.last == nil {
		x.breaker.Succeeded(time.Now())
		x.end(ctx, j, OutcomeHandled, nil)
		x.limit.Done()
		return true, nil
	}
	x.lines.attempts.line("bus: a call of a handler failed", j.record, j.last, "call", j.calls)
	return x.decide(ctx, j, attempt{late: late})
}

// decide does with a record what follows from j.last. The caller says of the attempt whether it was late, and if it was
// for more records.
func (x *runner) decide(ctx context.Context, j *job, a attempt) (finished bool, retry *lanes.Retry) {
	o := outcomeOf(j.last)
	a.number, a.moves, a.policy = j.attempts, x.deadLetter, x.policy()
	a.revoked = consume.PartitionOf(ctx).Context().Err() != nil
	a.paused = x.breaker.Failed(time.Now(), j.probe, a.late || o.kind == broken, j.last)
	s := next(o, a)
	switch s.action {
	case callAgain:
		if o.kind != postpone && a.paused == 0 {
			j.attempts++
		}
		if a.paused > 0 {
			x.retried.Add(1)
			return false, j.hold(s.pause)
		}
		if x.timeout != nil && a.several && !a.together(o) { // it will be called for alone
			j.deadline = time.Now().Add(s.pause).Add(*x.timeout) // the sum of the two may be too long for a Duration
		}
		x.retried.Add(1)
		return false, j.retryAfter(s.pause)
	case moveRecord:
		if j.moving = x.newMoving(j, o, x.failure(j, a.late)); j.moving == nil {
			j.last = Reject(fmt.Errorf("a dead letter of a dead letter is not written to a third stream: %w", j.last))
			return x.reject(ctx, j)
		}
		return x.moveJob(ctx, j)
	case rejectRecord:
		return x.reject(ctx, j)
	case stopSubscription:
		x.end(ctx, j, OutcomeFailed, j.last)
		x.log.Info("bus: the handler stops its subscription", "record", where(j.record))
		x.consumer.Stop()
		x.limit.Release(1)
		return false, nil
	case failRun:
		err := j.counted(x.failure(j, a.late))
		x.fail(j.record, err) // first: a panic of a function of OnConsumed must not replace the error
		x.end(ctx, j, OutcomeFailed, err)
		x.limit.Release(1)
		return false, nil
	}
	return x.leave(ctx, j)
}

// expired reports whether the record's Timeout was over before its next call.
func (j *job) expired() bool {
	return j.calls > 0 && !j.deadline.IsZero() && !time.Now().Before(j.deadline)
}

// limited calls the handler by f, with a context that ends at the deadline, and reports whether that was the end of it.
// A panic is an error like any other.
func (x *runner) limited(ctx context.Context, j *job, f func(context.Context) error) (err error, late bool) {
	if j.deadline.IsZero() {
		return protected(ctx, f), false
	}
	ctx, cancel := context.WithDeadlineCause(ctx, j.deadline, x.timeoutError)
	defer cancel()
	r, limit := j.record, *x.timeout
	blocks := time.AfterFunc(time.Until(j.deadline.Add(returnReserve)), func() {
		x.log.Warn("bus: the time of a record is over, but its handler has not returned; it blocks its lane",
			"record", where(r), "timeout", limit)
	})
	defer blocks.Stop()
	err = protected(ctx, f)
	return err, err != nil && ctx.Err() != nil
}

func protected(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	if err = f(ctx); err != nil {
		if err = printable(err); outcomeOf(err).kind == handled {
			return nil // FailedAt without an error
		}
	}
	return err
}

// printable replaces an error that is a nil pointer. Go takes it for an error like any other, but mostly its text is
// a panic.
func printable(err error) error {
	if v := reflect.ValueOf(err); v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("the handler returned a nil %T as an error, which is not the error nil: return nil itself", err)
	}
	return err
}

// context returns the context of the next call, which has the record's span.
func (x *runner) context(ctx context.Context, j *job) context.Context {
	if j.span != nil {
		ctx = trace.ContextWithSpan(ctx, j.span)
	} else {
		ctx = withProducerSpan(ctx, j.record)
	}
	return &call{Context: ctx, x: x, record: j.record, attempt: j.calls + 1}
}

// resume begins the Timeout anew of a job that the breaker has held back.
func (x *runner) resume(j *job) {
	if j.held && x.timeout != nil {
		j.deadline = time.Now().Add(*x.timeout)
	}
	j.held = false
}

// hold returns the pause of a job that the breaker holds back. Its Timeout does not run meanwhile, and begins anew
// then.
func (j *job) hold(wait time.Duration) *lanes.Retry {
	j.held, j.deadline = true, time.Time{}
	return j.retryAfter(wait)
}

// retryAfter returns the pause of a job, which ends at its Timeout at the latest.
func (j *job) retryAfter(pause time.Duration) *lanes.Retry {
	at := time.Now().Add(pause)
	if !j.deadline.IsZero() && j.moving == nil && j.deadline.Before(at) {
		at = j.deadline
	}
	kept := *j
	return &lanes.Retry{At: at, State: &kept, Finish: j.moving != nil && j.moving.pending != nil, Alone: true}
}

// failure is the error that a record is given up for: the handler's, or that its time is over.
func (x *runner) failure(j *job, late bool) error {
	switch {
	case !late, errors.Is(j.last, x.timeoutError): // the handler returned the cause of its context's end
		return j.last
	case j.last == context.DeadlineExceeded: // or its context's error, which says no more
		return x.timeoutError
	}
	return fmt.Errorf("%w; the last error: %w", x.timeoutError, j.last)
}

// counted adds to an error how often the handler was called.
func (j *job) counted(err error) error {
	if j.calls < 2 {
		return err
	}
	return fmt.Errorf("after %d calls: %w", j.calls, err)
}

// moveJob tries to write a record that was given up to its other stream. The record is not finished before that is
// acknowledged.
func (x *runner) moveJob(ctx context.Context, j *job) (finished bool, retry *lanes.Retry) {
	partition := consume.PartitionOf(ctx)
	pause := x.move(partition, j.record, j.moving)
	switch {
	case pause == 0:
		outcome := OutcomePostponed
		if j.moving.dead {
			outcome = OutcomeDeadLetter
		}
		x.end(ctx, j, outcome, j.counted(j.moving.err))
		x.limit.Done()
		return true, nil
	case partition.Context().Err() != nil:
		return x.leave(ctx, j)
	}
	return false, j.retryAfter(pause)
}

// reject finishes a record without a dead letter.
func (x *runner) reject(ctx context.Context, j *job) (finished bool, retry *lanes.Retry) {
	err := j.counted(j.last)
	x.end(ctx, j, OutcomeRejected, err)
	x.rejected.Add(1)
	x.recordError(err)
	x.lines.rejected.line("bus: a record is rejected", j.record, err)
	x.limit.Done()
	return true, nil
}

// leave leaves a record to the next owner of its partition.
func (x *runner) leave(ctx context.Context, j *job) (finished bool, retry *lanes.Retry) {
	x.end(ctx, j, OutcomeUnfinished, j.last)
	x.limit.Release(1)
	return false, nil
}

// dropped is called by lanes for a record that has waited when its partition is taken away.
func (x *runner) dropped(ctx context.Context, _ *wire.Record, retry *lanes.Retry) {
	j, ok := retry.State.(*job)
	if !ok {
		return
	}
	defer func() {
		// The caller is the group's goroutine: a panic of a function of OnConsumed would end the program.
		if v := recover(); v != nil {
			x.fail(j.record, &PanicError{Value: v, Stack: debug.Stack()})
			x.limit.Release(1)
		}
	}()
	x.leave(x.context(ctx, j), j)
}

// fail ends the App's Run because of a record.
func (x *runner) fail(r *Record, err error) {
	if stack := stackOf(err); stack != nil { // the error that Run returns does not have it
		attributes := append([]any{"record", where(r), "error", brief(err)}, stack...)
		x.log.Error("bus: a handler's panic ends the run", attributes...)
	}
	err = fmt.Errorf("subscription %q of group %q: record %s: %w", x.patterns[0], x.group, where(r), err)
	x.recordError(err)
	x.consumer.Fail(err)
}

// end ends the record's span, and calls the functions of OnConsumed.
func (x *runner) end(ctx context.Context, j *job, outcome Outcome, err error) {
	if len(x.observe) > 0 {
		now := time.Now()
		c := Consumed{
			Record: j.record, Group: x.group, Outcome: outcome, Err: err, Batch: j.batch,
			Duration: now.Sub(j.began), Latency: now.Sub(j.record.Time),
		}
		for _, f := range x.observe {
			f(ctx, c)
		}
	}
	if j.span != nil {
		endSpan(j.span, outcome, err)
	}
}
