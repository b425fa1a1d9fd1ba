package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/bus"
)

// The order that users can rely on: recover, trace, metrics, timeout, dead letter, retry, decode, middleware, handler.
func TestTheLayersHaveAFixedOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	w.put("s", 0, "not JSON")
	tracer := new(tracerProvider)
	app := w.app(bus.Config{TracerProvider: tracer})
	var events list[string]
	say := func(text string, ctx context.Context) {
		if !trace.SpanFromContext(ctx).IsRecording() {
			text += " without a span"
		}
		if _, limited := ctx.Deadline(); limited {
			text += " in time"
		}
		events.add(text)
	}
	app.Use(func(next bus.Handler) bus.Handler {
		return func(ctx context.Context, r *bus.Record) error {
			say("outer", ctx)
			err := next(ctx, r)
			say(fmt.Sprintf("outer: %v", err), ctx)
			return err
		}
	})
	app.Use(func(next bus.Handler) bus.Handler {
		return func(ctx context.Context, r *bus.Record) error {
			say("inner", ctx)
			return next(ctx, r)
		}
	})
	app.OnConsumed(func(ctx context.Context, c bus.Consumed) {
		say(fmt.Sprintf("consumed %d: %s", c.Record.Offset, c.Outcome), ctx)
	})
	bus.MustSubscribe(app, "s", func(ctx context.Context, _ Content) error {
		say("handler", ctx)
		return errBroken
	}, bus.Group(group), bus.DeadLetter(), fast(2), bus.Timeout(time.Minute))
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 2); err != nil {
		t.Fatal(err)
	}
	attempt := []string{"outer in time", "inner in time", "handler in time", "outer: the database is away in time"}
	want := append(slices.Concat(attempt, attempt), "consumed 0: dead_letter", "consumed 1: dead_letter")
	if got := events.get(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, s := range tracer.spans.get() {
		if !s.over() {
			t.Error("a span has not ended")
		}
	}
}

func TestMiddlewareMayAnswerItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 4)...)
	app := w.app()
	app.Use(func(next bus.Handler) bus.Handler {
		return func(ctx context.Context, r *bus.Record) error {
			switch r.Offset {
			case 1:
				return nil
			case 2:
				return bus.Reject(errBroken)
			}
			return next(ctx, r)
		}
	})
	var got numbers
	bus.MustSubscribe(app, "s", got.handle, bus.Group(w.group("g")))
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 4); err != nil {
		t.Fatal(err)
	}
	if s := stats(app); s.Rejected != 1 || !slices.Equal(got.get(), []int{0, 3}) {
		t.Errorf("rejected %d, handled %v", s.Rejected, got.get())
	}
}

// Another record is decoded for the handler; what is rejected or goes to the dead letters is the one that was read.
func TestMiddlewareMayReplaceTheRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 1)
	w.put("s", 0, contents(0, 3)...)
	app := w.app()
	app.Use(func(next bus.Handler) bus.Handler {
		return func(ctx context.Context, r *bus.Record) error {
			other := *r
			switch r.Offset {
			case 1:
				other.Value = []byte(contents(100, 1)[0])
			case 2:
				other.Value = []byte("not JSON")
			}
			return next(ctx, &other)
		}
	})
	var got numbers
	bus.MustSubscribe(app, "s", func(ctx context.Context, m *bus.Message[Content]) error {
		return got.handle(ctx, m.Data)
	}, bus.Group(group), bus.DeadLetter())
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 3); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.get(), []int{0, 100}) {
		t.Errorf("handled %v", got.get())
	}
	if all := deadLetters(t, app, "s", group); len(all) != 1 || string(all[0].Value) != contents(2, 1)[0] {
		t.Errorf("dead letters %+v", all)
	}
}

