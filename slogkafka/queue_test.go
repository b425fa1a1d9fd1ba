package slogkafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/ownlog"
)

func TestDelivery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeBus{}
		h := fake(f, Linger(5*time.Millisecond))
		logger := slog.New(h)
		for i := range 10 {
			logger.Info(fmt.Sprint(i))
		}
		if s := h.Stats(); s.Queued != 10 || s.Accepted != 10 {
			t.Errorf("before the linger is over: %+v", s)
		}
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
		if s := h.Stats(); s.Delivered != 10 || s.Queued != 0 || s.QueuedBytes != 0 || len(f.batches) != 1 {
			t.Errorf("after the linger: %+v in %v", s, f.batches)
		}
		logger.Info("10")
		if err := h.Flush(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
		logger.Info("11")
		if err := h.Close(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
		for i, r := range f.records(t) {
			if r.Message != fmt.Sprint(i) || r.Schema != "LogRecord:1" || !f.taken[i].Time.Equal(r.Time) {
				t.Errorf("record %d is %+v at %v", i, r, f.taken[i].Time)
			}
		}
		if len(f.taken) != 12 {
			t.Errorf("%d records", len(f.taken))
		}
	})
}

func TestFlushDoesNotLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := fake(&fakeBus{}, Linger(time.Hour))
		slog.New(h).Info("m")
		start := time.Now()
		if err := h.Flush(context.Background()); err != nil || time.Since(start) > 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := h.Flush(context.Background()); err != nil { // nothing is left
			t.Error(err)
		}
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestDropNewest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, lost := &fakeBus{hang: true}, newRecorder()
		h := fake(f, QueueSize(5, 0), Fallback(lost))
		logger := slog.New(h)
		var errs []error
		for i := range 8 {
			errs = append(errs, h.Handle(context.Background(), record(fmt.Sprint(i))))
		}
		synctest.Wait()
		if errs[4] != nil || errs[5] == nil || !errors.Is(errs[7], ErrFull) {
			t.Errorf("the errors are %v", errs)
		}
		s := h.Stats()
		if s.Queued != 5 || s.DroppedBy[DroppedFull] != 3 || lost.count("7") != 1 || lost.count("0") != 0 {
			t.Errorf("the counts are %+v, the fallback has %v", s, *lost.got)
		}
		balanced(t, s)
		logger.Info("large", "x", strings.Repeat("x", 100))
		_ = h.Close(within(t, time.Second))
		balanced(t, h.Stats())
	})
}

func TestBoundInBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeBus{hang: true}
		h := fake(f, QueueSize(0, 8000))
		logger := slog.New(h)
		for range 100 {
			logger.Info("m", "x", strings.Repeat("x", 1000))
		}
		logger.Info("m", "x", strings.Repeat("x", 100_000))
		if s := h.Stats(); s.QueuedBytes > 6000 || s.Queued < 3 || s.Truncated != 1 {
			t.Errorf("the counts are %+v", s)
		}
		_ = h.Close(within(t, time.Second))
		if s := h.Stats(); s.QueuedBytes != 0 {
			t.Errorf("the counts are %+v", s)
		}
	})
}

func TestDropOldest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, lost := &fakeBus{hang: true}, newRecorder()
		h := fake(f, QueueSize(3, 12_000), Overflow(DropOldest), Fallback(lost), Linger(0))
		logger := slog.New(h)
		logger.Info("0", "x", strings.Repeat("x", 3000)) // as large as what may be on its way
		synctest.Wait()                                  // it is on its way, and stays; no other one follows it
		for i := range 9 {
			if err := h.Handle(context.Background(), record(fmt.Sprint(i+1))); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		s := h.Stats()
		if s.Queued != 3 || s.DroppedBy[DroppedFull] != 7 || lost.count("1") != 1 || lost.count("9") != 0 {
			t.Errorf("the counts are %+v", s)
		}
		balanced(t, s)
		_ = h.Close(within(t, time.Second))
		if lost.count("0") != 1 || lost.count("8") != 1 || lost.count("9") != 1 {
			t.Error("what was left did not go to the fallback")
		}
	})
}

// A record that would not fit beside what is on its way, were all others dropped, costs none of them.
func TestDropOldestDropsNothingInVain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := fake(&fakeBus{hang: true}, QueueSize(0, 12_000), Overflow(DropOldest), Linger(0))
		logger := slog.New(h)
		logger.Info("large", "x", strings.Repeat("x", 5000))
		synctest.Wait() // it is on its way
		logger.Info("1")
		logger.Info("2")
		r := record("large")
		r.Add("x", strings.Repeat("x", 5000))
		if err := h.Handle(context.Background(), r); !errors.Is(err, ErrFull) {
			t.Errorf("the error is %v", err)
		}
		if s := h.Stats(); s.Queued != 3 || s.DroppedBy[DroppedFull] != 1 {
			t.Errorf("the counts are %+v", s)
		}
		_ = h.Close(within(t, time.Second))
		balanced(t, h.Stats())
	})
}

