package slogkafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/shipping"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// What a record takes beside its bytes is counted, and no memory is mostly unused.
func TestWhatARecordTakes(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(queued{}); size > itemOverhead {
		t.Errorf("a record takes %d bytes, counted are %d", size, itemOverhead)
	}
	last := -1
	for n := range 70_000 {
		class, size := classOf(n)
		if size < n || n > smallestMemory && size*4 > n*5+4 || class < last {
			t.Fatalf("%d bytes: class %d of %d bytes", n, class, size)
		}
		if again, same := classOf(size); class < classes && (again != class || same != size) {
			t.Fatalf("class %d of %d bytes is class %d of %d", class, size, again, same)
		}
		last = class
	}
}

// A record that is queued and delivered costs its caller no allocation.
func TestAQueuedRecordAllocatesNothing(t *testing.T) {
	h := fake(&fakeBus{hang: true}, QueueSize(1_000_000, 1<<30))
	e := entry{text: []byte(strings.Repeat("x", 300)), key: []byte("k"), stream: "logs", cell: &cell{}}
	s := h.queue.shard(&e, e.cell)
	if n := testing.AllocsPerRun(1000, func() {
		h.queue.push(&e, nil, e.charge())
		s.mu.Lock()
		s.admit()
		r := s.first
		s.finish(r)
		s.mu.Unlock()
		h.queue.recycle([]*queued{r}, 0)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	_ = h.Close(t.Context())
}

// Errors may block while all else is dropped: the policy is that of the highest level a record reaches.
func TestPolicyOfALevel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeBus{hang: true}
		h := fake(f, QueueSize(2, 0), OverflowFrom(slog.LevelError, Block(time.Second)), Overflow(DropNewest),
			OverflowFrom(slog.LevelWarn, DropOldest), Linger(time.Hour), Level(slog.LevelDebug))
		handle := func(l slog.Level) (time.Duration, error) {
			start := time.Now()
			err := h.Handle(t.Context(), slog.NewRecord(start, l, "m", 0))
			return time.Since(start), err
		}
		_, _ = handle(slog.LevelInfo)
		if _, err := handle(slog.LevelInfo); err != nil {
			t.Error(err)
		}
		synctest.Wait() // half full: both are on their way
		f.set(func() { f.hang = false })
		for level, want := range map[slog.Level]time.Duration{slog.LevelDebug: 0, slog.LevelInfo: 0, slog.LevelWarn: 0,
			slog.LevelError: time.Second} {
			if d, err := handle(level); d != want || !errors.Is(err, ErrFull) {
				t.Errorf("%v: %v after %v, want %v", level, err, d, want)
			}
		}
		_ = h.Close(within(t, time.Second))
		balanced(t, h.Stats())
	})
}

// FlushOn waits for the acknowledgement, or until its time or the call's is over, and then says why.
func TestFlushOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeBus{}
		h := fake(f, Linger(time.Hour), FlushOn(slog.LevelError, 2*time.Second))
		handle := func(ctx context.Context, l slog.Level) (time.Duration, error) {
			start := time.Now()
			err := h.Handle(ctx, slog.NewRecord(start, l, "m", 0))
			return time.Since(start), err
		}
		if d, err := handle(t.Context(), slog.LevelInfo); d != 0 || err != nil || h.Stats().Delivered != 0 {
			t.Errorf("a record below the level: %v after %v", err, d)
		}
		if d, err := handle(t.Context(), slog.LevelError); d != 0 || err != nil || h.Stats().Delivered != 2 {
			t.Errorf("a record of the level: %v after %v; %+v", err, d, h.Stats())
		}
		f.set(func() { f.hang, f.waiting = true, errors.New("broker b:9092 is away") })
		d, err := handle(t.Context(), slog.LevelError)
		if d != 2*time.Second || !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "b:9092") {
			t.Errorf("no acknowledgement: %v after %v", err, d)
		}
		if d, err := handle(within(t, time.Second), slog.LevelError); d != time.Second ||
			!errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the call's context ended: %v after %v", err, d)
		}
		if s := h.Stats(); s.Queued != 2 {
			t.Errorf("the counts are %+v", s)
		}
		_ = h.Close(within(t, time.Second))
		balanced(t, h.Stats())
	})
}

// A time that the broker refuses is replaced with the current one, and with earlier ones where our clock is ahead.
func TestATimeThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{0, 90 * time.Minute, 48 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeBus{}
			f.answer = func(o bus.Outgoing) error {
				if o.Time.After(time.Now().Add(time.Hour - ahead)) { // the broker's clock
					return shipping.ErrTimeRefused
				}
				return nil
			}
			h := fake(f)
			_ = h.Handle(t.Context(), slog.NewRecord(time.Now().Add(2*time.Hour), slog.LevelInfo, "m", 0))
			if err := h.Flush(within(t, time.Minute)); err != nil {
				t.Error(err)
			}
			if s := h.Stats(); s.Delivered != 1 || s.Dropped != 0 {
				t.Errorf("clock ahead by %v: %+v", ahead, s)
			}
			if r := f.records(t); len(r) != 1 || time.Until(r[0].Time) < time.Hour {
				t.Errorf("the record's own field timestamp changed: %+v", r)
			}
			_ = h.Close(within(t, time.Second))
		})
	}
}

// What is dropped is told at once the first time, then every 30 seconds, and once more at Close; and in the stream.
func TestDropsAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, told := &fakeBus{hang: true}, newRecorder()
		h := fake(f, QueueSize(10, 0), Fallback(told))
		flood := func(n int) {
			for range n {
				_ = h.Handle(t.Context(), record("m"))
			}
			synctest.Wait()
		}
		flood(11)
		if n := told.count(dropMessage); n != 1 {
			t.Errorf("the first drop was told %d times", n)
		}
		flood(100)
		if n := told.count(dropMessage); n != 1 {
			t.Errorf("101 drops were told %d times", n)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if n := told.count(dropMessage); n != 2 {
			t.Errorf("31 seconds later they were told %d times", n)
		}
		flood(5)
		_ = h.Close(within(t, time.Second))
		if n := told.count(dropMessage); n != 3 {
			t.Errorf("at Close they were told %d times", n)
		}
	})
}

