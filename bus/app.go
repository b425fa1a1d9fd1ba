package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/internal/aside"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafka/produce"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/ownlog"
)

// App is one application on the bus: its schemas, what it publishes and what it reads. All its work shares one set of
// connections. Make it with [New]. All its methods may be called concurrently.
//
// An App needs no start: the first use initializes it. [App.Close] ends it; it cannot be used again.
//
// A method of a nil *App returns an error, or does nothing if it returns none.
type App struct {
	schemas registry

	// connection is what an initialized App works with; nil before Initialize and again when it failed.
	conn atomic.Pointer[connection]
	// opening has room for one: the call that initializes. A channel and not a mutex, so that who waits can stop waiting.
	opening chan struct{}
	// connecting has room for one: the call that connects. It is a part of opening that log handlers do alone.
	connecting chan struct{}
	connects   atomic.Pointer[kafka.Client] // while no broker has answered it yet
	// warnedPrefix is the topic prefix that was warned of; connecting guards it.
	warnedPrefix string
	logs         logHandlers
	ready        atomic.Bool
	// publishTimeout is Config.PublishTimeout in nanoseconds, for publishes that come before the App is initialized,
	// too; 0: none.
	publishTimeout atomic.Int64

	mu        sync.Mutex // guards what follows
	cfg       Config
	givenTLS  *tls.Config // what cfg.TLS is a clone of
	hooks     []hook      // of OnInitialize and OnFinalize
	succeeded int         // of hooks: those before it need not be called by Initialize any more
	closing   bool
	finalized bool               // Close has called the functions of OnFinalize
	misuse    error              // the first call in vain of a method that returns no error
	reconnect context.CancelFunc // ends the attempt to connect that is under way, for it to begin anew

	subscriptions []*subscription
	middleware    []Middleware
	observers     []func(context.Context, Consumed)
	running       *run  // nil while nothing runs
	preparing     int   // calls of Run that prepare theirs
	late          error // what was added while it runs takes effect with the next one
	last          *run  // the one that ended last
	failed        error // why it did; nil when it ended as it should

	life     context.Context // ends when Close begins its last step: from then on nothing is taken
	end      context.CancelCauseFunc
	done     chan struct{} // closed when Close is over
	closeErr error         // valid after done

	log        ownlog.Switch // to Config.Logger
	workspaces sync.Pool     // of *workspace

	published atomic.Pointer[[]func(Published)] // of OnPublished; nil = none
	panicked  atomic.Int64                      // when a panic of one of them was last logged, in nanoseconds; 0: never
}

// connection holds what talks to Kafka.
type connection struct {
	client   *kafka.Client
	producer *produce.Producer
	prefix   string
	log      *slog.Logger
	tracer   trace.Tracer  // of publishes; nil = no spans
	outcomes *aside.Runner // tells outcomes of publishes that nobody waits for
	lines    *aside.Runner // calls the handler of log for client and producer: one that blocks stops no delivery
	own      sync.Map      // topics that failed records are written to: what each is like, as a kafka.TopicSpec
}

// New returns an App. It does no I/O and starts no goroutine. [App.Initialize] returns what is wrong with c.
func New(c Config) *App {
	life, end := context.WithCancelCause(context.Background())
	a := &App{
		schemas: newRegistry(),
		opening: make(chan struct{}, 1), connecting: make(chan struct{}, 1),
		life: life, end: end, done: make(chan struct{}),
	}
	a.configure(c)
	return a
}

// configure replaces the fields that are set in c. It is called with mu held, or before anybody else has the App.
func (a *App) configure(c Config) {
	a.cfg = a.cfg.replace(c)
	if c.TLS != nil {
		a.givenTLS = c.TLS
	}
	a.log.Set(a.cfg.Logger)
	timeout := a.cfg.PublishTimeout
	if timeout == 0 {
		timeout = defaultPublishTimeout
	}
	a.publishTimeout.Store(int64(max(0, timeout)))
}

// Logger returns [Config.Logger]; nil when the application has set none.
func (a *App) Logger() *slog.Logger {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cfg.Logger
}

// String returns the servers and the prefix, and nothing that is secret.
func (a *App) String() string {
	if a == nil {
		return "bus.App(nil)"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Sprintf("bus.App(servers %s, prefix %q)", strings.Join(a.cfg.Servers, ","), a.cfg.TopicPrefix)
}

// Format prints what String returns, whatever the verb: an App holds secrets, and %+v would print them.
func (a *App) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(a.String())) }

