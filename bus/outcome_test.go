package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

var errBroken = errors.New("the database is away")

// rejectAt handles contents, and has another outcome for one of them.
func rejectAt(n int, outcome error, got *numbers) func(context.Context, Content) error {
	return func(_ context.Context, c Content) error {
		got.add(c.N)
		if c.N == n {
			return outcome
		}
		return nil
	}
}

func TestARejectedRecordIsGivenUpAndTheNextHasItsTurn(t *testing.T) {
	t.Parallel()
	w, log := newWorld(t), new(logged)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 3)...)
	app := w.app(bus.Config{Logger: log.logger()})
	var got numbers
	bus.MustSubscribe(app, "s", rejectAt(1, fmt.Errorf("wrapped: %w", bus.Reject(errBroken)), &got),
		bus.Group(w.group("g")))
	stop := running(t, app)
	w.waitCommitted(w.group("g"), "s", map[int32]int64{0: 3})
	if all := got.get(); !slices.Equal(all, []int{0, 1, 2}) {
		t.Errorf("handled %v: a rejected record is tried once", all)
	}
	s := stats(app)
	if s.Rejected != 1 || s.Finished != 3 || s.DeadLettered != 0 || s.Retried != 0 || !errors.Is(s.LastError, errBroken) {
		t.Errorf("stats %+v", s)
	}
	if !log.has("a record is rejected") || !log.has(errBroken.Error()) {
		t.Errorf("the log does not tell:\n%s", log)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeDecodedIsRejected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	w.put("s", 0, "no JSON", `{"schema":"Content:1"}`, `{"schema":"Content:1","data":{"title":3}}`)
	w.put("s", 0, contents(1, 1)...)
	app := w.app()
	var got numbers
	bus.MustSubscribe(app, "s", got.handle, bus.Group(w.group("g")))
	if n, err := app.ConsumeFor(within(t, 30*time.Second), 5); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	if s := stats(app); s.Rejected != 3 || !slices.Equal(got.get(), []int{0, 1}) {
		t.Errorf("rejected %d, handled %v", s.Rejected, got.get())
	}
}

// RetryAfter is no attempt: with a single one the record is handled all the same.
func TestRetryAfterWaitsAndDoesNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 2)...)
	app := w.app()
	const pause = 50 * time.Millisecond
	var calls list[time.Time]
	var got numbers
	bus.MustSubscribe(app, "s", func(_ context.Context, c Content) error {
		got.add(c.N)
		if c.N == 0 {
			if calls.add(time.Now()); calls.len() < 4 {
				return fmt.Errorf("busy: %w", bus.RetryAfter(pause, errBroken))
			}
		}
		return nil
	}, bus.Group(w.group("g")), fast(1))
	if n, err := app.ConsumeFor(within(t, 30*time.Second), 2); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if all := got.get(); !slices.Equal(all, []int{0, 0, 0, 0, 1}) {
		t.Errorf("handled %v", all)
	}
	for i, at := range calls.get()[1:] {
		if waited := at.Sub(calls.get()[i]); waited < pause {
			t.Errorf("called again after %v", waited)
		}
	}
	if s := stats(app); s.Retried != 3 {
		t.Errorf("retried %d", s.Retried)
	}
}

func TestAbortEndsRunAndLeavesTheRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 3)...)
	app := w.app()
	var got numbers
	var mended atomic.Bool
	bus.MustSubscribe(app, "s", func(ctx context.Context, c Content) error {
		outcome := bus.Abort(errBroken)
		if mended.Load() {
			outcome = nil
		}
		return rejectAt(1, outcome, &got)(ctx, c)
	}, bus.Group(w.group("g")), fast(5), bus.DeadLetter())
	err := runs(t, app)
	if !errors.Is(err, errBroken) || !strings.Contains(err.Error(), w.prefix+"s/0@1") {
		t.Errorf("run: %v, want it to say why and where", err)
	}
	w.waitCommitted(w.group("g"), "s", map[int32]int64{0: 1})
	if s := stats(app); s.State != "left" || !errors.Is(s.LastError, errBroken) || app.Stats().Running {
		t.Errorf("stats %+v", s)
	}
	if err := app.Health(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("health: %v", err)
	}
	mended.Store(true)
	stop := running(t, app)
	got.wait(t, 4)
	if err := app.Health(t.Context()); err != nil {
		t.Errorf("health while it runs again: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if all := got.get(); !slices.Equal(all, []int{0, 1, 1, 2}) {
		t.Errorf("handled %v: record 1 has to be delivered again, and nothing behind it before", all)
	}
	if all := readAll(t, app, "*.dead"); len(all) > 0 {
		t.Errorf("%d dead letters", len(all))
	}
}

func TestStopEndsOneSubscription(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("a", 1)
	w.stream("b", 1)
	w.put("a", 0, contents(0, 3)...)
	app := w.app()
	var a, b numbers
	bus.MustSubscribe(app, "a", rejectAt(1, bus.ErrStop, &a), bus.Group(w.group("a")), bus.DeadLetter())
	bus.MustSubscribe(app, "b", rejectAt(9, fmt.Errorf("enough: %w", bus.ErrStop), &b), bus.Group(w.group("b")))
	ended := make(chan error, 1)
	go func() { ended <- app.Run(within(t, 30*time.Second)) }()
	eventually(t, func() bool { return stats(app).State == "left" }, says("it has not stopped"))
	w.put("b", 0, contents(0, 9)...)
	b.wait(t, 9)
	if err := app.Health(t.Context()); err != nil {
		t.Errorf("health of an App with a stopped subscription: %v", err)
	}
	select {
	case err := <-ended:
		t.Fatalf("Run has ended with %v while a subscription is left", err)
	default:
	}
	w.put("b", 0, contents(9, 1)...)
	if err := result(t, ended); err != nil {
		t.Errorf("run: %v", err)
	}
	w.waitCommitted(w.group("a"), "a", map[int32]int64{0: 1})
	w.waitCommitted(w.group("b"), "b", map[int32]int64{0: 9})
	if !slices.Equal(a.get(), []int{0, 1}) {
		t.Errorf("handled %v", a.get())
	}
}

