package bus_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

// failing is two groups that give up all records of a stream until they are mended, and what they handle then.
type failing struct {
	w        *world
	one, two string // groups
	mended   atomic.Bool
	handled  map[string]*list[*bus.Record]
	app      *bus.App
}

// newFailing gives up n records of stream s, each with the key k, in both groups.
func newFailing(t *testing.T, n int) *failing {
	t.Helper()
	f := &failing{w: newWorld(t), handled: make(map[string]*list[*bus.Record])}
	f.one, f.two = f.w.group("one"), f.w.group("two")
	f.w.stream("s", 2)
	for _, value := range contents(0, n) {
		f.w.putRecords(&kgo.Record{Topic: f.w.prefix + "s", Key: []byte("k"), Value: []byte(value),
			Headers: []kgo.RecordHeader{{Key: "own", Value: []byte("h")}}})
	}
	f.app = f.w.app()
	for _, group := range []string{f.one, f.two} {
		f.handled[group] = new(list[*bus.Record])
		bus.MustSubscribe(f.app, "s", func(_ context.Context, r *bus.Record) error {
			if !f.mended.Load() {
				return bus.Reject(errors.New("refused " + string(r.Value)))
			}
			f.handled[group].add(r)
			return nil
		}, bus.Group(group), bus.DeadLetter())
	}
	stop := running(t, f.app)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	eventually(t, func() bool {
		all := f.app.Stats().Subscriptions
		return all[0].DeadLettered == uint64(n) && all[1].DeadLettered == uint64(n)
	}, says("not all records are given up"))
	f.mended.Store(true)
	return f
}

// states returns the states of the dead letters of a group, in their order.
func (f *failing) states(t *testing.T, group string) []bus.DeadLetterState {
	t.Helper()
	var states []bus.DeadLetterState
	for d, err := range f.app.DeadLetters(t.Context(), "s", group) {
		if err != nil {
			t.Fatal(err)
		}
		if d.Group != group || d.FirstStream != "s" || d.Attempts != 1 || d.FailedTime.IsZero() ||
			d.Error != "rejected: refused "+string(d.Record.Value) {
			t.Errorf("dead letter %+v", d)
		}
		states = append(states, d.State)
	}
	return states
}

func TestAReplayedRecordIsHandledByItsGroupAlone(t *testing.T) {
	t.Parallel()
	f := newFailing(t, 250)
	ctx := t.Context()
	all := bus.DeadLetterSelection{}
	if n, err := f.app.ReplayDeadLetters(ctx, "s", f.one, bus.DeadLetterSelection{DryRun: true}); err != nil ||
		n != (bus.DeadLetterCount{Open: 250, Selected: 250}) {
		t.Errorf("dry run: %+v, %v", n, err)
	}
	n, err := f.app.ReplayDeadLetters(ctx, "s", f.one, all)
	if err != nil || n != (bus.DeadLetterCount{Open: 250, Selected: 250, Done: 250}) {
		t.Errorf("replay: %+v, %v", n, err)
	}
	again := f.handled[f.one].wait(t, 250)
	for i, value := range contents(0, 250) {
		if r := again[i]; string(r.Value) != value || string(r.Key) != "k" || header(r, "own") != "h" {
			t.Fatalf("record %d: %q %q %q", i, r.Key, r.Value, r.Headers)
		}
	}
	if n, err = f.app.ReplayDeadLetters(ctx, "s", f.one, all); err != nil || n != (bus.DeadLetterCount{}) {
		t.Errorf("replay once more: %+v, %v", n, err)
	}
	if got := f.states(t, f.one); len(got) != 250 || slices.Contains(got, bus.DeadLetterOpen) {
		t.Errorf("states %v", got)
	}
	if n := f.handled[f.two].len(); n > 0 {
		t.Errorf("the other group has handled %d records again", n)
	}
	if got := f.states(t, f.two); len(got) != 250 || slices.Contains(got, bus.DeadLetterReplayed) {
		t.Errorf("states of the other group %v", got)
	}
}

