package bus

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"go.opentelemetry.io/otel/trace"

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
	handle   Handler      // of one call: decode, middleware, the application's handler
	tracer   trace.Tracer // nil = no spans
	over     error        // says that a record's Timeout is over
	consumer *consume.Consumer[Record]

	rejected, retried, postponed, deadLettered, skipped atomic.Uint64 // see SubscriptionStats
	lines                                               limiters
	lastError                                           atomic.Pointer[recordedError]

	blocked blocked
	names   *ownNames
	checks  sync.Mutex
	checked map[string]error // topics that match: why one is not read, or nil
}

// recordedError is an error after which the work goes on.
type recordedError struct {
	err error
	at  time.Time
}

func (x *runner) recordError(err error) { x.lastError.Store(&recordedError{err, time.Now()}) }

func newRunner(a *App, c *core, s *subscription, cfg *runConfig) (*runner, error) {
	x := &runner{subscription: s, app: a, core: c, budget: cfg.budget, observe: cfg.observe, names: cfg.names, checked: make(map[string]error)}
	log := c.log.With("subscription", s.patterns[0])
	x.log = log.With("group", s.group)
	x.lines = newLimiters(x.log)
	var err error
	if x.streams, err = newStreamSet(c.prefix, s); err != nil {
		return nil, err
	}
	if cfg.manual && !s.commits {
		x.log.Warn("bus: DisableAutoCommit: nothing of this subscription will ever be committed; its handler has to take a *bus.Message, and call Commit")
	}
	x.handle, x.tracer = x.chain(a, cfg.middleware), newTracer(cfg.tracer)
	if s.timeout != nil {
		x.over = fmt.Errorf("the record was not handled within %s: %w", *s.timeout, context.DeadlineExceeded)
	}
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
		Dropped:      x.dropped,
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
func sizeOf(r *Record) int {
	size := len(r.Key) + len(r.Value) + recordOverhead
	for i := range r.Headers {
		size += len(r.Headers[i].Name) + len(r.Headers[i].Value) + headerOverhead
	}
	return size
}

const (
	recordOverhead = 200                          // the Record itself, and what a batch has of it
	headerOverhead = int(unsafe.Sizeof(Header{})) // in a record's slice
)
