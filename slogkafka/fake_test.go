package slogkafka

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// fakeBus is a bus whose answers the test decides. It is up and takes everything unless told otherwise.
type fakeBus struct {
	mu      sync.Mutex
	answer  func(o bus.Outgoing) error // of each record; nil takes it
	ready   func() error               // of Initialize
	hang    bool                       // batches are not answered until their context ends, nor after that if deaf
	deaf    chan struct{}
	batches []int // their lengths
	tries   []time.Time
	taken   []bus.Outgoing
}

func (f *fakeBus) Initialize(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ready != nil {
		f.tries = append(f.tries, time.Now())
		return f.ready()
	}
	return nil
}

func (f *fakeBus) PublishBatch(ctx context.Context, _ string, batch []bus.Outgoing) error {
	f.mu.Lock()
	hang, deaf := f.hang, f.deaf
	f.batches = append(f.batches, len(batch))
	f.tries = append(f.tries, time.Now())
	f.mu.Unlock()
	if deaf != nil {
		<-deaf
	}
	if hang {
		<-ctx.Done()
		for i := range batch {
			batch[i].Err = ctx.Err()
		}
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for i := range batch {
		if f.answer != nil {
			batch[i].Err = f.answer(batch[i])
		}
		if batch[i].Err == nil {
			o := batch[i]
			o.Value = bytes.Clone(o.Value)
			f.taken = append(f.taken, o)
		} else {
			errs = append(errs, batch[i].Err)
		}
	}
	return errors.Join(errs...)
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

// fake returns a handler on a fake bus, quiet unless there is a fallback.
func fake(f *fakeBus, opts ...Option) *Handler {
	opts = append([]Option{Service("s"), Hostname("h"), Namespace("n"), Cluster("c"), Fallback(slog.DiscardHandler)}, opts...)
	return newHandler(f, "logs", collect(opts))
}

// balanced checks the law of the counts.
func balanced(t testing.TB, s Stats) {
	t.Helper()
	var by uint64
	for _, n := range s.DroppedBy {
		by += n
	}
	if s.Accepted != s.Delivered+s.Dropped+s.Spooled+s.Queued || by != s.Dropped {
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
