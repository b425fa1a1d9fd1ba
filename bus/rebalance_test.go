package bus_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// beginning is the start of a handler, in one of several Apps.
type beginning struct {
	app       int
	partition int
	offset    int64
	at        time.Time
}

// Two members come and go: every record is handled once, because each drain commits what has been handled; and once
// another member has a partition the one before begins nothing of it.
func TestNothingOfARevokedPartitionBegins(t *testing.T) {
	t.Parallel()
	const partitions, records = 6, 250
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", partitions)
	for p := range int32(partitions) {
		w.put("s", p, contents(0, records)...)
	}
	var seen list[beginning]
	var busy [partitions]atomic.Int32
	subscribed := func(id int) *bus.App {
		app := w.app()
		bus.MustSubscribe(app, "s", func(_ context.Context, r *bus.Record) error {
			if busy[r.Partition].Add(1) > 1 {
				t.Errorf("two handlers of partition %d at once", r.Partition)
			}
			defer busy[r.Partition].Add(-1)
			seen.add(beginning{id, r.Partition, r.Offset, time.Now()})
			time.Sleep(rand.N(8 * time.Millisecond))
			return nil
		}, bus.Group(group))
		return app
	}
	first, second := subscribed(0), subscribed(1)
	stopFirst := running(t, first)
	seen.wait(t, 100)
	stopSecond := running(t, second)
	stable(t, partitions, first, second)
	n := seen.len()
	seen.wait(t, n+100)
	if err := stopSecond(); err != nil {
		t.Error(err)
	}
	stable(t, partitions, first)
	n = seen.len()
	seen.wait(t, n+100)
	stopThird := running(t, subscribed(2))
	seen.wait(t, partitions*records)
	if err := errors.Join(stopFirst(), stopThird()); err != nil {
		t.Error(err)
	}
	all := seen.get()
	if len(all) != partitions*records {
		t.Errorf("%d handlers began for %d records", len(all), partitions*records)
	}
	moved := 0
	for p := range partitions {
		var last *beginning
		for i := range all {
			b := &all[i]
			if b.partition != p {
				continue
			}
			switch {
			case last == nil && b.offset != 0, last != nil && b.offset != last.offset+1:
				t.Fatalf("partition %d: %+v after %+v", p, b, last)
			case last != nil && b.app != last.app:
				moved++
			}
			last = b
		}
	}
	if moved < 3 {
		t.Errorf("partitions moved %d times: the test saw no rebalance", moved)
	}
}

// A handler that does not finish in time is cancelled, and its record handled by whoever has the partition then.
// Nothing is committed for it meanwhile.
func TestADrainPastItsTimeCancelsAndRedelivers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 2)
	w.put("s", 0, contents(0, 3)...)
	w.put("s", 1, contents(10, 3)...)
	const drain = 300 * time.Millisecond
	var causes list[error]
	var handled list[string]
	cancelled := make(chan time.Time, 2)
	subscribed := func(id string, stubborn bool) *bus.App {
		app := w.app(bus.Config{DrainTimeout: drain})
		var stuck [2]atomic.Bool
		bus.MustSubscribe(app, "s", func(ctx context.Context, r *bus.Record) error {
			if stubborn && r.Offset == 1 && !stuck[r.Partition].Swap(true) {
				<-ctx.Done()
				cancelled <- time.Now()
				causes.add(context.Cause(ctx))
				return ctx.Err()
			}
			handled.add(fmt.Sprintf("%s %d/%d", id, r.Partition, r.Offset))
			return nil
		}, bus.Group(group), fast(5), bus.DeadLetter())
		return app
	}
	first := subscribed("first", true)
	stopFirst := running(t, first)
	w.waitCommitted(group, "s", map[int32]int64{0: 1, 1: 1})
	began := time.Now()
	second := subscribed("second", false)
	stopSecond := running(t, second)
	for range 2 {
		if took := (<-cancelled).Sub(began); took < drain {
			t.Errorf("cancelled after %v", took)
		}
	}
	if c := w.committed(group, "s"); c[0] != 1 || c[1] != 1 {
		t.Errorf("committed %v while the records are unfinished", c)
	}
	w.waitCommitted(group, "s", map[int32]int64{0: 3, 1: 3})
	if err := errors.Join(stopFirst(), stopSecond()); err != nil {
		t.Error(err)
	}
	all := handled.get()
	slices.Sort(all)
	if len(all) != 6 {
		t.Errorf("handled %v, want each record once", all)
	}
	if !slices.ContainsFunc(all, func(s string) bool { return s == "second 0/1" || s == "second 1/1" }) {
		t.Errorf("handled %v: the second member should have one of the two", all)
	}
	for _, err := range causes.get() {
		if err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("the context's cause is %v: it should say what happened", err)
		}
	}
	if n := len(readAll(t, first, "*.dead")); n > 0 {
		t.Errorf("%d dead letters", n)
	}
}

// A handler that ignores its context is given up after a second, so that the group does not wait for it; and while it
// runs, its partition waits when it comes back to the same program: a record is not handled twice at once. What such a
// handler says too late counts for nothing.
func TestAnAbandonedHandlerKeepsItsPartitionFromBeginningTwice(t *testing.T) {
	t.Parallel()
	w, log := newWorld(t), new(logged)
	group := w.group("g")
	w.stream("s", 1)
	w.put("s", 0, contents(0, 2)...)
	app := w.app(bus.Config{DrainTimeout: 100 * time.Millisecond, Logger: log.logger()})
	release := make(chan struct{})
	var begun list[int64]
	var atOnce atomic.Int32
	bus.MustSubscribe(app, "s*", func(_ context.Context, r *bus.Record) error {
		if atOnce.Add(1) > 1 {
			t.Error("two handlers of the partition at once")
		}
		defer atOnce.Add(-1)
		begun.add(r.Offset)
		if begun.len() == 1 {
			<-release
		}
		return nil
	}, bus.Group(group))
	stop := running(t, app)
	begun.wait(t, 1)
	w.stream("s2", 1) // a rebalance
	eventually(t, func() bool { return stats(app).Abandoned == 1 && stats(app).State == "stable" },
		func() string { return fmt.Sprintf("%+v", stats(app)) })
	if err := app.Health(t.Context()); err == nil {
		t.Error("healthy with an abandoned handler")
	}
	if !log.has("has not returned although its context ended") || !log.has("the partition waits for it") {
		t.Errorf("the log does not tell:\n%s", log)
	}
	if begun.len() != 1 || w.committed(group, "s")[0] != 0 {
		t.Errorf("begun %v, committed %v", begun.get(), w.committed(group, "s"))
	}
	close(release)
	w.waitCommitted(group, "s", map[int32]int64{0: 2})
	eventually(t, func() bool { return app.Health(t.Context()) == nil },
		func() string { return fmt.Sprint(app.Health(t.Context())) })
	if err := stop(); err != nil {
		t.Error(err)
	}
	if all := begun.get(); !slices.Equal(all, []int64{0, 0, 1}) {
		t.Errorf("begun %v: record 0 has to be delivered again", all)
	}
}
