package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

// visit is a handler's look at a record of a subscription with retry topics.
type visit struct {
	n      int
	stream string
	at     time.Time
	record *bus.Record
}

func visiting(seen *list[visit], outcome func(visit) error) func(context.Context, *bus.Message[Content]) error {
	return func(_ context.Context, m *bus.Message[Content]) error {
		v := visit{m.Data.N, m.Record.Stream, time.Now(), m.Record}
		seen.add(v)
		return outcome(v)
	}
}

func of(seen []visit, n int) (visits []visit) {
	for _, v := range seen {
		if v.n == n {
			visits = append(visits, v)
		}
	}
	return visits
}

func TestRetryTopicsInOrderAndThenTheDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 1)
	w.put("s", 0, contents(0, 3)...)
	app := w.app()
	var seen list[visit]
	delays := []time.Duration{300 * time.Millisecond, 600 * time.Millisecond}
	bus.MustSubscribe(app, "s", visiting(&seen, func(v visit) error {
		if v.n == 1 {
			return fmt.Errorf("seen in %s: %w", v.stream, errBroken)
		}
		return nil
	}), bus.Group(group), bus.RetryTopics(delays...))
	stop := running(t, app)
	eventually(t, func() bool { return stats(app).Finished == 5 }, func() string { return fmt.Sprintf("%+v", stats(app)) })
	// The stream itself goes on: the others were handled long before.
	w.waitCommitted(group, "s", map[int32]int64{0: 3})
	s := stats(app)
	if s.Postponed != 2 || s.DeadLettered != 1 || s.Rejected != 0 || s.Retried != 0 || !errors.Is(s.LastError, errBroken) {
		t.Errorf("stats %+v", s)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	visits := of(seen.get(), 1)
	tiers := []string{"s", "s." + group + ".retry.1", "s." + group + ".retry.2"}
	if len(visits) != 3 || len(of(seen.get(), 2)) != 1 {
		t.Fatalf("%d visits", len(visits))
	}
	if at := of(seen.get(), 2)[0].at; at.After(visits[1].at) {
		t.Error("the next record waited for the one that failed")
	}
	for i, v := range visits {
		if v.stream != tiers[i] {
			t.Errorf("visit %d in %s", i, v.stream)
		}
		if i == 0 {
			continue
		}
		due, err := time.Parse(time.RFC3339Nano, header(v.record, bus.NotBeforeHeader))
		if err != nil || v.at.Before(due) || due.Sub(visits[i-1].at) < delays[i-1] {
			t.Errorf("visit %d at %v, due at %v, %v", i, v.at, due, err)
		}
		if late := v.at.Sub(due); late > 5*time.Second {
			t.Errorf("visit %d was %v late", i, late)
		}
		if got := header(v.record, bus.AttemptsHeader); got != fmt.Sprint(i) {
			t.Errorf("visit %d after %s attempts", i, got)
		}
	}
	all := deadLetters(t, app, "s", group)
	if len(all) != 1 {
		t.Fatalf("%d dead letters", len(all))
	}
	for name, want := range map[string]string{
		bus.AttemptsHeader: "3", bus.FirstTopicHeader: w.prefix + "s", bus.FirstOffsetHeader: "1",
		bus.FirstPartitionHeader: "0",
		bus.ErrorHeader:          "seen in " + tiers[2] + ": " + errBroken.Error(), bus.NotBeforeHeader: "",
		bus.GroupHeader: group,
	} {
		if got := header(all[0], name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	names := make(map[string]int)
	for _, h := range all[0].Headers {
		if names[h.Name]++; names[h.Name] > 1 {
			t.Errorf("header %s twice", h.Name)
		}
	}
}

// A rejected record takes no detour, and one that is mended ends its way.
func TestRetryTopicsAreForFailuresOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 1)
	w.put("s", 0, contents(0, 2)...)
	app := w.app()
	var seen list[visit]
	bus.MustSubscribe(app, "s", visiting(&seen, func(v visit) error {
		switch {
		case v.n == 0:
			return bus.Reject(errBroken)
		case v.stream == "s":
			return errBroken
		}
		return nil
	}), bus.Group(group), bus.RetryTopics(50*time.Millisecond, time.Hour), fast(2))
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 3); err != nil {
		t.Fatal(err)
	}
	if a, b := len(of(seen.get(), 0)), len(of(seen.get(), 1)); a != 1 || b != 3 {
		t.Errorf("%d and %d visits", a, b)
	}
	if all := deadLetters(t, app, "s", group); len(all) != 1 || header(all[0], bus.AttemptsHeader) != "1" {
		t.Errorf("dead letters %+v", all)
	}
	retried := readAll(t, app, "s."+group+".retry.1")
	if len(retried) != 1 || header(retried[0], bus.AttemptsHeader) != "2" {
		t.Errorf("retried %+v", retried)
	}
}

// While a record waits for its time, across a restart too, nobody sleeps: its partition is paused, and all else goes
// on. With auto_offset_reset latest it is not lost even though nothing of its stream has been committed.
func TestWhatWaitsInARetryTopicSurvivesARestart(t *testing.T) {
	t.Parallel()
	for _, reset := range []string{"earliest", "latest", "none"} {
		t.Run(reset, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			group := w.group("g")
			const delay = 4 * time.Second
			var seen list[visit]
			config := bus.Config{Settings: quick(bus.Settings{"auto_offset_reset": reset})}
			start := func() *bus.App {
				app := w.app(config)
				bus.MustSubscribe(app, "s", visiting(&seen, func(v visit) error {
					if v.n == 0 && v.stream == "s" {
						return errBroken
					}
					return nil
				}), bus.Group(group), bus.RetryTopics(delay), bus.Concurrency(1, bus.ByPartition))
				return app
			}
			app := start()
			stop := running(t, app)
			eventually(t, func() bool { return stats(app).State == "stable" }, says("not stable"))
			w.stream("s", 1) // new: read from its first record whatever the reset
			w.put("s", 0, contents(0, 1)...)
			eventually(t, func() bool { return stats(app).Postponed == 1 }, says("not postponed"))
			postponed := time.Now()
			w.put("s", 0, contents(1, 50)...)
			w.waitCommitted(group, "s", map[int32]int64{0: 51})
			if reset == "earliest" {
				eventually(t, func() bool { return paused(stats(app)) == 1 },
					func() string { return fmt.Sprintf("%+v", stats(app)) })
				s := stats(app)
				i := slices.IndexFunc(s.Assigned, func(p bus.PartitionStats) bool { return p.Paused })
				if p := s.Assigned[i]; p.Stream != "s."+group+".retry.1" || p.Waiting != 1 || p.InFlight != 0 || p.Lag != 1 ||
					p.Oldest.IsZero() || s.InFlight != 0 {
					t.Errorf("while it waits: %+v, in flight %d", p, s.InFlight)
				}
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			stop = running(t, start())
			all := seen.wait(t, 52)
			first, again := of(all, 0)[0], of(all, 0)[1]
			if waited := again.at.Sub(first.at); waited < delay || again.at.Sub(postponed) > delay+10*time.Second {
				t.Errorf("handled again after %v", waited)
			}
			if last := of(all, 50)[0]; last.at.After(again.at) {
				t.Error("others waited, too")
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func paused(s bus.SubscriptionStats) (n int) {
	for _, p := range s.Assigned {
		if p.Paused {
			n++
		}
	}
	return n
}