// The key takes its part of the queue, and the record what it leaves.
func TestKeyAndRecordFitTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeBus{}
		h := fake(f, QueueSize(0, 8000), Overflow(Block(time.Hour)), Key(func(_ context.Context, r slog.Record) []byte {
			if r.Message == "too large" {
				return make([]byte, 9000)
			}
			return make([]byte, 1000)
		}))
		slog.New(h).Info("large", "x", strings.Repeat("x", 100_000))
		if err := h.Handle(context.Background(), record("too large")); !errors.Is(err, bus.ErrTooLarge) {
			t.Errorf("a key larger than the queue: %v", err)
		}
		if err := h.Close(within(t, time.Second)); err != nil {
			t.Error(err)
		}
		s := h.Stats()
		if s.Delivered != 1 || s.DroppedBy[DroppedTooLarge] != 1 || !f.records(t)[0].Truncated {
			t.Errorf("the counts are %+v", s)
		}
		balanced(t, s)
	})
}

func TestBlock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeBus{deaf: make(chan struct{})}
		h := fake(f, QueueSize(1, 0), Overflow(Block(time.Second)), Linger(0))
		handle := func() (time.Duration, error) {
			start := time.Now()
			err := h.Handle(context.Background(), record("m"))
			return time.Since(start), err
		}
		if d, err := handle(); d != 0 || err != nil {
			t.Errorf("with room: %v after %v", err, d)
		}
		if d, err := handle(); d != time.Second || !errors.Is(err, ErrFull) {
			t.Errorf("without room: %v after %v", err, d)
		}
		done := make(chan error)
		go func() {
			_, err := handle()
			done <- err
		}()
		synctest.Wait()
		if s := h.Stats(); s.Accepted != 2 {
			t.Errorf("a caller that is blocked is in: %+v", s)
		}
		close(f.deaf) // Kafka answers
		if err := <-done; err != nil {
			t.Errorf("room was made: %v", err)
		}
		if err := h.Close(within(t, time.Second)); err != nil {
			t.Error(err)
		}
		balanced(t, h.Stats())
	})
}

func TestCloseWakesBlocked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := fake(&fakeBus{hang: true}, QueueSize(1, 0), Overflow(Block(time.Hour)))
		_ = h.Handle(context.Background(), record("m"))
		done := make(chan error)
		go func() { done <- h.Handle(context.Background(), record("m")) }()
		synctest.Wait()
		_ = h.Close(within(t, time.Second))
		if err := <-done; !errors.Is(err, bus.ErrClosed) {
			t.Error(err)
		}
		balanced(t, h.Stats())
	})
}

func TestCloseDeadline(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func() (*fakeBus, func()){
		"away": func() (*fakeBus, func()) { return &fakeBus{hang: true}, func() {} },
		"refused": func() (*fakeBus, func()) {
			return &fakeBus{answer: func(bus.Outgoing) error { return bus.ErrAuth }}, func() {}
		},
		"not ready": func() (*fakeBus, func()) {
			return &fakeBus{ready: func() error { return bus.ErrNotConfigured }}, func() {}
		},
		"deaf": func() (*fakeBus, func()) { // does not even heed its context
			deaf := make(chan struct{})
			return &fakeBus{deaf: deaf}, func() { close(deaf) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, release := f()
				defer release()
				h := fake(f)
				for range 10 {
					slog.New(h).Info("m")
				}
				start := time.Now()
				err := h.Close(within(t, 3*time.Second))
				if d := time.Since(start); d < 2250*time.Millisecond || d > 3050*time.Millisecond {
					t.Errorf("Close took %v", d)
				}
				var left *UndeliveredError
				if !errors.As(err, &left) || left.Records != 10 || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Close returned %v", err)
				}
				s := h.Stats()
				if s.DroppedBy[DroppedUndelivered] != 10 || s.Queued != 0 {
					t.Errorf("the counts are %+v", s)
				}
				balanced(t, s)
				if name == "refused" && !errors.Is(err, bus.ErrAuth) || name == "not ready" &&
					!errors.Is(err, bus.ErrNotConfigured) {
					t.Errorf("Close does not tell why: %v", err)
				}
				if again := h.Close(context.Background()); again != err {
					t.Errorf("the second Close returned %v", again)
				}
				if err := h.Handle(context.Background(), record("late")); !errors.Is(err, bus.ErrClosed) {
					t.Errorf("Handle after Close returned %v", err)
				}
				if s := h.Stats(); s.DroppedBy[DroppedClosed] != 1 {
					t.Errorf("the counts are %+v", s)
				}
				balanced(t, h.Stats())
				if err := h.Flush(context.Background()); err != nil {
					t.Errorf("Flush after Close returned %v", err)
				}
			})
		})
	}
}

