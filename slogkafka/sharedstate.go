package slogkafka

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/aside"
	"github.com/kafkaesk/kafkaesk/internal/ownlog"
	"github.com/kafkaesk/kafkaesk/internal/shipping"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// sharedState is the shared state of a handler and the handlers derived from it.
type sharedState struct {
	app     shipping.Bus
	stream  string
	level   slog.Leveler
	err     error
	largest int // maximum length of a record with its key

	queue    *queue
	worker   worker
	fallback fallback
	store    *store // nil without the policy Spool

	flushOn        slog.Leveler // nil: never
	flushTime      time.Duration
	whenConfigured bool
	configured     atomic.Bool // the app has servers

	startOnce sync.Once // starts the worker and initializes the app, unless Close was called before
	deliver   sync.Once // starts the worker, also for records of an earlier process
	life      context.Context
	end       context.CancelFunc // ends the worker
	work      sync.WaitGroup     // goroutines of ship and initialize
	quit      chan struct{}      // ends collect
	collect   sync.WaitGroup

	detach   func() // detaches the handler from the app
	closing  atomic.Bool
	closed   chan struct{} // closed when Close has finished
	closeErr error         // valid once closed is closed
}

func newHandler(app shipping.Bus, stream string, o options) *Handler {
	for _, name := range append([]string{stream}, slices.Sorted(maps.Values(o.record.Route))...) {
		if err := app.CheckStream(name); err != nil {
			o.refuse("%w: its records will be refused", err)
		}
	}
	largest := largestRecord(o.bytes)
	o.record.MaxBytes = min(maxRecord, largest)
	runner := aside.New(2 * maxFallback)
	var to *slog.Logger
	if o.fallback != nil {
		to = slog.New(o.fallback)
	}
	o.record.Report = func(err error) {
		runner.Do(func() { ownlog.Logger(to).Warn("slogkafka: a log model is not checked", "error", err) })
	}
	encoder := logrecord.NewEncoder(o.record)
	q := newQueue(o)
	disk := o.openStore(q, stream)
	c := &sharedState{
		app: app, stream: stream, level: o.level, err: o.err, largest: largest,
		queue: q, store: disk,
		fallback: fallback{handler: o.fallback, runner: runner, maxBytes: int64(max(o.bytes/fallbackShare, minFallback))},
		flushOn:  o.flushOn, flushTime: o.flushTime, whenConfigured: o.whenConfigured,
		quit: make(chan struct{}), closed: make(chan struct{}), detach: func() {},
	}
	c.life, c.end = context.WithCancel(context.Background())
	w := &c.worker
	w.app, w.queue, w.shorten, w.lost, w.retryAfter = app, q, encoder.Shorten, c.lost, make(chan time.Duration, 1)
	w.spec = shipping.Stream{Retention: o.retention, Partitions: o.partitions}
	w.report = &reporter{stream: stream, to: ownlog.Logger(to), runner: runner, queue: q, why: c.waiting}
	if disk != nil {
		disk.report, disk.missed, disk.lost = w.report.spool, c.missing, c.lost
	}
	w.summary = &summary{stream: stream, encoder: encoder, missed: q.missed, nudge: q.nudge}
	h := &Handler{c, o.newCall(), encoder}
	detach, err := app.Attach(stream, h)
	if err != nil {
		o.refuse("the app is closed: every record is refused: %w", err)
		c.err = o.err
	}
	if c.err != nil {
		w.report.options(c.err)
	}
	if err != nil {
		c.end() // records on disk are left to another handler: Close must not wait for them
		_ = h.Close(c.life)
	} else {
		c.detach = detach
	}
	if q.spooling.Load() && !c.closing.Load() && (!c.whenConfigured || c.isConfigured()) {
		c.deliver.Do(c.startDelivery)
	}
	return h
}

// openStore opens the spool, if a policy has one. If that fails, the handler works without it.
func (o *options) openStore(q *queue, stream string) *store {
	policy, ok := spoolOf(o.policies)
	if !ok {
		return nil
	}
	s, err := openStore(q, policy, o.spoolSync, stream)
	if err != nil {
		o.refuse("records are dropped when the queue is full: %w", err)
		o.withoutSpool()
		return nil
	}
	return s
}

// maxRecord is the maximum length of a record in bytes: it fits into a broker's default maximum (1 MiB) with its key
// and headers.
const maxRecord = 900 << 10

// start runs the worker. Close ends it and waits for it.
func (c *sharedState) start() {
	c.deliver.Do(c.startDelivery)
	c.work.Go(func() { c.worker.initialize(c.life) })
}

func (c *sharedState) startDelivery() {
	c.work.Go(func() { c.worker.ship(c.life) })
	c.collect.Go(func() { c.worker.collect(c.quit) })
	if c.store != nil {
		go c.store.run() // Close ends it and waits for it
	}
}

// waiting returns the reason why records wait; nil when no error is known.
func (c *sharedState) waiting() error {
	if err := c.app.Waiting(); err != nil {
		return err
	}
	return c.queue.lastFailure()
}

// Flush returns when all records that were accepted before it, those on disk too, are delivered or dropped. When ctx
// ends before, it returns an error that names the broker and what is wrong with it.
func (h *Handler) Flush(ctx context.Context) error { return h.queue.flush(ctx, h.why) }

// Stats returns the counts of one moment. A handler and all that are derived from it have the same counts.
func (h *Handler) Stats() Stats {
	s := h.queue.snapshot()
	if h.sampler != nil {
		s.Sampled = h.sampler.omitted.Load()
	}
	h.sharedState.fallback.addTo(&s)
	return s
}

// Err returns what is wrong with the options; nil if nothing is. A wrong option has no effect, and is also logged
// once. A stream whose name Kafka refuses, the handler's or one of [StreamOf], is such an error, because all its
// records will be dropped.
func (h *Handler) Err() error { return h.err }
