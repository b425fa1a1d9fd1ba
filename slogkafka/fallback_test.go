package slogkafka

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/aside"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// deployment is a model that replaces base fields, and one of its constraints is broken.
type deployment struct {
	logrecord.Model
	Cluster string `json:"cluster"`
	Zone    string `json:"zone" jsonschema:"minLength=2"`
}

// The fallback gets all fields of a record, in slog's own kinds, and why it was dropped.
func TestTheFallbackGetsAllFields(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lost := newRecorder()
		h := fake(&fakeBus{hang: true}, Fallback(lost), AddSource(), Trace(slog.LevelError), QueueSize(1, 0))
		slog.New(h).Info("takes the room")
		slog.New(h).Error("failed", slog.Any("err", os.ErrNotExist), logrecord.Attr(deployment{Cluster: "eu-1", Zone: "x"}),
			slog.Int("n", 1), slog.Float64("f", 1.5), slog.Uint64("big", 1<<63), slog.Bool("ok", true),
			slog.Group("request", "path", "/", "size", 7), slog.Any("list", []int{1}))
		synctest.Wait()
		got := lost.find(t, "failed")
		want := map[string]slog.Kind{
			"dropped": slog.KindString, "exception": slog.KindString, "stack": slog.KindString, "trace": slog.KindString,
			"source": slog.KindAny, "hostname": slog.KindString, "service": slog.KindString, "cluster": slog.KindString,
			"namespace": slog.KindString, "n": slog.KindInt64, "f": slog.KindFloat64, "big": slog.KindAny, "ok": slog.KindBool,
			"request": slog.KindGroup, "list": slog.KindAny, "err": slog.KindString, "invalid": slog.KindGroup,
			"schema_errors": slog.KindAny,
		}
		for name, kind := range want {
			if v, ok := got[name]; !ok || v.Kind() != kind {
				t.Errorf("%s is %v of kind %v, want %v", name, v, v.Kind(), kind)
			}
		}
		if got["dropped"].String() != DroppedFull || got["cluster"].String() != "eu-1" ||
			fmt.Sprint(got["big"]) != "9223372036854775808" {
			t.Errorf("the attributes are %v", got)
		}
		_ = h.Close(within(t, time.Second))
	})
}

// A fallback that blocks, panics or fails holds up neither a call, nor the delivery, nor Close, and what it does not
// take is counted.
func TestAFallbackThatDoesNotWorkHoldsUpNothing(t *testing.T) {
	t.Parallel()
	blocked := make(chan struct{})
	t.Cleanup(func() { close(blocked) })
	for name, handle := range map[string]func() error{
		"blocks": func() error { <-blocked; return nil },
		"slow": func() error {
			select {
			case <-time.After(time.Second):
			case <-blocked: // the test is over, and leaves no goroutine behind
			}
			return nil
		},
		"panics": func() error { panic("no") },
		"fails":  func() error { return errors.New("no") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			f := &fakeBus{hang: true}
			h := fake(f, QueueSize(100, 0), Fallback(callback(func() error { calls.Add(1); return handle() })))
			for range 6000 {
				_ = h.Handle(t.Context(), record("m"))
			}
			f.set(func() { f.hang = false })
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			err := h.Close(ctx)
			s := h.Stats()
			balanced(t, s)
			var left *UndeliveredError
			if waits := name == "blocks" || name == "slow"; waits && (!errors.As(err, &left) || left.Lost == 0) {
				t.Errorf("Close returned %v", err)
			}
			if s.Fallback+s.FallbackDropped != s.Dropped || s.Lost != s.FallbackDropped || s.Lost == 0 {
				t.Errorf("the counts are %+v", s)
			}
		})
	}
}

// callback is a handler whose Handle is a function.
type callback func() error

func (c callback) Enabled(context.Context, slog.Level) bool           { return true }
func (c callback) WithAttrs([]slog.Attr) slog.Handler                 { return c }
func (c callback) WithGroup(string) slog.Handler                      { return c }
func (c callback) Handle(_ context.Context, record slog.Record) error { return c() }

