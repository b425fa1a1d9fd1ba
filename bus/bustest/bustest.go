// Package bustest is for the tests of an application. It has a Kafka inside the test process, an App that runs until
// the test ends, the records that were published, and a Message for tests that call a handler without a Kafka.
//
// [NewApp], [Servers], [Run], [Published] and [NewMessage] call Fatal when they fail, so that they have to be called
// from the test's own goroutine. Only tests import this package.
package bustest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/devkafka"
)

const (
	// timeout is the longest wait for a state. It is far more than any takes, also on a busy machine.
	timeout = 30 * time.Second
	// reserve is what a wait leaves of the test binary's own time, so that it is the wait that fails and says why.
	reserve = 2 * time.Second
	// pollInterval is the pause between two polls of a state.
	pollInterval = 2 * time.Millisecond
	// drainTimeout is short, so that a handler that hangs soon fails its test.
	drainTimeout = 5 * time.Second
)

// Option is an option of [NewApp]. A nil option has no effect.
type Option func(*bus.App)

// Config sets the fields of the App's configuration that are set in c. By default Servers is the Kafka of NewApp,
// DrainTimeout is 5s, Logger writes warnings and errors to the test's log, and the settings metadata_max_age_ms and
// heartbeat_interval_ms are 100.
func Config(c bus.Config) Option {
	return func(a *bus.App) {
		if c.Settings != nil {
			settings := quickSettings()
			maps.Copy(settings, c.Settings)
			c.Settings = settings
		}
		a.Configure(c)
	}
}

// quickSettings make an App of a test see new topics and new members at once. The App of a service polls less often.
func quickSettings() bus.Settings {
	return bus.Settings{"metadata_max_age_ms": 100, "heartbeat_interval_ms": 100}
}

