package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

var errDown = errors.New("the database is down")

// While what handlers need is down no record is given up, however long that takes, and one is tried for each probe.
// Then all are handled, in the order of their lanes.
func TestABreakerGivesNoRecordUp(t *testing.T) {
	t.Parallel()
	const partitions, each = 3, 10
	for name, opts := range map[string][]bus.SubscribeOption{
		"dead letters":  {bus.DeadLetter(), fast(5)},
		"no policy":     {fast(1 << 20)},
		"retry streams": {bus.RetryTopics(time.Millisecond), fast(5)},
		"by key":        {bus.DeadLetter(), fast(5), bus.Concurrency(4, bus.ByKey)},
		"with a time":   {bus.DeadLetter(), fast(5), bus.Timeout(500 * time.Millisecond)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.stream("s", partitions)
			for p := range int32(partitions) {
				w.put("s", p, contents(int(p)*each, each)...)
			}
			app := w.app()
			group := w.group("g")
			want := int64(30)
			if name == "with a time" {
				want = 6 // each call takes it
			}
			var down atomic.Bool
			var calls, atOnce, most atomic.Int64
			down.Store(true)
			var got numbers
			bus.MustSubscribe(app, "s", func(ctx context.Context, c Content) error {
				if !down.Load() {
					return got.handle(ctx, c)
				}
				calls.Add(1)
				if stats(app).PausedSince.IsZero() { // calls that began before it opened
					return errDown
				}
				most.Store(max(most.Load(), atOnce.Add(1)))
				defer atOnce.Add(-1)
				if name == "with a time" {
					<-ctx.Done()
				}
				return errDown
			}, append(opts, bus.Group(group), bus.Breaker(3, 2*time.Millisecond))...)
			stop := running(t, app)
			eventually(t, func() bool { return calls.Load() >= want },
				func() string { return fmt.Sprint(calls.Load(), " calls") })
			if stats(app).PausedSince.IsZero() {
				t.Error("it is not paused")
			}
			down.Store(false)
			got.wait(t, partitions*each)
			if err := stop(); err != nil {
				t.Error(err)
			}
			s := stats(app)
			if s.DeadLettered != 0 || s.Postponed != 0 || s.Rejected != 0 || s.Finished != partitions*each {
				t.Errorf("%d dead letters, %d postponed, %d rejected, %d finished", s.DeadLettered, s.Postponed,
					s.Rejected, s.Finished)
			}
			// Beside a probe only calls run that began before it opened.
			if n := most.Load(); n > 4 {
				t.Errorf("%d calls at once while it was open", n)
			}
		})
	}
}

// A record that fails alone is given up as ever when after is larger than its attempts, and so is one that is rejected
// while the breaker is open.
func TestABreakerAndRecordsThatAlwaysFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 4)...)
	app := w.app()
	group := w.group("g")
	var got numbers
	var down atomic.Int64
	bus.MustSubscribe(app, "s", func(ctx context.Context, c Content) error {
		switch {
		case c.N == 0:
			return errors.New("always")
		case c.N == 2 && down.Add(1) <= 6:
			return errDown
		case c.N == 2:
			return bus.Reject(errors.New("never"))
		}
		return got.handle(ctx, c)
	}, bus.Group(group), bus.DeadLetter(), fast(3), bus.Breaker(4, time.Millisecond))
	// Three calls of 0 and its dead letter, 1; the first calls of 2 are an attempt each, until the breaker would open at
	// the fourth: with three attempts it never does.
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 4); err != nil {
		t.Fatal(err)
	}
	if n := len(deadLetters(t, app, "s", group)); n != 2 || down.Load() != 3 {
		t.Errorf("%d dead letters, %d calls of the third record", n, down.Load())
	}

	other := w.app()
	rejected := w.group("rejected")
	down.Store(0)
	bus.MustSubscribe(other, "s", func(ctx context.Context, c Content) error {
		if c.N == 0 && down.Add(1) <= 6 {
			return errDown
		}
		return bus.Reject(errors.New("never"))
	}, bus.Group(rejected), bus.DeadLetter(), fast(3), bus.Breaker(2, time.Millisecond))
	if _, err := other.ConsumeFor(within(t, 30*time.Second), 4); err != nil {
		t.Fatal(err)
	}
	if n := len(deadLetters(t, other, "s", rejected)); n != 4 || down.Load() != 7 {
		t.Errorf("%d dead letters, want all; %d calls of the first record, want 7", n, down.Load())
	}
}

func TestABreakerOfBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 50)...)
	app := w.app()
	group := w.group("g")
	var got list[int]
	var sizes list[int]
	var calls atomic.Int64
	bus.MustSubscribe(app, "s", func(_ context.Context, batch []Content) error {
		if calls.Add(1) <= 8 {
			sizes.add(len(batch))
			return errDown
		}
		for _, c := range batch {
			got.add(c.N)
		}
		return nil
	}, bus.Group(group), bus.DeadLetter(), fast(5), bus.Batch(20, 10*time.Millisecond), bus.Breaker(3, time.Millisecond))
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 50); err != nil {
		t.Fatal(err)
	}
	for i, n := range got.get() {
		if n != i {
			t.Fatalf("handled %v", got.get())
		}
	}
	for _, n := range sizes.get()[3:] {
		if n != 1 {
			t.Errorf("calls while it was open had %v records", sizes.get()[3:])
			break
		}
	}
	if s := stats(app); s.DeadLettered != 0 || len(got.get()) != 50 {
		t.Errorf("%d dead letters, %d handled", s.DeadLettered, len(got.get()))
	}
}

func TestBreakersThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, b := range []bus.SubscribeOption{bus.Breaker(0, time.Second), bus.Breaker(3, 0)} {
		err := bus.Subscribe(bus.New(bus.Config{}), "s", func(context.Context, []byte) error { return nil }, bus.Group("g"),
			b)
		if err == nil || !strings.Contains(err.Error(), "breaker after") {
			t.Errorf("error %v", err)
		}
	}
}
