package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/consume"
	"github.com/kafkaesk/kafkaesk/internal/kafka/fetch"
	"github.com/kafkaesk/kafkaesk/internal/lanes"
)

// runner is a subscription while the App runs.
type runner struct {
	*subscription
	app      *App
	core     *core
	log      *slog.Logger
	streams  streamSet
	budget   *budget // nil = no end
	observe  []func(context.Context, Consumed)
	handle   Handler // all of the chain
	consumer *consume.Consumer[Record]

	rejected, retried, postponed, buried atomic.Uint64 // see SubscriptionStats
	refusals                             pace
	lastError                            atomic.Pointer[trouble]

	blocked blocked
	names   *ownNames
	checks  sync.Mutex
	checked map[string]error // topics that match: why one is not read, or nil
}

// trouble is an error that work goes on after.
type trouble struct {
	err error
	at  time.Time
}

func (x *runner) trouble(err error) { x.lastError.Store(&trouble{err, time.Now()}) }

func newRunner(a *App, c *core, s *subscription, cfg *runConfig) (*runner, error) {
	x := &runner{subscription: s, app: a, core: c, budget: cfg.budget, observe: cfg.observe, names: cfg.names, checked: make(map[string]error)}
	log := c.log.With("subscription", s.patterns[0])
	x.log = log.With("group", s.group)
	var err error
	if x.streams, err = newStreamSet(c.prefix, s); err != nil {
		return nil, err
	}
	if cfg.manual && !s.commits {
		x.log.Warn("bus: DisableAutoCommit: nothing of this subscription will ever be committed; its handler has to take a *bus.Message, and call Commit")
	}
	x.handle = x.chainOf(cfg)
	settings := c.client.Settings()
	x.consumer = consume.New(c.client, consume.Options[Record]{
		Group:        s.group,
		InstanceID:   cfg.instance(settings.GroupInstanceID, s),
		Match:        x.reads,
		Lanes:        s.lanes,
		Limit:        s.limit(),
		Make:         func(items []Record, chunk *fetch.Chunk) { fill(items, c.stream(chunk.Topic), chunk) },
		Offset:       func(r *Record) int64 { return r.Offset },
		Key:          func(r *Record) []byte { return r.Key },
		Size:         sizeOf,
		Do:           x.do,
		Delayed:      x.streams.own,
		NotBefore:    x.notBefore,
		Manual:       s.manual || cfg.manual,
		DrainTimeout: cfg.drain,
		Logger:       log, // it tells the group itself
	})
	return x, nil
}

// limit returns how many handlers may run at once; 0 is one for each partition.
func (s *subscription) limit() int {
	switch {
	case s.concurrency != nil:
		return *s.concurrency
	case s.lanes == lanes.ByPartition:
		return 0
	default:
		return 1
	}
}

// sizeOf is about what a record keeps in memory.
func sizeOf(r *Record) int { return len(r.Key) + len(r.Value) + recordOverhead }

const recordOverhead = 200 // the Record itself, and what a batch has of it

// chainOf puts the chain together, in the order it is described in: what stands first lies outermost. A layer that has nothing to do is
// not there.
//
//	recover      a panic anywhere is an error
//	trace        a span for the record
//	metrics      what OnConsumed was called with
//	timeout      Timeout
//	dead letter  DeadLetter, RetryTopics
//	retry        RetryPolicy, RetryAfter
//	recover      a handler's panic is an error like any other
//	decode       T
//	middleware   Use
func (x *runner) chainOf(cfg *runConfig) Handler {
	h := protect(x.chain(x.app, cfg.middleware))
	h = x.retrying(h)
	if x.deadLetter {
		h = x.burying(h)
	}
	if x.timeout != nil {
		h = x.limited(h)
	}
	if len(x.observe) > 0 {
		h = x.observed(h)
	}
	return protect(x.traced(h, cfg.tracer))
}

// do handles one record; it reports whether the record is finished. Lanes call it.
func (x *runner) do(ctx context.Context, r *Record) bool {
	if x.foreign(r) {
		return true
	}
	if !x.budget.take(ctx) {
		return false
	}
	returned := false
	defer func() {
		if !returned { // nor has it panicked, which the chain would have told
			x.consumer.Fail(x.failure(r, errGoexit))
		}
	}()
	err := x.handle(ctx, r)
	returned = true
	if err != nil && !x.settle(r, err) {
		x.budget.giveBack()
		return false
	}
	x.budget.done()
	return true
}