func TestCloseConcurrently(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := fake(&fakeBus{hang: true})
		slog.New(h).Info("m")
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				var left *UndeliveredError
				if err := h.Close(within(t, time.Second)); !errors.As(err, &left) && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestCloseUnused(t *testing.T) {
	t.Parallel()
	h := fake(&fakeBus{})
	if err := h.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if err := h.Handle(context.Background(), record("m")); !errors.Is(err, bus.ErrClosed) {
		t.Error(err)
	}
	balanced(t, h.Stats())
}

// Denied records are kept and tried again slowly, and somebody is told; Flush tries at once.
func TestDenied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		denied := fmt.Errorf("logs: %w", bus.ErrAuth)
		f, told := &fakeBus{answer: func(bus.Outgoing) error { return denied }}, newRecorder()
		h := fake(f, Fallback(told), Linger(0))
		slog.New(h).Info("m")
		time.Sleep(95 * time.Second)
		if n := f.tried(); n < 3 || n > 4 { // the pause is 30 to 33 s
			t.Errorf("%d tries in 95s", n)
		}
		if n := told.count("slogkafka: log records cannot be delivered and stay queued"); n < 3 || n > 4 {
			t.Errorf("told %d times in 95s", n)
		}
		if err := h.Flush(within(t, time.Second)); !errors.Is(err, context.DeadlineExceeded) || f.tried() < 4 {
			t.Errorf("Flush returned %v after %d tries", err, f.tried())
		}
		f.set(func() { f.answer = nil })
		time.Sleep(33 * time.Second)
		if s := h.Stats(); s.Delivered != 1 || s.Dropped != 0 ||
			told.count("slogkafka: log records are delivered again") != 1 {
			t.Errorf("the counts are %+v; told %v", s, *told.got)
		}
		_ = h.Close(context.Background())
	})
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, lost := &fakeBus{}, newRecorder()
		f.answer = func(o bus.Outgoing) error {
			switch {
			case len(o.Value) > 5000, strings.Contains(string(o.Value), "never"):
				return fmt.Errorf("no: %w", bus.ErrTooLarge)
			case strings.Contains(string(o.Value), "poison"):
				return errors.New("invalid record")
			}
			return nil
		}
		h := fake(f, Fallback(lost))
		logger := slog.New(h)
		logger.Info("first")
		logger.Info("large", "text", strings.Repeat("x", 50_000), "a", 1)
		logger.Info("never")
		logger.Info("poison")
		logger.Info("last")
		if err := h.Flush(within(t, time.Minute)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		s := h.Stats()
		if s.Delivered != 3 || s.DroppedBy[DroppedTooLarge] != 1 || s.DroppedBy[DroppedRejected] != 1 ||
			lost.count("poison") != 1 || lost.count("never") != 1 {
			t.Errorf("the counts are %+v; the fallback has %v", s, *lost.got)
		}
		balanced(t, s)
		all := f.records(t)
		if r := all[len(all)-1]; r.Message != "large" || !r.Truncated || string(r.Fields[1].Value) != "1" {
			t.Errorf("the large one is %+v", r)
		}
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeBus{ready: func() error { return bus.ErrNotConfigured }}
		h := fake(f)
		slog.New(h).Info("m")
		time.Sleep(10 * time.Second)
		if s := h.Stats(); s.Queued != 1 || f.tried() < 9 || f.tried() > 11 {
			t.Errorf("the counts are %+v after %d tries", s, f.tried())
		}
		f.set(func() { f.ready = nil })
		if err := h.Close(within(t, 2*time.Second)); err != nil {
			t.Error(err)
		}
	})
}

func TestStallIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, told := &fakeBus{deaf: make(chan struct{})}, newRecorder()
		h := fake(f, Fallback(told), QueueSize(2, 0), Linger(0))
		for range 5 {
			slog.New(h).Info("m")
		}
		time.Sleep(75 * time.Second)
		if n := told.count("slogkafka: Kafka does not answer; log records stay queued"); n != 3 { // after 10, 40 and 70 s
			t.Errorf("told %d times", n)
		}
		close(f.deaf)
		_ = h.Flush(context.Background())
		synctest.Wait()
		if told.count("slogkafka: log records are delivered again") != 1 {
			t.Errorf("told %v", *told.got)
		}
		_ = h.Close(context.Background())
	})
}