func TestErrorsAreTriedAgainAsThePolicySays(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		opts  []bus.SubscribeOption
		calls int
	}{
		{"three attempts", []bus.SubscribeOption{fast(3)}, 3},
		{"no retry", []bus.SubscribeOption{fast(1)}, 1},
		{"five by default", []bus.SubscribeOption{
			bus.Retry(bus.RetryPolicy{FirstPause: time.Millisecond, MaxPause: time.Millisecond})}, 5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.stream("s", 1)
			w.put("s", 0, contents(0, 2)...)
			app := w.app()
			var got numbers
			bus.MustSubscribe(app, "s", rejectAt(0, errBroken, &got), append(test.opts, bus.Group(w.group("g")))...)
			err := runs(t, app)
			if !errors.Is(err, errBroken) {
				t.Errorf("run: %v", err)
			}
			if want := fmt.Sprintf("after %d calls", test.calls); test.calls > 1 && !strings.Contains(err.Error(), want) {
				t.Errorf("%v does not tell the calls", err)
			}
			if !slices.Equal(got.get(), make([]int, test.calls)) {
				t.Errorf("handled %v, want record 0 %d times and nothing behind it", got.get(), test.calls)
			}
			if s := stats(app); s.Retried != uint64(test.calls-1) {
				t.Errorf("retried %d", s.Retried)
			}
			if c := w.committed(w.group("g"), "s")[0]; c != 0 {
				t.Errorf("committed %d", c)
			}
		})
	}
}

// Pauses double, within their jitter of a tenth to the whole, up to Max; the lane waits, others go on.
func TestPausesBetweenAttemptsHoldUpTheirLaneOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 2)
	w.put("s", 0, contents(0, 2)...)
	w.put("s", 1, contents(10, 5)...)
	app := w.app()
	var got numbers
	var calls list[time.Time]
	bus.MustSubscribe(app, "s", func(_ context.Context, c Content) error {
		if c.N == 0 {
			if calls.add(time.Now()); calls.len() < 5 {
				return errBroken
			}
		}
		got.add(c.N)
		return nil
	}, bus.Group(w.group("g")),
		bus.Retry(bus.RetryPolicy{Attempts: 5, FirstPause: 40 * time.Millisecond, MaxPause: 160 * time.Millisecond}))
	if n, err := app.ConsumeFor(within(t, 30*time.Second), 7); n != 7 || err != nil {
		t.Fatal(n, err)
	}
	at := calls.get()
	for i, bound := range []time.Duration{40, 80, 160, 160} {
		bound *= time.Millisecond
		if pause := at[i+1].Sub(at[i]); pause < bound/10 || pause > bound+500*time.Millisecond {
			t.Errorf("pause %d was %v, its bound is %v", i, pause, bound)
		}
	}
	order := got.get()
	if i, j := slices.Index(order, 0), slices.Index(order, 1); i > j {
		t.Errorf("handled %v: 0 comes before 1", order)
	}
}

func TestAPanicIsAnErrorWithItsStack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	log := new(logged)
	app := w.app(bus.Config{Logger: log.logger()})
	calls := 0
	bus.MustSubscribe(app, "s", func(context.Context, Content) error {
		calls++
		panic(errBroken)
	}, bus.Group(w.group("g")), fast(2))
	err := runs(t, app)
	p, ok := errors.AsType[*bus.PanicError](err)
	if !ok || !errors.Is(err, errBroken) || calls != 2 {
		t.Fatalf("%d calls, run: %v", calls, err)
	}
	if p.Value != any(errBroken) || !strings.Contains(string(p.Stack), "TestAPanicIsAnErrorWithItsStack") {
		t.Errorf("value %v, stack\n%s", p.Value, p.Stack)
	}
	if !log.has("ends the run") || !log.has("TestAPanicIsAnErrorWithItsStack.func") {
		t.Errorf("the log does not tell where:\n%s", log)
	}
}

// What a handler panics with is no outcome: a library that panics with an error of ours must not stop a subscription.
func TestAPanicIsNoOutcome(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.app()
	bus.MustSubscribe(app, "s", func(context.Context, Content) error { panic(bus.ErrStop) }, bus.Group(w.group("g")),
		fast(2))
	err := runs(t, app)
	if p, ok := errors.AsType[*bus.PanicError](err); !ok || p.Value != any(bus.ErrStop) {
		t.Errorf("run: %v", err)
	}
	if s := stats(app); s.Retried != 1 {
		t.Errorf("retried %d: a panic is tried again", s.Retried)
	}
}

func TestOutcomesOfNothing(t *testing.T) {
	t.Parallel()
	for _, err := range []error{bus.Reject(nil), bus.Abort(nil), bus.RetryAfter(time.Second, nil)} {
		if !strings.Contains(err.Error(), "nil") {
			t.Errorf("%q", err)
		}
	}
}