// When records flow again the stream itself says how many are missing, and its records add up.
func TestTheStreamTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeBus{deaf: make(chan struct{})}
		h := fake(f, QueueSize(10, 0))
		flood := func(n int) {
			for range n {
				_ = h.Handle(t.Context(), record("m"))
			}
		}
		flood(20)
		synctest.Wait()
		flood(20)
		close(f.deaf)
		if err := h.Flush(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		flood(30) // 20 more, told at Close
		if err := h.Close(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
		s := h.Stats()
		balanced(t, s)
		total := uint64(0)
		for _, o := range f.notices {
			r, err := logrecord.Decode(o.Value)
			if err != nil || r.Message != dropMessage || r.Level != slog.LevelWarn {
				t.Errorf("%v: %s", err, o.Value)
			}
			total += fieldNumber(r.Fields[0])
		}
		if total != s.Dropped || len(f.notices) != 2 || s.Delivered != uint64(len(f.taken)) {
			t.Errorf("%d records tell of %d; the counts are %+v", len(f.notices), total, s)
		}
	})
}

// What a function of OnInitialize logs waits for nothing, and a handler does not call it more than once.
func TestNoHookWaitsForTheWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &hookBus{}
		h := fake(&f.fakeBus, QueueSize(1, 0), Overflow(Block(time.Hour)))
		h.app, h.worker.app = f, f
		f.hook = func(ctx context.Context) error {
			f.calls++
			for i := range 5 {
				slog.New(h).InfoContext(ctx, "connected", "i", i)
			}
			if err := h.Flush(ctx); err != nil {
				t.Error(err)
			}
			return errors.New("the database is away")
		}
		start := time.Now()
		slog.New(h).Info("starting")
		time.Sleep(time.Minute)
		if s := h.Stats(); s.Delivered != 6 || time.Since(start) != time.Minute || f.calls != 1 {
			t.Errorf("%d calls; the counts are %+v", f.calls, s)
		}
		if err := h.Close(within(t, time.Second)); err != nil {
			t.Error(err)
		}
	})
}

// hookBus calls a function when it is initialized.
type hookBus struct {
	fakeBus
	hook  func(context.Context) error
	calls int
}

func (f *hookBus) Initialize(ctx context.Context) error { return f.hook(ctx) }

// A handler of a closed app starts nothing, and one that is closed leaves its app.
func TestClosedHandlersAndApps(t *testing.T) {
	t.Parallel()
	f := &fakeBus{}
	h := fake(f)
	slog.New(h).Info("m")
	if err := h.Close(within(t, 10*time.Second)); err != nil || f.attached != 0 {
		t.Errorf("%v; %d handlers are attached", err, f.attached)
	}
	f.closed = true
	h = fake(f)
	if err := h.Err(); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("the handler of a closed app: %v", err)
	}
	if err := h.Handle(t.Context(), record("m")); !errors.Is(err, bus.ErrClosed) {
		t.Error(err)
	}
	if s := h.Stats(); s.DroppedBy[DroppedClosed] != 1 || f.tried() != 1 {
		t.Errorf("the counts are %+v after %d hand-overs", s, f.tried())
	}
}

// Retention and Partitions come with each hand-over.
func TestRetentionAndPartitions(t *testing.T) {
	t.Parallel()
	f := &fakeBus{}
	h := fake(f, Retention(time.Hour), Partitions(3), Retention(0), Partitions(0)) // the last two are refused
	slog.New(h).Info("m")
	if err := h.Close(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	if want := (shipping.Stream{Retention: time.Hour, Partitions: 3}); len(f.specs) != 1 || f.specs[0] != want ||
		h.Err() == nil {
		t.Errorf("the stream is %+v, the error %v", f.specs, h.Err())
	}
}

// Records of many goroutines are accepted, delivered and counted without a loss at the default bounds.
func TestABurstLosesNothing(t *testing.T) {
	t.Parallel()
	const goroutines, each = 8, 2500
	f := &fakeBus{}
	h := fake(f)
	text := strings.Repeat("x", 300)
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			logger := slog.New(h).With("i", i)
			for j := range each {
				logger.Info("m", "j", j, "text", text)
			}
		})
	}
	wg.Wait()
	if err := h.Close(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
	if s := h.Stats(); s.Delivered != goroutines*each {
		t.Errorf("the counts are %+v", s)
	}
}

// fieldNumber returns a field's number.
func fieldNumber(f logrecord.Field) (n uint64) {
	_, _ = fmt.Sscan(string(f.Value), &n)
	return n
}

// The first line about records that Kafka has refused says why it did.
func TestTheLineAboutDroppedRecordsHasTheCause(t *testing.T) {
	t.Parallel()
	to := newRecorder()
	h := fake(&fakeBus{answer: func(bus.Outgoing) error { return errors.New("no such name") }}, Fallback(to))
	slog.New(h).Info("m")
	if err := h.Flush(within(t, 10e9)); err != nil {
		t.Error(err)
	}
	testkit.Until(t, "nothing is said about the record", func() bool { return to.count(dropMessage) > 0 })
	if errs := to.errors(); len(errs) != 1 || errs[0] != "no such name" {
		t.Errorf("the fallback got the errors %q", errs)
	}
	if err := h.Close(within(t, 10e9)); err != nil {
		t.Error(err)
	}
}