func TestRecursion(t *testing.T) {
	t.Parallel()
	f, lost := &fakeBus{}, newRecorder()
	h := fake(f, Fallback(lost))
	logger := slog.New(h)
	logger.InfoContext(ownlog.Mark(context.Background()), "own")
	logger.Info("mine")
	if err := h.Close(within(t, 5*time.Second)); err != nil {
		t.Error(err)
	}
	if s := h.Stats(); s.DroppedBy[DroppedOwn] != 1 || s.Delivered != 1 || lost.count("own") != 1 {
		t.Errorf("the counts are %+v", s)
	}
	balanced(t, h.Stats())
}

// leadsTo passes everything to a handler that is known later, as one that looks up slog.Default does.
type leadsTo struct{ h *slog.Handler }

func (l leadsTo) Enabled(context.Context, slog.Level) bool { return true }
func (l leadsTo) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l leadsTo) WithGroup(string) slog.Handler            { return l }
func (l leadsTo) Handle(ctx context.Context, record slog.Record) error {
	return (*l.h).Handle(ctx, record)
}

// A fallback that leads back ends there.
func TestFallbackThatLeadsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var back slog.Handler
		h := fake(&fakeBus{hang: true}, QueueSize(1, 0), Fallback(leadsTo{&back}))
		back = h
		for range 3 { // two find no room
			_ = h.Handle(context.Background(), record("m"))
		}
		_ = h.Handle(ownlog.Mark(context.Background()), record("the bus's own"))
		s := h.Stats()
		if s.Queued != 1 || s.DroppedBy[DroppedFull] != 2 || s.DroppedBy[DroppedOwn] == 0 {
			t.Errorf("the counts are %+v", s)
		}
		_ = h.Close(within(t, time.Second))
		balanced(t, h.Stats())
	})
}

// The counts add up whenever one looks, whatever happens at the same time; and each record ends in exactly one of them.
func TestCountsAddUp(t *testing.T) {
	t.Parallel()
	for _, policy := range []Policy{DropNewest, DropOldest, Block(time.Millisecond)} {
		t.Run(fmt.Sprintf("%T %v", policy, policy), func(t *testing.T) {
			t.Parallel()
			f := &fakeBus{answer: func(bus.Outgoing) error {
				switch rand.IntN(20) {
				case 0:
					return errors.New("poison")
				case 1:
					return bus.ErrTooLarge
				}
				return nil
			}}
			h := fake(f, QueueSize(50, 0), Overflow(policy), Linger(0))
			stop := make(chan struct{})
			var watchers, callers sync.WaitGroup
			watchers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						balanced(t, h.Stats())
						_ = h.Flush(within(t, time.Millisecond))
					}
				}
			})
			const each = 500
			for i := range 4 {
				callers.Go(func() {
					logger := slog.New(h).With("i", i)
					for j := range each {
						logger.Info("m", "j", j)
					}
				})
			}
			callers.Wait()
			if err := h.Close(within(t, 10*time.Second)); err != nil {
				t.Error(err)
			}
			close(stop)
			watchers.Wait()
			s := h.Stats()
			balanced(t, s)
			if s.Accepted != 4*each || s.Queued != 0 || s.Delivered != uint64(len(f.taken)) {
				t.Errorf("the counts are %+v; Kafka has %d", s, len(f.taken))
			}
		})
	}
}

// Records of one key that one goroutine logs keep their order, retries and all.
func TestOrder(t *testing.T) {
	t.Parallel()
	f := &fakeBus{}
	h := fake(f, QueueSize(100_000, 0), Key(func(_ context.Context, r slog.Record) []byte { return []byte(r.Message) }))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 2000 {
				slog.New(h).Info(fmt.Sprint(i), "j", j)
			}
		})
	}
	wg.Wait()
	if err := h.Close(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	next := map[string]int{}
	for i, r := range f.records(t) {
		if want := fmt.Sprint(next[r.Message]); string(r.Fields[0].Value) != want || string(f.taken[i].Key) != r.Message {
			t.Fatalf("of %s comes %s, want %s; key %s", r.Message, r.Fields[0].Value, want, f.taken[i].Key)
		}
		next[r.Message]++
	}
}

func record(message string) slog.Record {
	return slog.NewRecord(time.Now(), slog.LevelInfo, message, 0)
}