func TestConsumedTellsHowEachRecordWent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 4)...)
	w.stream("retried", 1)
	w.put("retried", 0, contents(0, 1)...)
	app := w.app()
	var seen list[bus.Consumed]
	app.OnConsumed(func(_ context.Context, c bus.Consumed) { seen.add(c) })
	const work = 20 * time.Millisecond
	bus.MustSubscribe(app, "s", func(_ context.Context, c Content) error {
		time.Sleep(work)
		return []error{nil, bus.Reject(errBroken), bus.RetryAfter(time.Hour, errBroken), nil}[c.N]
	}, bus.Group(w.group("g")), bus.Concurrency(1, bus.ByPartition))
	bus.MustSubscribe(app, "retried", func(context.Context, Content) error { return errBroken }, bus.Group(w.group("r")),
		bus.RetryTopics(time.Hour))
	stop := running(t, app)
	eventually(t, func() bool { return seen.len() == 3 && stats(app).Retried == 1 },
		func() string { return fmt.Sprint(seen.get()) })
	if err := stop(); err != nil { // its pause ends with the partition
		t.Error(err)
	}
	got := make(map[string]bus.Consumed)
	for _, c := range seen.get() {
		got[fmt.Sprintf("%s/%d", c.Record.Stream, c.Record.Offset)] = c
		if c.Latency < c.Duration || c.Duration <= 0 {
			t.Errorf("%s took %v, latency %v", c.Outcome, c.Duration, c.Latency)
		}
		if c.Outcome != bus.OutcomeHandled && c.Outcome != bus.OutcomeUnfinished && !errors.Is(c.Err, errBroken) {
			t.Errorf("%s with %v", c.Outcome, c.Err)
		}
	}
	want := map[string]bus.Outcome{
		"s/0": bus.OutcomeHandled, "s/1": bus.OutcomeRejected, "s/2": bus.OutcomeUnfinished,
		"retried/0": bus.OutcomePostponed,
	}
	for where, outcome := range want {
		if c := got[where]; c.Outcome != outcome {
			t.Errorf("%s: %q, want %q", where, c.Outcome, outcome)
		}
	}
	if c := got["s/0"]; c.Group != w.group("g") || c.Err != nil || c.Duration < work {
		t.Errorf("%+v", c)
	}
	if len(got) != len(want) {
		t.Errorf("%d records", len(got))
	}
}

func TestAFailedRecordIsConsumedAsFailed(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]error{"abort": bus.Abort(errBroken), "stop": bus.ErrStop, "error": errBroken} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.stream("s", 1)
			w.put("s", 0, contents(0, 1)...)
			app := w.app()
			var seen list[bus.Consumed]
			app.OnConsumed(func(_ context.Context, c bus.Consumed) { seen.add(c) })
			bus.MustSubscribe(app, "s", func(context.Context, Content) error { return outcome }, bus.Group(w.group("g")),
				fast(2))
			_ = runs(t, app)
			if all := seen.get(); len(all) != 1 || all[0].Outcome != bus.OutcomeFailed || !errors.Is(all[0].Err, outcome) &&
				name != "abort" {
				t.Errorf("got %+v", all)
			}
		})
	}
}

// A panic outside of the handler must not end the program; the record is left.
func TestAPanicOfAnObserverEndsRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.app()
	app.OnConsumed(func(context.Context, bus.Consumed) { panic("no metrics") })
	bus.MustSubscribe(app, "s", handleContent, bus.Group(w.group("g")))
	err := runs(t, app)
	if _, ok := errors.AsType[*bus.PanicError](err); !ok {
		t.Errorf("run: %v", err)
	}
}

// A context that knows nothing of the record is the application's fault, which an error tells.
func TestMiddlewareWithAContextOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.app()
	app.Use(func(next bus.Handler) bus.Handler {
		return func(_ context.Context, r *bus.Record) error { return next(t.Context(), r) }
	})
	var got numbers
	bus.MustSubscribe(app, "s", func(ctx context.Context, m *bus.Message[Content]) error {
		if err := m.Commit(ctx); err == nil || !strings.Contains(err.Error(), "a context of its own") {
			t.Errorf("commit: %v", err)
		}
		return got.handle(ctx, m.Data)
	}, bus.Group(w.group("g")), bus.ManualCommit())
	if n, err := app.ConsumeFor(within(t, 30*time.Second), 1); n != 1 || err != nil || got.len() != 1 {
		t.Errorf("%d handled: %v", n, err)
	}
}

// Middleware that is added while the App runs takes effect with the next run.
func TestUseComesBeforeRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	app := w.app()
	var got, through numbers
	bus.MustSubscribe(app, "s", got.handle, bus.Group(w.group("g")))
	stop := running(t, app)
	eventually(t, func() bool { return app.Stats().Running }, says("not running"))
	app.Use(func(next bus.Handler) bus.Handler {
		return func(ctx context.Context, r *bus.Record) error {
			through.add(int(r.Offset))
			return next(ctx, r)
		}
	})
	w.put("s", 0, contents(0, 1)...)
	got.wait(t, 1)
	if err := stop(); err != nil {
		t.Error(err)
	}
	w.put("s", 0, contents(1, 1)...)
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 1); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(through.get(), []int{1}) {
		t.Errorf("through the middleware went %v", through.get())
	}
}