// settle deals with the outcome of a record that was not simply done; it reports whether the record is finished.
func (x *runner) settle(r *Record, err error) bool {
	switch {
	case isA[*moving](err):
		return true // it lies elsewhere now, which has been counted and logged
	case errors.Is(err, errUnfinished):
		return false
	}
	switch verdictOf(err).(type) {
	case *rejection:
		x.rejected.Add(1)
		x.trouble(err)
		x.refusals.warn(x.log, "bus: a record is rejected", "record", where(r), "error", brief(err))
		return true
	case stopped:
		x.log.Info("bus: the handler stops its subscription", "record", where(r))
		x.consumer.Stop()
		return false
	default:
		if stack := stackOf(err); stack != nil { // which the error that Run returns does not tell
			x.log.Error("bus: a handler's panic ends the run", append([]any{"record", where(r), "error", brief(err)}, stack...)...)
		}
		err = x.failure(r, err)
		x.trouble(err)
		x.consumer.Fail(err)
		return false
	}
}

// failure is what ends the App's Run because of a record.
func (x *runner) failure(r *Record, err error) error {
	return fmt.Errorf("subscription %q of group %q: record %s: %w", x.patterns[0], x.group, where(r), err)
}

// errGoexit says that a handler took with it the goroutine that its lane works on. The lane cannot go on, and its partition would stand
// still unseen.
var errGoexit = errors.New("the handler has ended its goroutine (runtime.Goexit, or FailNow of a test) instead of returning")

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// errUnfinished is the outcome of a record whose partition has been taken away before it was done: somebody else will handle it.
var errUnfinished = errors.New("the record is left for the partition's next owner")

// limited bounds the work on a record by Timeout.
func (x *runner) limited(next Handler) Handler {
	limit := *x.timeout
	over := fmt.Errorf("the record was not handled within %s: %w", limit, context.DeadlineExceeded)
	return func(ctx context.Context, r *Record) error {
		ctx, cancel := context.WithTimeoutCause(ctx, limit, over)
		defer cancel()
		late := time.AfterFunc(limit+patience, func() {
			x.log.Warn("bus: the time of a record is over, but its handler has not returned, or its dead letter is not written; it blocks its lane",
				"record", where(r), "timeout", limit)
		})
		defer late.Stop()
		return next(ctx, r)
	}
}

// leastPause keeps a RetryAfter of nothing from spinning.
const leastPause = 10 * time.Millisecond

// patience is how long a handler may take to return, when its context has ended, before the log tells.
const patience = time.Second

// ended tells why a context that ended did: nil as long as it goes on, errUnfinished when the time to finish is over.
func ended(ctx context.Context) error {
	switch {
	case ctx.Err() == nil:
		return nil
	case consume.PlaceOf(ctx).Context().Err() != nil:
		return errUnfinished
	default:
		return context.Cause(ctx)
	}
}

// pause waits for d. It returns errUnfinished at once when the partition is to be given up, and why ctx ended when it ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ended(ctx)
	case <-consume.PlaceOf(ctx).Draining():
		return errUnfinished
	case <-ctx.Done():
		return ended(ctx)
	}
}

// failure is the last error of a record that is not tried again.
type failure struct {
	attempts int
	err      error
}

func (e *failure) Error() string {
	if e.attempts == 1 {
		return e.err.Error()
	}
	return fmt.Sprintf("after %d attempts: %v", e.attempts, e.err)
}

func (e *failure) Unwrap() error { return e.err }

// expiry is why a record is not tried again whose time was over.
type expiry struct {
	over error // says so
	last error // of the handler
}

func (e *expiry) Error() string {
	if errors.Is(e.last, e.over) { // the handler returned why its context ended
		return e.last.Error()
	}
	return fmt.Sprintf("%v; the last error: %v", e.over, e.last)
}

func (e *expiry) Unwrap() []error { return []error{e.over, e.last} }

// retrying calls next as often as the retry policy says.
func (x *runner) retrying(next Handler) Handler {
	policy := x.policy()
	backoff := kafka.Backoff{First: policy.First, Max: policy.Max}
	return func(ctx context.Context, r *Record) error {
		err := next(ctx, r)
		if err == nil {
			return nil
		}
		attempts := 1 // of those that the policy counts
		for calls := 1; ; calls++ {
			var wait time.Duration
			verdict := verdictOf(err)
			again, postponed := verdict.(*later)
			switch over := ended(ctx); {
			case verdict != nil && !postponed:
				return &failure{calls, err}
			case over != nil && errors.Is(over, errUnfinished):
				return errUnfinished
			case over != nil:
				return &failure{calls, &expiry{over, err}}
			case postponed:
				wait = max(again.after, leastPause)
			case attempts >= policy.Attempts:
				return &failure{calls, err}
			default:
				wait = backoff.Delay(attempts - 1)
				attempts++
			}
			x.retried.Add(1)
			if over := pause(ctx, wait); errors.Is(over, errUnfinished) {
				return errUnfinished
			} else if over != nil {
				return &failure{calls, &expiry{over, err}}
			}
			if err = next(ctx, r); err == nil {
				return nil
			}
		}
	}
}