func TestASelectionOfDeadLetters(t *testing.T) {
	t.Parallel()
	f := newFailing(t, 6)
	ctx := t.Context()
	odd := func(d *bus.DeadLetterRecord) bool {
		return strings.Contains("135", d.Error[len(d.Error)-3:len(d.Error)-2])
	}
	n, err := f.app.DropDeadLetters(ctx, "s", f.one, bus.DeadLetterSelection{Where: odd, Limit: 2})
	if err != nil || n != (bus.DeadLetterCount{Open: 6, Selected: 2, Done: 2}) {
		t.Errorf("drop: %+v, %v", n, err)
	}
	n, err = f.app.ReplayDeadLetters(ctx, "s", f.one, bus.DeadLetterSelection{Where: odd})
	if err != nil || n != (bus.DeadLetterCount{Open: 4, Selected: 1, Done: 1}) {
		t.Errorf("replay: %+v, %v", n, err)
	}
	const open, dropped, replayed = bus.DeadLetterOpen, bus.DeadLetterDropped, bus.DeadLetterReplayed
	if got, want := f.states(t, f.one), []bus.DeadLetterState{open, dropped, open, dropped, open,
		replayed}; !slices.Equal(got, want) {
		t.Errorf("states %v, want %v", got, want)
	}
	if got := f.handled[f.one].wait(t, 1); len(got) != 1 || string(got[0].Value) != contents(5, 1)[0] {
		t.Errorf("handled %v", got)
	}
}

// A replay whose context ends has recorded all that it has replayed.
func TestAReplayThatIsCancelledRepeatsNothing(t *testing.T) {
	t.Parallel()
	f := newFailing(t, 250)
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	n, err := f.app.ReplayDeadLetters(ctx, "s", f.one, bus.DeadLetterSelection{Where: func(*bus.DeadLetterRecord) bool {
		if seen++; seen == 150 {
			cancel()
		}
		return true
	}})
	if !errors.Is(err, context.Canceled) || n.Done != 100 {
		t.Errorf("cancelled: %+v, %v", n, err)
	}
	if n, err = f.app.ReplayDeadLetters(t.Context(), "s", f.one, bus.DeadLetterSelection{}); err != nil || n.Done != 150 {
		t.Errorf("what was left: %+v, %v", n, err)
	}
	if all := f.handled[f.one].wait(t, 250); len(all) != 250 {
		t.Errorf("%d records are handled", len(all))
	}
}

// A record that fails again is a new dead letter, and can be replayed again.
func TestAReplayedRecordThatFailsAgain(t *testing.T) {
	t.Parallel()
	f := newFailing(t, 1)
	f.mended.Store(false)
	if _, err := f.app.ReplayDeadLetters(t.Context(), "s", f.one, bus.DeadLetterSelection{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return f.app.Stats().Subscriptions[0].DeadLettered == 2 }, says("it did not fail again"))
	var attempts []int
	for d, err := range f.app.DeadLetters(t.Context(), "s", f.one) {
		if err != nil {
			t.Fatal(err)
		}
		if d.State == bus.DeadLetterOpen {
			attempts = append(attempts, d.Attempts)
		}
	}
	if !slices.Equal(attempts, []int{2}) {
		t.Errorf("attempts of the open dead letters: %v", attempts)
	}
}

// What was replayed is forgotten with the stream of dead letters: another record at the same place is open.
func TestAStreamOfDeadLettersThatIsMadeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, dead := w.app(), "s.g.dead"
	w.stream(dead, 1)
	w.putAt(dead, 0, time.UnixMilli(1_700_000_000_000), contents(0, 1)...)
	ctx := t.Context()
	if n, err := app.DropDeadLetters(ctx, "s", "g", bus.DeadLetterSelection{}); err != nil || n.Done != 1 {
		t.Fatalf("%+v, %v", n, err)
	}
	w.delete(dead)
	w.stream(dead, 1)
	w.connect() // the client knows the topic that was
	w.putAt(dead, 0, time.UnixMilli(1_700_000_000_001), contents(1, 1)...)
	if n, err := app.DropDeadLetters(ctx, "s", "g", bus.DeadLetterSelection{DryRun: true}); err != nil || n.Open != 1 {
		t.Errorf("%+v, %v", n, err)
	}
}

