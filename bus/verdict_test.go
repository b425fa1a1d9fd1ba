package bus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// An outcome may have been given because of another one, as a helper function returned it. The outermost is what the
// handler says.
func TestTheOutermostOutcomeCounts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		outcome error
		dead    int  // dead letters
		fails   bool // Run does
		commits int64
	}{
		{"reject an abort", bus.Reject(bus.Abort(errBroken)), 1, false, 3},
		{"reject a stop", bus.Reject(fmt.Errorf("no more: %w", bus.ErrStop)), 1, false, 3},
		{"reject what was to come again", bus.Reject(bus.RetryAfter(time.Hour, errBroken)), 1, false, 3},
		{"abort a rejection", bus.Abort(fmt.Errorf("no use: %w", bus.Reject(errBroken))), 0, true, 1},
		{"abort a stop", bus.Abort(bus.ErrStop), 0, true, 1},
		{"abort what was to come again", bus.Abort(bus.RetryAfter(time.Hour, errBroken)), 0, true, 1},
		{"stop because of a rejection", fmt.Errorf("%w: %w", bus.ErrStop, bus.Reject(errBroken)), 0, false, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.stream("s", 1)
			w.put("s", 0, contents(0, 3)...)
			app := w.app()
			var got numbers
			var outcomes list[bus.Outcome]
			app.OnConsumed(func(_ context.Context, c bus.Consumed) { outcomes.add(c.Outcome) })
			group := w.group("g")
			bus.MustSubscribe(app, "s", rejectAt(1, test.outcome, &got), bus.Group(group), bus.DeadLetter(), fast(2))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- app.Run(ctx) }()
			if test.commits == 3 {
				w.waitCommitted(group, "s", map[int32]int64{0: 3})
				cancel()
			}
			err := result(t, ended)
			if (err != nil) != test.fails {
				t.Errorf("Run: %v", err)
			}
			w.waitCommitted(group, "s", map[int32]int64{0: test.commits})
			if test.dead > 0 {
				if dead := deadLetters(t, app, "s", group); len(dead) != test.dead {
					t.Errorf("%d dead letters", len(dead))
				}
			}
			want := bus.OutcomeFailed
			if test.dead > 0 {
				want = bus.OutcomeDeadLetter
			}
			if all := outcomes.get(); len(all) < 2 || all[1] != want {
				t.Errorf("outcomes %v", all)
			}
		})
	}
}

// RetryAfter says that another time will do, whatever the cause says of itself.
func TestRetryAfterARejectionIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.app()
	var got numbers
	bus.MustSubscribe(app, "s", func(_ context.Context, c Content) error {
		if got.add(c.N); got.len() == 1 {
			return bus.RetryAfter(time.Millisecond, bus.Reject(errBroken))
		}
		return nil
	}, bus.Group(w.group("g")))
	if n, err := app.ConsumeFor(within(t, 20*time.Second), 1); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if all := got.get(); !slices.Equal(all, []int{0, 0}) {
		t.Errorf("handled %v", all)
	}
}

// nilError is an error type whose nil cannot be printed.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// A nil pointer in an error is an error in Go, and its text a panic.
func TestAnErrorThatIsANilPointerGoesToTheDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 3)...)
	app := w.app()
	var got numbers
	group := w.group("g")
	bus.MustSubscribe(app, "s", rejectAt(1, (*nilError)(nil), &got), bus.Group(group), bus.DeadLetter(), fast(1))
	if n, err := app.ConsumeFor(within(t, 20*time.Second), 3); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	dead := deadLetters(t, app, "s", group)
	if len(dead) != 1 || !strings.Contains(header(dead[0], bus.ErrorHeader), "a nil *bus_test.nilError") {
		t.Errorf("dead letters %v", dead)
	}
	if err := stats(app).LastError; err == nil || !strings.Contains(err.Error(), "return nil itself") {
		t.Errorf("the last error is %v", err)
	}
}
