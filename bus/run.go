package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/recordlimit"
	"github.com/kafkaesk/kafkaesk/internal/streams"
)

var (
	errRunning         = errors.New("the App is running already")
	errAllStopped      = errors.New("every subscription has stopped")
	errNoSubscriptions = errors.New("there is nothing to run: add a subscription with bus.Subscribe")
)

// run is one call of Run or ConsumeFor.
type run struct {
	ctx        context.Context // ends when the run is to end
	cancel     context.CancelFunc
	runners    []*runner
	limit      *recordlimit.Limit
	collisions *streams.Collisions
	done       chan struct{} // closed when every member has left
}

// runConfig is what the runners of a run share.
type runConfig struct {
	limit      *recordlimit.Limit
	middleware []Middleware
	observe    []func(context.Context, Consumed)
	tracer     trace.TracerProvider
	manual     bool
	drain      time.Duration
	groups     map[string]int // subscriptions of each group so far
	collisions *streams.Collisions
}

// instance returns the static id of a member (group.instance.id). The members of one group need different ones.
func (c *runConfig) instance(id string, s *subscription) string {
	c.groups[s.group]++
	if n := c.groups[s.group]; id != "" && n > 1 {
		return id + "-" + strconv.Itoa(n)
	}
	return id
}

// Run handles the records of all subscriptions until ctx ends, which is no error, or one of them fails, which Run
// returns. At the end it lets running handlers finish ([Config.DrainTimeout]), commits what is finished, and leaves
// the groups. It initializes the App if it is not, and waits for a broker until ctx ends. It returns nil when every
// subscription has ended by [ErrStop]. Only one Run or [App.ConsumeFor] runs at a time. Call [App.Close] after it, or
// to end it.
func (a *App) Run(ctx context.Context) error {
	if err := a.run(ctx, nil); err != nil {
		return fmt.Errorf("bus: run: %w", err)
	}
	return nil
}

// ConsumeFor runs the App as [App.Run] does until n records have been handled, over all subscriptions together. It
// returns how many were handled: n, or fewer and an error when ctx ended before, or a subscription failed. No further
// handler begins once n records are in work. It is for tests and jobs.
func (a *App) ConsumeFor(ctx context.Context, n int) (int, error) {
	if n < 1 {
		return 0, fmt.Errorf("bus: consume for %d records: give a number from 1", n)
	}
	b := recordlimit.New(n)
	err := a.run(ctx, b)
	handled := b.Count()
	if err == nil && handled < n {
		err = cmp.Or(context.Cause(ctx), errAllStopped)
	}
	if err != nil {
		err = fmt.Errorf("bus: consume for %d records: %d were handled: %w", n, handled, err)
	}
	return handled, err
}

func (a *App) run(ctx context.Context, b *recordlimit.Limit) error {
	if a == nil {
		return errNilApp
	}
	err := a.Initialize(ctx)
	if err != nil {
		if ctx.Err() != nil && b == nil && !a.isClosed() {
			return nil
		}
		return err
	}
	c := a.conn.Load()
	r, err := a.prepare(ctx, c, b)
	if err != nil {
		return err
	}
	if err = checkRunners(r.collisions, r.runners, r.existingTopics(c.client)); err == nil {
		err = r.wait()
	}
	r.cancel()
	a.mu.Lock()
	a.running, a.last = nil, r
	if err != nil {
		a.failed = err
	}
	a.mu.Unlock()
	close(r.done)
	return err
}

// existingTopics asks which topics there are, if a subscription writes dead letters; nil when the brokers do not
// answer. A name that cannot be compared with them now is compared when its stream is seen.
func (r *run) existingTopics(c *kafka.Client) map[string]*kafka.Topic {
	if !slices.ContainsFunc(r.runners, func(x *runner) bool { return x.deadLetter }) {
		return nil
	}
	cluster, err := c.AllTopics(r.ctx)
	if err != nil {
		return nil
	}
	return cluster.Topics
}

