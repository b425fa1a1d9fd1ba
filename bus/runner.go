package bus

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/internal/breaker"
	"github.com/kafkaesk/kafkaesk/internal/kafka/consume"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/lanes"
	"github.com/kafkaesk/kafkaesk/internal/recordlimit"
	"github.com/kafkaesk/kafkaesk/internal/streams"
)

// runner is a subscription while the App runs.
type runner struct {
	*subscription
	app          *App
	conn         *connection
	log          *slog.Logger
	streams      *streams.Set
	unmatched    *streams.Unmatched
	limit        *recordlimit.Limit // nil = no end
	observe      []func(context.Context, Consumed)
	handle       Handler      // of one call: decode, middleware, the application's handler
	batches      *batchChain  // the same for a call for many records; nil without Batch
	tracer       trace.Tracer // nil = no spans
	timeoutError error        // says that a record's Timeout is over
	consumer     *consume.Consumer

	rejected, retried, postponed, deadLettered, skipped atomic.Uint64 // see SubscriptionStats
	lines                                               limiters
	breaker                                             *breaker.Breaker // nil = none
	lastError                                           atomic.Pointer[recordedError]

	blocked    consume.Blocked
	collisions *streams.Collisions
	checks     sync.Mutex
	checked    map[string]error // topics that match: why one is not read, or nil
}

// recordedError is an error after which the work goes on.
type recordedError struct {
	err error
	at  time.Time
}

func (x *runner) recordError(err error) { x.lastError.Store(&recordedError{err, time.Now()}) }

func newRunner(a *App, c *connection, s *subscription, cfg *runConfig) (*runner, error) {
	x := &runner{subscription: s, app: a, conn: c, limit: cfg.limit, observe: cfg.observe, collisions: cfg.collisions,
		checked: make(map[string]error)}
	log := c.log.With("subscription", s.patterns[0])
	x.log = log.With("group", s.group)
	x.lines = newLimiters(x.log)
	x.breaker = breaker.New(s.breaker, x.log, brief)
	var err error
	if x.streams, err = streams.NewSet(c.prefix, *s.names()); err != nil {
		return nil, err
	}
	x.unmatched = x.streams.Unmatched()
	if cfg.manual && !s.commits {
		x.log.Warn("bus: ManualCommit: nothing of this subscription will ever be committed; " +
			"its handler has to take a *bus.Message, a *bus.Record or []byte, and call Commit")
	}
	x.tracer = newTracer(cfg.tracer)
	middleware := slices.Concat(cfg.middleware, s.middleware)
	var doBatch func(context.Context, []lanes.Item[wire.Record]) lanes.Result
	var batches lanes.Batches
	if s.many != nil {
		x.batches = newBatchChain(x, s.many, middleware)
		x.handle, doBatch, batches = x.batches.single, x.doBatch, *s.batch
	} else {
		x.handle = x.chain(x, middleware)
	}
	if s.timeout != nil {
		x.timeoutError = fmt.Errorf("the record was not handled within %s: %w", *s.timeout, context.DeadlineExceeded)
	}
	settings := c.client.Settings()
	x.consumer = consume.New(c.client, consume.Options{
		Group:        s.group,
		InstanceID:   cfg.instance(settings.GroupInstanceID, s),
		Match:        x.reads,
		Topics:       x.streams.Topics(),
		Lanes:        s.lanes.mode(),
		Limit:        s.limit(),
		TopicPrefix:  c.prefix,
		Do:           x.do,
		DoBatch:      doBatch,
		Batches:      batches,
		Dropped:      x.dropped,
		Delayed:      x.streams.IsOwn,
		NotBefore:    func(r *wire.Record, now time.Time) time.Time { return x.notBefore((*Record)(r), now) },
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
	case s.lanes == ByPartition:
		return 0
	default:
		return 1
	}
}
