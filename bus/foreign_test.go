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

// Data of other programs has no envelope: a handler that takes it as it is can commit it and send it on all the same.
func TestForeignDataIsCommittedAndForwarded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.stream("records", 1)
	w.stream("bytes", 1)
	foreign := []string{"no JSON \xff", "", `[1]`, "four"}
	w.put("s", 0, foreign...)
	app := w.app()
	groups := []string{w.group("records"), w.group("bytes")}
	bus.MustSubscribe(app, "s", func(ctx context.Context, r *bus.Record) error {
		if r.Offset == 3 {
			return nil
		}
		if err := bus.Forward(ctx, r, "records", bus.AddHeader("seen", "yes")); err != nil {
			return err
		}
		return bus.Commit(ctx, r)
	}, bus.Group(groups[0]), bus.ManualCommit())
	bus.MustSubscribe(app, "s", func(ctx context.Context, value []byte) error {
		r := bus.Records(ctx)[0]
		if string(r.Value) != string(value) {
			t.Errorf("the record of %q has the value %q", value, r.Value)
		}
		if r.Offset == 3 {
			return nil
		}
		if err := bus.Forward(ctx, r, "bytes"); err != nil {
			return err
		}
		return bus.Commit(ctx, r)
	}, bus.Group(groups[1]), bus.ManualCommit())
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 2*len(foreign)); err != nil {
		t.Fatal(err)
	}
	for i, stream := range []string{"records", "bytes"} {
		var got []string
		for _, r := range readAll(t, app, stream) {
			got = append(got, string(r.Value))
		}
		if !slices.Equal(got, foreign[:3]) {
			t.Errorf("forwarded to %s: %q", stream, got)
		}
		if c := w.committed(groups[i], "s")[0]; c != 3 {
			t.Errorf("group of %s: committed %d, and Commit was called for 2", stream, c)
		}
	}
}

func TestWithoutACallThereIsNothingToCommit(t *testing.T) {
	t.Parallel()
	r := &bus.Record{Topic: "s"}
	for _, err := range []error{bus.Commit(t.Context(), r), bus.Forward(t.Context(), r, "elsewhere")} {
		if err == nil || !strings.Contains(err.Error(), "use the one that the handler was given") {
			t.Errorf("got %v", err)
		}
	}
	if bus.Records(t.Context()) != nil || bus.Attempt(t.Context()) != 0 {
		t.Error("there are records of no call")
	}
}

func TestTheContextHasTheNumberOfTheAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 2)...)
	app := w.app()
	var calls list[string]
	bus.MustSubscribe(app, "s", func(ctx context.Context, c Content) error {
		calls.add(fmt.Sprintf("%d: %d", c.N, bus.Attempt(ctx)))
		switch {
		case c.N == 0 && bus.Attempt(ctx) == 1:
			return errBroken
		case c.N == 0 && bus.Attempt(ctx) == 2:
			return bus.RetryAfter(time.Millisecond, errBroken)
		}
		return nil
	}, bus.Group(w.group("g")), fast(5))
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 2); err != nil {
		t.Fatal(err)
	}
	if got, want := calls.get(), []string{"0: 1", "0: 2", "0: 3", "1: 1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