// prepare makes the run, and makes it the App's one.
func (a *App) prepare(ctx context.Context, c *connection, b *recordlimit.Limit) (*run, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.mountable(); err != nil {
		return nil, err
	}
	if len(a.subscriptions) == 0 {
		return nil, errNoSubscriptions
	}
	a.preparing++
	defer func() { a.preparing-- }()
	a.late = nil
	cfg := runConfig{
		limit: b, middleware: slices.Clone(a.middleware), observe: slices.Clone(a.observers),
		tracer: a.cfg.TracerProvider, manual: a.cfg.ManualCommit, drain: a.cfg.DrainTimeout,
		groups: make(map[string]int),
	}
	if cfg.tracer == nil {
		cfg.tracer = otel.GetTracerProvider()
	}
	if cfg.drain <= 0 {
		cfg.drain = defaultDrain
	}
	r := &run{limit: b, done: make(chan struct{})}
	r.collisions = streams.NewCollisions(c.prefix)
	cfg.collisions = r.collisions
	for len(r.runners) < len(a.subscriptions) {
		x, err := a.unlockedRunner(c, a.subscriptions[len(r.runners)], &cfg)
		if err != nil {
			return nil, err
		}
		r.runners = append(r.runners, x)
	}
	if err := a.mountable(); err != nil { // once more: the lock was free meanwhile
		return nil, err
	}
	r.ctx, r.cancel = context.WithCancel(ctx)
	a.running, a.failed = r, nil
	return r, nil
}

// unlockedRunner is newRunner, while a.mu, which the caller has, is free: the application's middleware is called, and
// may ask the App.
func (a *App) unlockedRunner(c *connection, s *subscription, cfg *runConfig) (*runner, error) {
	a.mu.Unlock()
	defer a.mu.Lock()
	return newRunner(a, c, s, cfg)
}

// wait runs the members until all have ended.
func (r *run) wait() error {
	errs := make([]error, len(r.runners))
	var members, watch sync.WaitGroup
	for i, x := range r.runners {
		members.Go(func() {
			if errs[i] = x.consumer.Run(r.ctx); errs[i] != nil {
				r.cancel() // one that fails ends all
			}
		})
	}
	if r.limit != nil {
		watch.Go(func() {
			select {
			case <-r.limit.Wait():
				r.cancel()
			case <-r.ctx.Done():
			}
		})
	}
	watch.Go(func() {
		for kafka.Sleep(r.ctx, time.Second) == nil {
			r.logOmitted()
			for _, x := range r.runners {
				x.unmatched.Log(r.ctx, x.conn.client, x.log)
			}
		}
	})
	members.Wait()
	r.cancel()
	watch.Wait()
	r.logOmitted()
	return errors.Join(errs...)
}

// logOmitted logs how many lines its subscriptions have left out since the last call.
func (r *run) logOmitted() {
	for _, x := range r.runners {
		x.lines.logOmitted()
	}
}

// cancelHandlers ends the time that running handlers have.
func (r *run) cancelHandlers() {
	for _, x := range r.runners {
		x.consumer.CancelHandlers()
	}
}

// stopRun ends the run that is under way, if any, and waits for it. Shortly before ctx ends handlers that still run are
// cancelled.
func (a *App) stopRun(ctx context.Context) error {
	a.mu.Lock()
	r := a.running
	a.mu.Unlock()
	if r == nil {
		return nil
	}
	r.cancel()
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		timer := time.AfterFunc(left-min(left/4, mostHaste), r.cancelHandlers)
		defer timer.Stop()
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		r.cancelHandlers()
		return fmt.Errorf("subscriptions still run: %w", context.Cause(ctx))
	}
}

const (
	defaultDrain = 30 * time.Second
	// mostHaste is what Close keeps of its time for what comes after the handlers: the commit, the functions of
	// OnFinalize, the producer.
	mostHaste = 5 * time.Second
)