// At Close all that is left goes to the fallback, out of the deadline when nothing is delivered.
func TestTheFallbackGetsAllThatIsLeftAtClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const records = 10_000
		f, lost := &fakeBus{hang: true, waiting: errors.New("broker b:9092: connection refused")}, newRecorder()
		h := fake(f, Fallback(lost))
		for range records {
			_ = h.Handle(t.Context(), record("left"))
		}
		err := h.Close(within(t, 2*time.Second))
		var left *UndeliveredError
		if !errors.As(err, &left) || left.Records != records || left.Lost != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close returned %v", err)
		}
		if !strings.Contains(err.Error(), "b:9092: connection refused") {
			t.Errorf("the error names no broker: %v", err)
		}
		if s := h.Stats(); lost.count("left") != records || s.Fallback != records || s.Lost != 0 {
			t.Errorf("the fallback has %d; the counts are %+v", lost.count("left"), s)
		}
	})
}

// With no fallback all that is left is lost, and the error says how many.
func TestWithoutAFallbackWhatIsLeftIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(&fakeBus{hang: true}, "logs", collect([]Option{Service("s")}))
		h.worker.report.to = slog.New(slog.DiscardHandler) // not standard error
		for range 7 {
			slog.New(h).Info("m")
		}
		var left *UndeliveredError
		if err := h.Close(within(t, time.Second)); !errors.As(err, &left) || left.Records != 7 || left.Lost != 7 {
			t.Errorf("Close returned %v", err)
		}
		if s := h.Stats(); s.Lost != 7 || s.FallbackDropped != 0 {
			t.Errorf("the counts are %+v", s)
		}
	})
}

// What is dropped on purpose does not go to the fallback, and nobody is told.
func TestWhatIsDroppedOnPurposeIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, lost := &fakeBus{bare: true}, newRecorder()
		h := fake(f, Fallback(lost), WhenConfigured())
		slog.New(h).Info("early")
		f.set(func() { f.bare = false })
		slog.New(h).Info("later")
		if err := h.Close(within(t, time.Second)); err != nil {
			t.Error(err)
		}
		s := h.Stats()
		balanced(t, s)
		if s.DroppedBy[DroppedNotConfigured] != 1 || s.Delivered != 1 || s.Lost != 0 || len(*lost.got) != 0 {
			t.Errorf("the counts are %+v, the fallback has %v", s, *lost.got)
		}
	})
}

// A fallback that leads back through the default handler of slog, which package log holds a lock for, ends.
func TestRecursionThroughSlogsDefault(t *testing.T) {
	before, output, flags := slog.Default(), log.Writer(), log.Flags()
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(output)
		log.SetFlags(flags)
	})
	f := &fakeBus{hang: true}
	h := fake(f, QueueSize(1, 0), Fallback(wrapped{before.Handler()}), Overflow(Block(time.Hour)))
	if err := h.Err(); err != nil {
		t.Fatal(err)
	}
	slog.SetDefault(slog.New(h))
	slog.Info("fills the queue")
	// one for the fallback, without waiting for room
	go h.refuse(&entry{text: []byte(`{"message":"m"}`), cell: &cell{}}, own, true)
	testkit.Until(t, "the fallback's record is dropped as our own", func() bool {
		return h.Stats().DroppedBy[DroppedOwn] >= 2
	})
	_ = h.Close(within(t, 100*time.Millisecond))
	balanced(t, h.Stats())
	if s := h.Stats(); s.Accepted > 10 {
		t.Errorf("records bred: %+v", s)
	}
}

// A fallback that logs back here, without the context that says so, is found, though most records that find no room are
// not looked at.
func TestAFallbackThatLogsBackIsFound(t *testing.T) {
	var h *Handler
	back := callback(func() error { slog.New(h).Info("from the fallback"); return nil })
	h = fake(&fakeBus{hang: true}, QueueSize(1, 0), Fallback(back))
	h.sharedState.fallback.looks.Store(firstLooks)
	logger := slog.New(h)
	logger.Info("fills the queue")
	logger.Info("finds no room")
	testkit.Until(t, "what the fallback logs is dropped as our own", func() bool {
		return h.Stats().DroppedBy[DroppedOwn] > 0
	})
	accepted := h.Stats().Accepted
	if accepted > 2*lookEvery {
		t.Errorf("%d records were logged before that", accepted)
	}
	logger.Info("finds no room")
	_ = h.Close(within(t, 100*time.Millisecond))
	balanced(t, h.Stats())
	if s := h.Stats(); s.Accepted > accepted+4 { // that one, the one that is left, and what the fallback logs of both
		t.Errorf("records bred: %+v", s)
	}
}