// Initialize connects the App. It checks the configuration, waits for a broker until ctx ends, checks that the
// brokers are new enough, calls the functions of [App.OnInitialize], and creates the streams that schemas declare. It
// returns [ErrNotConfigured] without servers and [ErrAuth] when the brokers refuse the credentials.
//
// It can be called again. After an error it begins anew; after success it calls only the functions that were added to
// OnInitialize since. It also returns what came too late to take effect, such as an [App.Configure] after the App had
// connected.
func (a *App) Initialize(ctx context.Context) error {
	if a == nil {
		return fmt.Errorf("bus: initialize: %w", errNilApp)
	}
	a.mu.Lock()
	misuse, unfinished := a.misuse, a.unfinishedLocked()
	a.mu.Unlock()
	switch {
	case misuse != nil && !a.isClosed():
		return fmt.Errorf("bus: initialize: %w", misuse)
	case a.ready.Load() && unfinished == nil && !a.isClosed():
		return nil
	}
	select {
	case a.opening <- struct{}{}:
		defer func() { <-a.opening }()
	case <-a.life.Done():
		return fmt.Errorf("bus: initialize: %w", ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("bus: initialize: %w", context.Cause(ctx))
	}
	if a.isClosed() {
		return fmt.Errorf("bus: initialize: %w", ErrClosed)
	}
	ctx, cancel := a.whileOpen(ctx)
	defer cancel()
	c, err := a.connect(ctx) // before the functions, because they may publish
	if err != nil {
		return fmt.Errorf("bus: initialize: %w", err)
	}
	if err := a.runInitializers(ctx, c); err != nil && (a.ready.Load() || a.logs.attached()) {
		// what uses the App already goes on, as what is logged about the error does
		return fmt.Errorf("bus: initialize: %w", err)
	} else if err != nil {
		a.conn.Store(nil)
		// What the functions published is not awaited: Initialize failed, and said so.
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		return fmt.Errorf("bus: initialize: %w", errors.Join(err, c.close(ended)))
	}
	a.ready.Store(true)
	return nil
}

// connect returns the App's connection, and makes it if need be. It waits until a broker answers.
func (a *App) connect(ctx context.Context) (*connection, error) {
	select {
	case a.connecting <- struct{}{}:
		defer func() { <-a.connecting }()
	case <-a.life.Done():
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if a.isClosed() {
		return nil, ErrClosed
	}
	if c := a.conn.Load(); c != nil {
		return c, nil
	}
	ctx, cancel := a.whileOpen(ctx)
	defer cancel()
	for {
		attempt, end := context.WithCancel(ctx)
		a.mu.Lock()
		cfg := a.cfg
		a.reconnect = end
		a.mu.Unlock()
		c, err := a.open(attempt, &cfg)
		a.mu.Lock()
		a.reconnect = nil
		configured := attempt.Err() != nil && ctx.Err() == nil
		if err == nil && !configured {
			a.conn.Store(c)
		}
		a.mu.Unlock()
		end()
		if !configured {
			return c, err
		}
		if err == nil {
			_ = c.close(attempt) // nothing was published with it yet
		}
	}
}

func isLetterOrDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// open makes the App's connection and waits until a broker answers.
func (a *App) open(ctx context.Context, cfg *Config) (*connection, error) {
	if len(cfg.Servers) == 0 {
		return nil, fmt.Errorf("%w: set Config.Servers, or start the program with --kafka-servers", ErrNotConfigured)
	}
	log := a.log.Logger()
	settings, warnings, err := kafka.ParseSecured(cfg.Settings, cfg.security())
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		log.Warn("bus: settings: " + w)
	}
	if p := cfg.TopicPrefix; p != a.warnedPrefix && p != "" && isLetterOrDigit(p[len(p)-1]) {
		a.warnedPrefix = p
		log.Warn("bus: the topic prefix ends in a letter or a digit, so patterns may also match topics of a longer prefix: "+
			"end it in a dot",
			"prefix", p)
	}
	c := &connection{prefix: cfg.TopicPrefix, log: log, lines: aside.New(maxLines), outcomes: aside.New(maxOutcomes)}
	provider := cfg.TracerProvider
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	c.tracer = newTracer(provider)
	toLines := ownlog.Aside(log, c.lines)
	client, err := kafka.NewClient(cfg.Servers, settings, toLines)
	if err != nil {
		return nil, err
	}
	a.connects.Store(client)
	defer a.connects.Store(nil)
	if err := client.CheckVersions(ctx); err != nil {
		client.Close()
		c.endLines(ctx)
		return nil, err
	}
	c.client = client
	c.producer = produce.New(client, produce.Options{
		Logger:     toLines,
		MaxRecords: cfg.MaxBufferedRecords,
		MaxBytes:   cfg.MaxBufferedBytes,
		Compression: func(topic string) wire.Compression {
			return a.compression(c.stream(topic), settings)
		},
		EnsureTopic: func(ctx context.Context, topic string) error {
			own, _ := c.own.Load(topic)
			spec, _ := own.(kafka.TopicSpec)
			return a.ensureTopic(ctx, c, cfg, topic, spec)
		},
	})
	return c, nil
}

// runInitializers calls the functions of OnInitialize that have not succeeded yet, in order, and then sees to it that
// the topics of the streams exist that schemas declare.
func (a *App) runInitializers(ctx context.Context, c *connection) error {
	a.mu.Lock()
	cfg := a.cfg
	a.mu.Unlock()
	for f := a.nextInitialize(); f != nil; f = a.nextInitialize() {
		if err := f(context.WithValue(ctx, beginning{}, a)); err != nil {
			return err
		}
		a.initializeSucceeded()
	}
	for _, stream := range a.schemas.streams() {
		if err := a.ensureTopic(ctx, c, &cfg, c.prefix+stream, kafka.TopicSpec{}); err != nil {
			return fmt.Errorf("stream %q: %w", stream, err)
		}
	}
	return nil
}

// ensureTopic returns nil when a topic is there. It is created unless Config.CreateTopics is false.
func (a *App) ensureTopic(ctx context.Context, c *connection, cfg *Config, topic string, spec kafka.TopicSpec) error {
	spec = a.topicSpec(c.stream(topic), spec)
	spec.ReplicationFactor, spec.Existing = cfg.ReplicationFactor, !cfg.createTopics()
	err := c.client.EnsureTopic(ctx, topic, spec)
	if errors.Is(err, kafka.ErrNoTopic) {
		return fmt.Errorf("%w: Config.CreateTopics is false: create the topic yourself"+
			" (`kafkaesk topics plan` prints the topics that an app needs), or allow the App to", err)
	}
	return err
}

// beginning marks the context that the functions of OnInitialize get, so that what they publish does not wait for the
// very Initialize that calls them.
type beginning struct{}

// use returns the App's connection, initializing it if need be.
func (a *App) use(ctx context.Context) (*connection, error) {
	switch {
	case a == nil:
		return nil, errNilApp
	case a.isClosed():
		return nil, ErrClosed
	}
	if c := a.opened(ctx); c != nil {
		return c, nil
	}
	if err := a.Initialize(ctx); err != nil {
		return nil, err
	}
	if c := a.conn.Load(); c != nil {
		return c, nil
	}
	return nil, ErrClosed
}

// opened returns the App's connection if a caller with ctx may use it already; else nil.
func (a *App) opened(ctx context.Context) *connection {
	if c := a.conn.Load(); c != nil && (a.ready.Load() || ctx.Value(beginning{}) == a) {
		return c
	}
	return nil
}

// Flush returns when everything that was published before it has its outcome, or when ctx ends. It does not say what
// the outcomes are.
func (a *App) Flush(ctx context.Context) error {
	if a == nil {
		return fmt.Errorf("bus: flush: %w", errNilApp)
	}
	c := a.conn.Load()
	if c == nil {
		return nil
	}
	if err := c.producer.Flush(ctx); err != nil {
		return fmt.Errorf("bus: flush: %w", err)
	}
	return nil
}

// Close ends the App, in this order. A running [App.Run] drains, commits and leaves its groups. The functions of
// [App.OnFinalize] are called, for what was initialized. Published records are waited for until each has its outcome.
// The connections are closed.
//
// When ctx ends first, Close stops waiting: handlers are cancelled, records that are left fail with [ErrClosed], and
// the error says how many. Close returns by the deadline of ctx and leaves no goroutine and no connection behind,
// except for a handler that does not return when its context ends. Further calls wait for the first one and return
// the same.
func (a *App) Close(ctx context.Context) error {
	if a == nil {
		return fmt.Errorf("bus: close: %w", errNilApp)
	}
	a.mu.Lock()
	first := !a.closing
	a.closing = true
	a.mu.Unlock()
	if !first {
		select {
		case <-a.done:
			return a.closeErr
		case <-ctx.Done():
			return fmt.Errorf("bus: close: %w", context.Cause(ctx))
		}
	}
	defer close(a.done)
	errs := []error{a.stopRun(ctx)} // first: what runs may need what the functions end
	for f := a.nextFinalize(); f != nil; f = a.nextFinalize() {
		errs = append(errs, f(ctx))
	}
	errs = append(errs, a.logs.end(ctx))
	a.end(ErrClosed) // wakes an Initialize under way, which is waited for
	for _, begun := range []chan struct{}{a.opening, a.connecting} {
		select {
		case begun <- struct{}{}:
			defer func() { <-begun }()
		case <-ctx.Done():
		}
	}
	if c := a.conn.Load(); c != nil {
		errs = append(errs, c.close(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		a.closeErr = fmt.Errorf("bus: close: %w", err)
	}
	return a.closeErr
}

func (c *connection) close(ctx context.Context) error {
	err := c.producer.Close(ctx)
	c.outcomes.Close(ctx)
	c.client.Close()
	c.endLines(ctx)
	return err
}

const (
	// maxLines is how many log records of client and producer may wait for a handler that is slow.
	maxLines = 256
	// linesTime is how long they are waited for, and linesGrace how long after the end of a deadline.
	linesTime, lateLinesTime = time.Second, 10 * time.Millisecond
)

// endLines waits until the log records of client and producer are written, or the handler is too slow for that.
func (c *connection) endLines(ctx context.Context) {
	wait := linesTime
	if ctx.Err() != nil {
		ctx, wait = context.WithoutCancel(ctx), lateLinesTime
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	c.lines.Close(ctx)
}

func (a *App) isClosed() bool { return a.life.Err() != nil }

// whileOpen returns ctx bounded by the life of the App. The function releases it.
func (a *App) whileOpen(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(a.life, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}
