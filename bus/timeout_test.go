package bus_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

func TestTimeoutEndsTheContextAndAllAttempts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 1)
	w.put("s", 0, contents(0, 2)...)
	app := w.app()
	var got numbers
	var took time.Duration
	bus.MustSubscribe(app, "s", func(ctx context.Context, c Content) error {
		got.add(c.N)
		if c.N == 1 {
			return nil
		}
		began := time.Now()
		<-ctx.Done()
		took = time.Since(began)
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			t.Errorf("the context ended with %v, because %v", ctx.Err(), context.Cause(ctx))
		}
		return errBroken
	}, bus.Group(group), bus.Timeout(200*time.Millisecond), bus.DeadLetter(), fast(5))
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 2); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.get(), []int{0, 1}) || took < 150*time.Millisecond || took > 5*time.Second {
		t.Errorf("handled %v, after %v", got.get(), took)
	}
	all := deadLetters(t, app, "s", group)
	if len(all) != 1 {
		t.Fatalf("%d dead letters", len(all))
	}
	text := header(all[0], bus.ErrorHeader)
	if !strings.Contains(text, "not handled within 200ms") || !strings.Contains(text, errBroken.Error()) ||
		strings.Contains(text, "\n") {
		t.Errorf("error %q", text)
	}
	if kind, n := header(all[0], bus.ErrorTypeHeader), header(all[0], bus.AttemptsHeader); kind != "*errors.errorString" ||
		n != "1" {
		t.Errorf("type %s, attempts %s", kind, n)
	}
}

// The pauses between attempts count, and end with the time.
func TestTimeoutEndsPausesAndWithoutDeadLettersRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 2)...)
	app := w.app()
	var got numbers
	bus.MustSubscribe(app, "s", rejectAt(0, bus.RetryAfter(time.Hour, errBroken), &got), bus.Group(w.group("g")),
		bus.Timeout(100*time.Millisecond))
	err := runs(t, app)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errBroken) {
		t.Errorf("run: %v", err)
	}
	if c := w.committed(w.group("g"), "s")[0]; c != 0 || got.len() != 1 {
		t.Errorf("committed %d, handled %v", c, got.get())
	}
}

// A handler that returns nil is done, however late.
func TestAHandlerThatIgnoresItsTimeoutBlocksItsLaneWithAWarning(t *testing.T) {
	t.Parallel()
	w, log := newWorld(t), new(logged)
	w.stream("s", 2)
	w.put("s", 0, contents(0, 2)...)
	app := w.app(bus.Config{Logger: log.logger()})
	var got numbers
	release := make(chan struct{})
	bus.MustSubscribe(app, "s", func(_ context.Context, c Content) error {
		if c.N == 0 {
			<-release
		}
		got.add(c.N)
		return nil
	}, bus.Group(w.group("g")), bus.Timeout(50*time.Millisecond))
	stop := running(t, app)
	eventually(t, func() bool { return log.has("it blocks its lane") },
		func() string { return "no warning in " + log.String() })
	if !log.has("record=" + w.prefix + "s/0@0") {
		t.Errorf("the warning does not say which record:\n%s", log)
	}
	w.put("s", 1, contents(10, 10)...)
	if all := got.wait(t, 10); slices.Contains(all, 1) {
		t.Errorf("handled %v, and 1 is behind the one that blocks", all)
	}
	close(release)
	got.wait(t, 12)
	w.waitCommitted(w.group("g"), "s", map[int32]int64{0: 2, 1: 10})
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A handler that returns its context's error adds nothing to what the error of the timeout says.
func TestTheErrorOfATimeoutIsSaidOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.app()
	bus.MustSubscribe(app, "s", func(ctx context.Context, _ Content) error {
		<-ctx.Done()
		return ctx.Err()
	}, bus.Group(w.group("g")), bus.Timeout(50*time.Millisecond))
	err := runs(t, app)
	if !errors.Is(err, context.DeadlineExceeded) || strings.Count(err.Error(), "deadline exceeded") != 1 {
		t.Errorf("Run: %v", err)
	}
}

// The longest Timeout is none: no line says that it is over.
func TestTheLongestTimeout(t *testing.T) {
	t.Parallel()
	w, log := newWorld(t), new(logged)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 10)...)
	app := w.app(bus.Config{Logger: log.logger()})
	var calls atomic.Int64
	bus.MustSubscribe(app, "s", func(context.Context, []Content) error {
		time.Sleep(10 * time.Millisecond) // a line would come meanwhile
		if calls.Add(1) < 3 {
			return errors.New("not yet")
		}
		return nil
	}, bus.Group(w.group("g")), bus.Batch(5, time.Second), bus.Timeout(math.MaxInt64), fast(5))
	if n, err := app.ConsumeFor(within(t, 30*time.Second), 10); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	if log.has("is over") {
		t.Errorf("the log:\n%s", log)
	}
}