// A record of a level that the fallback does not want is not decoded.
func TestALevelThatTheFallbackDoesNotWant(t *testing.T) {
	t.Parallel()
	warn := slog.NewJSONHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})
	f := fallback{handler: warn}
	for _, c := range []struct {
		level  slog.Level
		wanted bool
	}{{slog.LevelInfo, false}, {math.MinInt64, false}, {slog.LevelWarn, true}} {
		r := newQueued(&entry{text: []byte("no JSON"), level: c.level})
		if c.level == math.MinInt64 { // which is found out by decoding it
			r = newQueued(&entry{text: []byte(`{"level":10}`), level: c.level})
		}
		if ok := f.handle(r, full); ok == c.wanted {
			t.Errorf("level %d: handled is %v", c.level, ok)
		}
	}
}

// wrapped hides a handler.
type wrapped struct{ slog.Handler }

func (w wrapped) WithAttrs([]slog.Attr) slog.Handler { return w }
func (w wrapped) WithGroup(string) slog.Handler      { return w }
func (w wrapped) Handle(_ context.Context, r slog.Record) error {
	return w.Handler.Handle(context.Background(), r)
}

// A standard error that nobody reads does not stop the delivery.
func TestAStandardErrorThatBlocks(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = w
	f := &fakeBus{}
	h := newHandler(f, "logs", collect([]Option{QueueSize(5, 0)}))
	os.Stderr = before
	_ = w.SetWriteDeadline(time.Time{})
	for len(fill(w)) > 0 {
	}
	for range 50 {
		slog.New(h).Info("burst")
	}
	if err := h.Flush(within(t, 20*time.Second)); err != nil {
		t.Error(err)
	}
	for range 5 {
		slog.New(h).Info("later")
	}
	if err := h.Flush(within(t, 20*time.Second)); err != nil {
		t.Errorf("the delivery waits for standard error: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_ = h.Close(ctx)
	balanced(t, h.Stats())
	_ = r.Close() // releases the goroutine that writes
	_ = w.Close()
}

// fill writes to a pipe until it is full, and returns what went in last.
func fill(w *os.File) []byte {
	block := make([]byte, 1<<16)
	_ = w.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	n, err := w.Write(block)
	_ = w.SetWriteDeadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return block[:n]
}

// find returns the attributes of the record with that message.
func (r recorder) find(t *testing.T, message string) map[string]slog.Value {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, record := range *r.got {
		if record.Message == message {
			attrs := make(map[string]slog.Value)
			record.Attrs(func(a slog.Attr) bool {
				attrs[a.Key] = a.Value
				return true
			})
			return attrs
		}
	}
	t.Fatalf("no record %q in %v", message, *r.got)
	return nil
}

// A drop is told also when it comes while the reporter finds that there were no more, and ends to look.
func TestADropWhileTheReporterLooks(t *testing.T) {
	t.Parallel()
	q := newQueue(collect(nil))
	r := &reporter{to: slog.New(slog.DiscardHandler), runner: aside.New(1), queue: q, why: func() error { return nil }}
	e := &entry{cell: q.newCell()}
	for n := range uint64(3000) {
		r.quiet.Store(true) // as 30 seconds after the drop before
		var looks sync.WaitGroup
		looks.Go(r.drops)
		for range n % 4 {
			runtime.Gosched()
		}
		q.refuse(e, full)
		r.drop()
		looks.Wait()
		r.mu.Lock()
		if r.dropped != n+1 {
			t.Fatalf("%d of %d drops are told", r.dropped, n+1)
		}
		r.timer.Stop()
		r.mu.Unlock()
	}
}

// exiting is a fallback that ends the goroutine it is called on, as testing's FailNow does.
type exiting struct{ recorder }

func (exiting) Enabled(context.Context, slog.Level) bool {
	runtime.Goexit()
	return true
}

// A record whose call ended its goroutine is lost, and takes no room of the fallback's queue any more.
func TestAFallbackThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	f := fallback{handler: exiting{newRecorder()}, runner: aside.New(4), maxBytes: minFallback}
	for range 3 {
		r := newQueued(&entry{text: []byte("{}")})
		if !f.reserve(r.charge) {
			t.Fatal("there is no room")
		}
		f.give(r, full)
	}
	if !f.runner.Wait(within(t, 10*time.Second)) {
		t.Error("the runner has not ended")
	}
	if s := fallbackState(f.state.Load()); s.records() != 0 || s.bytes() != 0 || f.out.Load() != 3 {
		t.Errorf("%d records with %d bytes wait, and %d are lost", s.records(), s.bytes(), f.out.Load())
	}
}