// Where it cannot be recorded what was replayed, nothing is: each call would replay it again.
func TestNothingIsReplayedWithoutARecordOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.app(bus.Config{CreateTopics: new(false)})
	w.stream("s.g.dead", 1)
	w.stream("s.g.replay", 1)
	w.put("s.g.dead", 0, contents(0, 3)...)
	n, err := app.ReplayDeadLetters(t.Context(), "s", "g", bus.DeadLetterSelection{})
	if err == nil || n.Done != 0 || !strings.Contains(err.Error(), `"s.g.replay.log"`) {
		t.Errorf("%+v, %v; want an error that names the stream that there is not", n, err)
	}
	if end := w.ends("s.g.replay")[0]; end != 0 {
		t.Errorf("%d records are replayed, want none", end)
	}
}

// A name that is too long for the stream of what was replayed is an error of a replay, and of nothing else.
func TestDeadLettersOfALongName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.app()
	long := strings.Repeat("s", 249-len(w.prefix+".g.dead"))
	w.stream(long+".g.dead", 1)
	w.put(long+".g.dead", 0, contents(0, 1)...)
	n, err := app.ReplayDeadLetters(t.Context(), long, "g", bus.DeadLetterSelection{})
	if err == nil || n.Done != 0 || !strings.Contains(err.Error(), "Kafka allows 249") {
		t.Errorf("%+v, %v; want an error that says that the name is too long", n, err)
	}
	n, err = app.ReplayDeadLetters(t.Context(), long, "g", bus.DeadLetterSelection{DryRun: true})
	if err != nil || n.Open != 1 {
		t.Errorf("%+v, %v; want one that is open", n, err)
	}
}

// While a program replays, another one is refused, for a drop too, and hears who replays.
func TestASecondReplayIsRefused(t *testing.T) {
	t.Parallel()
	f := newFailing(t, 250)
	first := f.w.app(bus.Config{Settings: bus.Settings{"client_id": "first"}})
	begun, release := make(chan struct{}), make(chan struct{})
	type result struct {
		n   bus.DeadLetterCount
		err error
	}
	ended := make(chan result, 1)
	go func() {
		seen := 0
		n, err := first.ReplayDeadLetters(t.Context(), "s", f.one, bus.DeadLetterSelection{
			Where: func(*bus.DeadLetterRecord) bool {
				if seen++; seen == 150 {
					close(begun)
					<-release
				}
				return true
			},
		})
		ended <- result{n, err}
	}()
	<-begun
	for _, do := range []func(context.Context, string, string, bus.DeadLetterSelection) (bus.DeadLetterCount, error){
		f.app.ReplayDeadLetters, f.app.DropDeadLetters,
	} {
		n, err := do(t.Context(), "s", f.one, bus.DeadLetterSelection{})
		if !errors.Is(err, bus.ErrReplayRunning) || n.Done != 0 || !strings.Contains(err.Error(), `the client "first" at `) {
			t.Errorf("%+v, %v; want an error that names the client that replays", n, err)
		}
	}
	if n, err := f.app.DropDeadLetters(t.Context(), "s", f.two, bus.DeadLetterSelection{}); err != nil || n.Done != 250 {
		t.Errorf("dead letters of another group: %+v, %v", n, err)
	}
	close(release)
	if r := <-ended; r.err != nil || r.n.Done != 250 {
		t.Errorf("the first replay: %+v, %v", r.n, r.err)
	}
	if n, err := f.app.ReplayDeadLetters(t.Context(), "s", f.one, bus.DeadLetterSelection{}); err != nil || n.Open != 0 {
		t.Errorf("after it: %+v, %v", n, err)
	}
	if again := f.handled[f.one].wait(t, 250); len(again) != 250 {
		t.Errorf("%d records are handled again, want 250", len(again))
	}
}

func TestDeadLettersThatThereAreNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.app()
	if _, err := app.ReplayDeadLetters(t.Context(), "s", "g", bus.DeadLetterSelection{}); !errors.Is(err,
		bus.ErrNoDeadLetters) ||
		!strings.Contains(err.Error(), `"s.g.dead"`) {
		t.Error(err)
	}
	if _, err := app.DropDeadLetters(t.Context(), "s s", "g", bus.DeadLetterSelection{}); err == nil ||
		errors.Is(err, bus.ErrNoDeadLetters) {
		t.Error(err)
	}
	if all, err := app.DeadLetterStreams(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}
