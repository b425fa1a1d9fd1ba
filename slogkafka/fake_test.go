package slogkafka

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/shipping"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// fakeBus is a bus whose answers the test decides. It is up and takes everything unless told otherwise.
type fakeBus struct {
	mu       sync.Mutex
	answer   func(o bus.Outgoing) error // of each record; nil takes it
	ready    func() error               // of Connect
	hang     bool                       // records are not answered until their context ends
	deaf     chan struct{}              // Ship does not return before it is closed, whatever its context
	bare     bool                       // no servers are configured
	waiting  error                      // of Waiting
	attached int
	closed   bool
	batches  []int // their lengths
	tries    []time.Time
	taken    []bus.Outgoing
	notices  []bus.Outgoing // the handler's own
	specs    []shipping.Stream
}

func (f *fakeBus) CheckStream(string) error { return nil }

func (f *fakeBus) Configured() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.bare
}

func (f *fakeBus) Connected() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ready == nil
}

func (f *fakeBus) Connect(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ready != nil {
		f.tries = append(f.tries, time.Now())
		return f.ready()
	}
	return nil
}

func (f *fakeBus) Initialize(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ready != nil {
		return f.ready()
	}
	return nil
}

func (f *fakeBus) Expire() {}

func (f *fakeBus) Waiting() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting
}

func (f *fakeBus) Attach(string, shipping.Handler) (func(), error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, bus.ErrClosed
	}
	f.attached++
	return func() { f.set(func() { f.attached-- }) }, nil
}

func (f *fakeBus) Ship(ctx context.Context, spec shipping.Stream, records []shipping.Record) {
	f.mu.Lock()
	hang, deaf, answer := f.hang, f.deaf, f.answer
	f.batches = append(f.batches, len(records))
	f.tries = append(f.tries, time.Now())
	f.specs = append(f.specs, spec)
	f.mu.Unlock()
	if deaf != nil {
		<-deaf
	}
	for i := range records {
		r := records[i]
		if hang {
			context.AfterFunc(ctx, func() { r.Outcome.Resolved(ctx.Err()) })
			continue
		}
		o := bus.Outgoing{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value), Time: r.Time}
		for _, h := range r.Headers {
			o.Headers = append(o.Headers, bus.Header{Name: h.Name, Value: bytes.Clone(h.Value)})
		}
		var err error
		if answer != nil {
			err = answer(o)
		}
		if _, own := r.Outcome.(*summary); err == nil && own {
			f.set(func() { f.notices = append(f.notices, o) })
		} else if err == nil {
			f.set(func() { f.taken = append(f.taken, o) })
		}
		r.Outcome.Resolved(err)
	}
}

func (f *fakeBus) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeBus) records(t testing.TB) []logrecord.Record {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]logrecord.Record, len(f.taken))
	for i, o := range f.taken {
		var err error
		if all[i], err = logrecord.Decode(o.Value); err != nil {
			t.Fatalf("%v: %s", err, o.Value)
		}
	}
	return all
}

// recorder is a fallback that keeps what it gets.
type recorder struct {
	mu  *sync.Mutex
	got *[]slog.Record
}

func newRecorder() recorder { return recorder{new(sync.Mutex), new([]slog.Record)} }

func (r recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r recorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r recorder) WithGroup(string) slog.Handler            { return r }
func (r recorder) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	*r.got = append(*r.got, record)
	return nil
}

// count returns how many records have this message.
func (r recorder) count(message string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, record := range *r.got {
		if record.Message == message {
			n++
		}
	}
	return n
}

// errors returns the attribute error of each record that has one.
func (r recorder) errors() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, record := range *r.got {
		record.Attrs(func(a slog.Attr) bool {
			if a.Key == "error" {
				all = append(all, a.Value.String())
			}
			return true
		})
	}
	return all
}

// fake returns a handler on a fake bus, quiet unless there is a fallback.
func fake(f *fakeBus, opts ...Option) *Handler {
	opts = append([]Option{Service("s"), Hostname("h"), Namespace("n"), Cluster("c"), Fallback(slog.DiscardHandler)},
		opts...)
	return newHandler(f, "logs", collect(opts))
}

// balanced checks the law of the counts.
func balanced(t testing.TB, s Stats) {
	t.Helper()
	var by uint64
	for _, n := range s.DroppedBy {
		by += n
	}
	if s.Accepted+s.Recovered != s.Delivered+s.Dropped+s.Spooled+s.Queued || by != s.Dropped {
		t.Errorf("the counts do not add up: %+v", s)
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// tried returns how often the bus was asked.
func (f *fakeBus) tried() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.tries)
}