// NewApp returns an App on a Kafka of its own. Both end with the test. An error of the App's Close fails the test.
func NewApp(t testing.TB, opts ...Option) *bus.App {
	t.Helper()
	app := bus.New(bus.Config{
		Servers:      Servers(t),
		Settings:     quickSettings(),
		DrainTimeout: drainTimeout,
		Logger:       slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	for _, opt := range opts {
		if opt != nil {
			opt(app)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := app.Close(ctx); err != nil {
			t.Errorf("bustest: %v", err)
		}
	})
	return app
}

// Servers starts a Kafka of one broker in the test process, for Apps that the test makes itself, and returns its
// address for bus.Config. It ends with the test. It has no security. Topics that the App does not create have 4
// partitions.
func Servers(t testing.TB) []string {
	t.Helper()
	servers, end, err := StartKafka()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	return servers
}

// StartKafka starts a Kafka as [Servers] does, for a TestMain or a program, and returns its address for bus.Config.
// The caller has to call end. The records are in memory, and lost after end.
func StartKafka() (servers []string, end func() error, err error) {
	broker, err := devkafka.Start(devkafka.Options{})
	if err != nil {
		return nil, nil, fmt.Errorf("bustest: start the broker: %w", err)
	}
	end = func() error {
		if err := broker.Close(); err != nil {
			return fmt.Errorf("bustest: close the broker: %w", err)
		}
		return nil
	}
	return broker.Addrs(), end, nil
}

// Run runs the App until the test ends. It returns when the member of every subscription has joined its group and has
// its partitions. What is published from then on is handled, with auto_offset_reset latest too. Run does not wait for
// a subscription that has ended by bus.ErrStop, nor for a pattern that no stream matches yet: its streams are read
// from their first record when they appear. An error of [bus.App.Run] fails the test.
func Run(t testing.TB, app *bus.App) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // Cleanup functions may publish
	ended := make(chan struct{})
	var err error // valid once ended is closed
	go func() {
		defer close(ended)
		if err = app.Run(ctx); err != nil {
			t.Errorf("bustest: %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	limit := time.NewTimer(timeLeft(t))
	defer limit.Stop()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for !assigned(app.Stats()) {
		select {
		case <-ended:
			if err != nil {
				t.FailNow()
			}
			return // every subscription has ended by ErrStop
		case <-limit.C:
			t.Fatalf("bustest: run: not every member has its partitions:\n%s", members(app.Stats()))
		case <-poll.C:
		}
	}
}

// assigned reports whether the member of every subscription has its partitions. Members of one group have them when
// all are in the same generation: a member that joins later begins a new one.
func assigned(s bus.Stats) bool {
	if !s.Running {
		return false
	}
	generations := make(map[string]int32)
	for _, member := range s.Subscriptions {
		if member.State == "left" {
			continue
		}
		generation, known := generations[member.Group]
		if member.State != "stable" || known && generation != member.Generation {
			return false
		}
		generations[member.Group] = member.Generation
		if slices.ContainsFunc(member.Assigned, opening) {
			return false
		}
	}
	return true
}

// opening reports whether the first position is still unknown. Records that are published meanwhile are not read with
// auto_offset_reset latest. A committed offset is the position at once.
func opening(p bus.PartitionStats) bool { return p.Position < 0 && p.Committed < 0 }

// members lists the subscriptions with the states of their members.
func members(s bus.Stats) string {
	var b strings.Builder
	for _, m := range s.Subscriptions {
		fmt.Fprintf(&b, "%q of group %q: %s in generation %d, %d partitions",
			m.Patterns, m.Group, m.State, m.Generation, len(m.Assigned))
		for _, p := range m.Assigned {
			if opening(p) {
				fmt.Fprintf(&b, ", the position of %s/%d is unknown", p.Topic, p.Partition)
			}
		}
		if m.LastError != nil {
			fmt.Fprintf(&b, ": %v", m.LastError)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Published waits until stream has n records and returns what bus.Decode makes of them: the first n that are read.
// Records with the same key come in their order. T is what a handler may take, *bus.Record and *bus.Message too. The
// test fails, with the records that are there, when there are fewer after 30 seconds, when the App's Run has failed,
// or when a record cannot be decoded into T.
func Published[T any](t testing.TB, app *bus.App, stream string, n int) []T {
	t.Helper()
	if n < 1 {
		t.Fatalf("bustest: published: %d records: n must be at least 1", n)
	}
	limit, cancel := context.WithTimeout(t.Context(), timeLeft(t))
	defer cancel()
	running, end := context.WithCancelCause(limit)
	var watch sync.WaitGroup
	watch.Go(func() { end(waitForFailure(running, app)) })
	defer watch.Wait()
	defer end(nil)
	values, read := readUpTo[T](running, t, app, stream, n)
	why := ""
	if len(values) < n && limit.Err() == nil {
		why = fmt.Sprintf(", and gets no more: %v", context.Cause(running))
		values, read = readUpTo[T](limit, t, app, stream, n, bus.StopAtEnd()) // what was published before Run failed
	}
	if len(values) < n {
		t.Fatalf("bustest: published: stream %q has %d records, want %d%s:\n%s", stream, len(values), n, why, read)
	}
	return values
}

// waitForFailure returns the error of the App's Run, or nil when ctx ends first.
func waitForFailure(ctx context.Context, app *bus.App) error {
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		if s := app.Stats(); !s.Running && slices.ContainsFunc(s.Subscriptions, hasRun) {
			if err := app.Health(ctx); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
		}
	}
}

// hasRun reports whether a subscription is or was part of a Run.
func hasRun(s bus.SubscriptionStats) bool { return s.State != "idle" }

// readUpTo reads up to n records until ctx ends, and describes all that it has read.
func readUpTo[T any](
	ctx context.Context, t testing.TB, app *bus.App, stream string, n int, opts ...bus.TailOption,
) (values []T, read string) {
	t.Helper()
	var lines strings.Builder
	for r, err := range app.Tail(ctx, stream, append(opts, bus.FromStart())...) {
		if err != nil {
			t.Fatalf("bustest: published: %v; read so far:\n%s", err, lines.String())
		}
		describe(&lines, r)
		value, err := bus.Decode[T](r)
		if err != nil {
			t.Fatalf("bustest: published: %v; read so far:\n%s", err, lines.String())
		}
		if values = append(values, value); len(values) == n {
			break
		}
	}
	return values, lines.String()
}

// describe writes a line about r.
func describe(w io.Writer, r *bus.Record) {
	fmt.Fprintf(w, "%s/%d@%d key %q: %s\n", r.Topic, r.Partition, r.Offset, r.Key, r.Value)
}

// timeLeft returns how long a wait may take.
func timeLeft(t testing.TB) time.Duration {
	if d, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if end, ok := d.Deadline(); ok {
			return min(timeout, max(0, time.Until(end)-reserve))
		}
	}
	return timeout
}
