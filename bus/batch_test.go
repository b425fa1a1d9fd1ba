package bus_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

// calls keeps the numbers of the records of each call.
type calls struct{ list[[]int] }

// want fails the test when the calls were others.
func (c *calls) want(t *testing.T, want ...[]int) {
	t.Helper()
	if diff := cmp.Diff(want, c.get()); diff != "" {
		t.Errorf("calls: -want +got\n%s", diff)
	}
}

// newWorldWith is newWorld with a stream s of one partition that has these values.
func newWorldWith(t *testing.T, values ...string) *world {
	t.Helper()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, values...)
	return w
}

// consumeFor runs the App until n records have been handled.
func consumeFor(t *testing.T, app *bus.App, n int) {
	t.Helper()
	if handled, err := app.ConsumeFor(within(t, 30*time.Second), n); handled != n || err != nil {
		t.Fatal(handled, err)
	}
}

// wantCommitted fails the test when the group has committed another offset of the stream s.
func (w *world) wantCommitted(group string, offset int64) {
	w.t.Helper()
	if c := w.committed(group, "s")[0]; c != offset {
		w.t.Errorf("committed %d, want %d", c, offset)
	}
}

func numbersOf(batch []Content) (numbers []int) {
	for _, c := range batch {
		numbers = append(numbers, c.N)
	}
	return numbers
}

// consumed keeps what became of each record, by offset.
type consumed struct {
	mu       sync.Mutex
	outcomes map[int64][]bus.Outcome
	batches  map[int64]int
}

func observe(app *bus.App) *consumed {
	c := &consumed{outcomes: make(map[int64][]bus.Outcome), batches: make(map[int64]int)}
	app.OnConsumed(func(_ context.Context, r bus.Consumed) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.outcomes[r.Record.Offset] = append(c.outcomes[r.Record.Offset], r.Outcome)
		c.batches[r.Record.Offset] = r.Batch
	})
	return c
}

func TestBatchesOfEveryType(t *testing.T) {
	t.Parallel()
	t.Run("struct", func(t *testing.T) { getsBatches(t, func(c Content) int { return c.N }) })
	t.Run("pointer", func(t *testing.T) { getsBatches(t, func(c *Content) int { return c.N }) })
	t.Run("message", func(t *testing.T) {
		getsBatches(t, func(m *bus.Message[Content]) int {
			if m.Schema != "Content:1" || m.Record.Offset != int64(m.Data.N) {
				t.Errorf("got %+v", m)
			}
			return m.Data.N
		})
	})
	t.Run("record", func(t *testing.T) { getsBatches(t, func(r *bus.Record) int { return int(r.Offset) }) })
	t.Run("bytes", func(t *testing.T) {
		getsBatches(t, func(value []byte) int {
			n := -1
			_, err := fmt.Sscanf(string(value), `{"schema":"Content:1","data":{"title":"t","n":%d}}`, &n)
			if err != nil {
				t.Error(err)
			}
			return n
		})
	})
	t.Run("map", func(t *testing.T) {
		getsBatches(t, func(m map[string]any) int { return int(m["data"].(map[string]any)["n"].(float64)) })
	})
	t.Run("anything", func(t *testing.T) {
		getsBatches(t,
			func(v any) int { return int(v.(map[string]any)["n"].(float64)) })
	})
}

// getsBatches has a handler of []T get 10 records, at most 4 at once.
func getsBatches[T any](t *testing.T, number func(T) int) {
	t.Helper()
	t.Parallel()
	w := newWorldWith(t, contents(0, 10)...)
	app, group := w.app(), w.group("g")
	seen := observe(app)
	var got numbers
	bus.MustSubscribe(app, "s", func(ctx context.Context, batch []T) error {
		if n := len(batch); n < 1 || n > 4 || n != len(bus.Records(ctx)) || bus.Attempt(ctx) != 1 {
			t.Errorf("a batch has %d records, its context %d", n, len(bus.Records(ctx)))
		}
		for _, v := range batch {
			got.add(number(v))
		}
		return nil
	}, bus.Group(group), bus.Batch(4, 20*time.Millisecond))
	consumeFor(t, app, 10)
	if !slices.Equal(got.get(), upTo(0, 10)) {
		t.Errorf("got %v", got.get())
	}
	for offset := range int64(10) {
		if !slices.Equal(seen.outcomes[offset], []bus.Outcome{bus.OutcomeHandled}) || seen.batches[offset] < 1 ||
			seen.batches[offset] > 4 {
			t.Errorf("record %d: %v, in a batch of %d", offset, seen.outcomes[offset], seen.batches[offset])
		}
	}
	if s := stats(app); s.Finished != 10 || s.Waiting != 0 || s.InFlight != 0 {
		t.Errorf("stats: %+v", s)
	}
	w.waitCommitted(group, "s", map[int32]int64{0: 10})
}

// The largest max means no bound: each batch takes what is there, the second and the third one, too.
func TestABatchOfAnyNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	app := w.app()
	var got numbers
	bus.MustSubscribe(app, "s", func(_ context.Context, batch []Content) error {
		for _, n := range numbersOf(batch) {
			got.add(n)
		}
		return nil
	}, bus.Group(w.group("g")), bus.Batch(math.MaxInt, time.Millisecond))
	stop := running(t, app)
	for i := range 3 {
		w.put("s", 0, contents(5*i, 5)...)
		got.wait(t, 5*(i+1))
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A middleware that tries again has a batch's handler called again for the record that has failed, and not once more
// for each record behind it: that would be 3 to the power of 12 calls.
func TestAMiddlewareThatTriesABatchAgain(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, contents(0, 12)...)
	app := w.app()
	seen := observe(app)
	app.Use(func(next bus.Handler) bus.Handler {
		return func(ctx context.Context, r *bus.Record) (err error) {
			for range 3 {
				if err = next(ctx, r); err == nil {
					break
				}
			}
			return err
		}
	})
	var got calls
	bus.MustSubscribe(app, "s", func(_ context.Context, batch []Content) error {
		got.add(numbersOf(batch))
		if len(batch) == 12 {
			return errors.New("too many")
		}
		return nil
	}, bus.Group(w.group("g")), bus.Batch(12, time.Second), fast(5))
	consumeFor(t, app, 12)
	// Three calls with all, then the first record alone, and batches that double.
	if n := got.len(); n != 7 || len(seen.outcomes) != 12 {
		t.Errorf("%d calls, want 7", n)
	}
}

func TestWhatBatchTakes(t *testing.T) {
	t.Parallel()
	subscribe := func(handler any, opts ...bus.SubscribeOption) error {
		opts = append(opts, bus.Group("g"))
		r := bus.NewRouter()
		switch h := handler.(type) {
		case func(context.Context, Content) error:
			return bus.Subscribe(r, "s", h, opts...)
		case func(context.Context, []byte) error:
			return bus.Subscribe(r, "s", h, opts...)
		case func(context.Context, []bus.Record) error:
			return bus.Subscribe(r, "s", h, opts...)
		case func(context.Context, [][]byte) error:
			return bus.Subscribe(r, "s", h, opts...)
		case func(context.Context, []Content) error:
			return bus.Subscribe(r, "s", h, opts...)
		}
		panic(fmt.Sprintf("%T", handler))
	}
	contents := func(context.Context, []Content) error { return nil }
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"one record", subscribe(func(context.Context, Content) error { return nil }, bus.Batch(5, 0)),
			"take a []bus_test.Content instead of bus_test.Content"},
		{"bytes", subscribe(func(context.Context, []byte) error { return nil }, bus.Batch(5, 0)),
			"take a [][]uint8 instead of []uint8"},
		{"records by value", subscribe(func(context.Context, []bus.Record) error { return nil }, bus.Batch(5, 0)),
			"take a *bus.Record"},
		{"no record", subscribe(contents, bus.Batch(0, time.Second)), "Batch(0, 1s): a batch has a record at least"},
		{"a negative wait", subscribe(contents, bus.Batch(5, -1)), "its wait is not negative"},
		{"commit", subscribe(contents, bus.Batch(5, 0), bus.ManualCommit()), "ManualCommit needs a handler that can commit"},
		{"validate bytes", subscribe(func(context.Context, [][]byte) error { return nil }, bus.Batch(5, 0),
			bus.Validate()), "[]uint8 is not data"},
		{"validate", subscribe(contents, bus.Batch(5, 0), bus.Validate()), ""},
		{"commit bytes", subscribe(func(context.Context, [][]byte) error { return nil }, bus.Batch(5, 0),
			bus.ManualCommit()), ""},
		{"without Batch", subscribe(contents), ""},
	} {
		if (test.err == nil) != (test.want == "") || test.err != nil && !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.name, test.err, test.want)
		}
	}
}

// What follows from the error of a batch of the records 0 to 5, for each of them.
func TestOutcomesOfABatch(t *testing.T) {
	t.Parallel()
	all := []int{0, 1, 2, 3, 4, 5}
	for _, test := range []struct {
		name  string
		err   error // of the first call
		panic bool
		then  map[int]error // of calls that begin with this record, once
		opts  []bus.SubscribeOption
		calls [][]int
		dead  []int
	}{
		{name: "nil", calls: [][]int{all}},
		{name: "a failed record is tried alone", err: bus.FailedAt(2, errBroken), calls: [][]int{all, {2}, {3, 4, 5}}},
		{name: "a failed record is rejected", err: bus.FailedAt(2, bus.Reject(errBroken)),
			calls: [][]int{all, {3, 4, 5}}, dead: []int{2}},
		{name: "the last one is rejected", err: bus.FailedAt(5, bus.Reject(errBroken)), calls: [][]int{all}, dead: []int{5}},
		{name: "a failed record waits", err: bus.FailedAt(2, bus.RetryAfter(time.Millisecond, errBroken)),
			calls: [][]int{all, {2}, {3, 4, 5}}},
		{name: "so many are written, and no error", err: bus.FailedAt(6, nil), calls: [][]int{all}},
		{name: "a failed record is finished", err: bus.FailedAt(2, nil), calls: [][]int{all, {3, 4, 5}}},
		{name: "wrapped", err: fmt.Errorf("write: %w", bus.FailedAt(2, bus.Reject(errBroken))),
			calls: [][]int{all, {3, 4, 5}}, dead: []int{2}},
		{name: "it has failed for good", err: bus.FailedAt(2, errBroken), then: map[int]error{2: errBroken},
			opts:  []bus.SubscribeOption{fast(2)},
			calls: [][]int{all, {2}, {3, 4, 5}}, dead: []int{2}},
		{name: "it has a single attempt", err: bus.FailedAt(2, errBroken), opts: []bus.SubscribeOption{fast(1)},
			calls: [][]int{all, {3, 4, 5}}, dead: []int{2}},
		{name: "the batch fails", err: errBroken, calls: [][]int{all, {0}, {1, 2}, {3, 4, 5}}},
		{name: "the batch fails, with a single attempt", err: errBroken, opts: []bus.SubscribeOption{fast(1)},
			calls: [][]int{all, {0}, {1, 2}, {3, 4, 5}}},
		{name: "the batch panics", panic: true, opts: []bus.SubscribeOption{fast(1)},
			calls: [][]int{all, {0}, {1, 2}, {3, 4, 5}}},
		{name: "the batch is rejected", err: bus.Reject(errBroken), calls: [][]int{all, {0}, {1, 2}, {3, 4, 5}}},
		{name: "the first is rejected", err: bus.Reject(errBroken), then: map[int]error{0: bus.Reject(errBroken)},
			calls: [][]int{all, {0}, {1, 2}, {3, 4, 5}}, dead: []int{0}},
		{name: "a poison record is found", err: errBroken, then: map[int]error{3: errBroken},
			opts:  []bus.SubscribeOption{fast(1)},
			calls: [][]int{all, {0}, {1, 2}, {3, 4, 5}, {3}, {4, 5}}},
		{name: "the batch waits", err: bus.RetryAfter(time.Millisecond, errBroken), calls: [][]int{all, all}},
		{name: "an index that it does not have", err: bus.FailedAt(6, bus.Reject(errBroken)),
			calls: [][]int{all, {0}, {1, 2}, {3, 4, 5}}},
		{name: "a negative index", err: bus.FailedAt(-1, nil), calls: [][]int{all, {0}, {1, 2}, {3, 4, 5}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorldWith(t, contents(0, 6)...)
			app, group := w.app(), w.group("g")
			seen := observe(app)
			var got calls
			bus.MustSubscribe(app, "s", func(_ context.Context, batch []Content) error {
				got.add(numbersOf(batch))
				if got.len() == 1 && test.panic {
					panic("broken")
				} else if got.len() == 1 {
					return test.err
				}
				err := test.then[batch[0].N]
				delete(test.then, batch[0].N)
				return err
			}, append([]bus.SubscribeOption{bus.Group(group), bus.Batch(6, 10*time.Second), bus.DeadLetter(), fast(5)},
				test.opts...)...)
			consumeFor(t, app, 6)
			got.want(t, test.calls...)
			for offset := range 6 {
				want := bus.OutcomeHandled
				if slices.Contains(test.dead, offset) {
					want = bus.OutcomeDeadLetter
				}
				if outcomes := seen.outcomes[int64(offset)]; !slices.Equal(outcomes, []bus.Outcome{want}) {
					t.Errorf("record %d: %v, want %s", offset, outcomes, want)
				}
			}
			if s := stats(app); s.Finished != 6 || s.DeadLettered != uint64(len(test.dead)) {
				t.Errorf("finished %d, dead letters %d", s.Finished, s.DeadLettered)
			}
			w.wantCommitted(group, 6)
		})
	}
}

// Run ends, or the subscription does, and what was not finished before the record is not committed.
func TestABatchEndsItsRun(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		err    error
		fails  bool
		commit int64
	}{
		{"abort", bus.Abort(errBroken), true, 0},
		{"abort at a record", bus.FailedAt(4, bus.Abort(errBroken)), true, 4},
		{"stop", bus.ErrStop, false, 0},
		{"stop at a record", bus.FailedAt(4, bus.ErrStop), false, 4},
		{"out of attempts", bus.FailedAt(3, errBroken), true, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorldWith(t, contents(0, 6)...)
			app, group := w.app(), w.group("g")
			bus.MustSubscribe(app, "s", func(context.Context, []Content) error { return test.err }, bus.Group(group),
				bus.Batch(6, 10*time.Second), fast(1))
			if err := runs(t, app); errors.Is(err, errBroken) != test.fails || (err != nil) != test.fails {
				t.Errorf("Run: %v", err)
			}
			w.wantCommitted(group, test.commit)
		})
	}
}

// Records that cannot be decoded never reach the handler, and take their own outcome in their place of the order.
func TestRecordsOfABatchThatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		opts  []bus.SubscribeOption
		calls [][]int
		want  bus.Outcome
	}{
		{"rejected", nil, [][]int{{0, 1, 2, 3}}, bus.OutcomeRejected},
		{"dead letters", []bus.SubscribeOption{bus.DeadLetter()}, [][]int{{0, 1}, {2, 3}}, bus.OutcomeDeadLetter},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.stream("s", 1)
			good := contents(0, 4)
			w.put("s", 0, "bad", good[0], good[1], "bad", "bad", good[2], good[3], "bad")
			app, group := w.app(), w.group("g")
			var order list[string]
			app.OnConsumed(func(_ context.Context, c bus.Consumed) {
				order.add(fmt.Sprintf("%d %s", c.Record.Offset, c.Outcome))
			})
			var got calls
			bus.MustSubscribe(app, "s", func(_ context.Context, batch []Content) error {
				got.add(numbersOf(batch))
				return nil
			}, append(test.opts, bus.Group(group), bus.Batch(8, 10*time.Second))...)
			consumeFor(t, app, 8)
			got.want(t, test.calls...)
			want := make([]string, 8)
			for i := range want {
				want[i] = fmt.Sprintf("%d %s", i, bus.OutcomeHandled)
			}
			for _, i := range []int{0, 3, 4, 7} {
				want[i] = fmt.Sprintf("%d %s", i, test.want)
			}
			if !slices.Equal(order.get(), want) {
				t.Errorf("got %v", order.get())
			}
			w.wantCommitted(group, 8)
		})
	}
}

// A batch that exceeds its time, though its first record is not why, costs no record but the one that exceeds it alone.
func TestTheTimeoutOfABatch(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, contents(0, 5)...)
	app, group := w.app(), w.group("g")
	seen := observe(app)
	var got calls
	bus.MustSubscribe(app, "s", func(ctx context.Context, batch []Content) error {
		got.add(numbersOf(batch))
		if i := slices.IndexFunc(batch, func(c Content) bool { return c.N == 2 }); i >= 0 {
			<-ctx.Done()
			return bus.FailedAt(min(i, 1), ctx.Err()) // where it was when its time was over
		}
		return nil
	}, bus.Group(group), bus.Batch(5, 10*time.Second), bus.DeadLetter(), fast(5), bus.Timeout(100*time.Millisecond))
	consumeFor(t, app, 5)
	got.want(t, []int{0, 1, 2, 3, 4}, []int{1}, []int{2, 3}, []int{2}, []int{3, 4})
	for offset, outcomes := range seen.outcomes {
		if want := offset == 2; (outcomes[0] == bus.OutcomeDeadLetter) != want {
			t.Errorf("record %d: %v", offset, outcomes)
		}
	}
}

// A batch has one key's records in order; one that waits holds back the later records of its key, and no other.
func TestBatchesByKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	var records []*kgo.Record
	for i, v := range contents(0, 12) {
		records = append(records, &kgo.Record{Topic: w.prefix + "s", Value: []byte(v), Key: fmt.Appendf(nil, "%d", i%3)})
	}
	w.putRecords(records...)
	app, group := w.app(), w.group("g")
	var got calls
	release := make(chan struct{})
	bus.MustSubscribe(app, "s", func(_ context.Context, batch []Content) error {
		got.add(numbersOf(batch))
		switch got.len() {
		case 1:
			return bus.FailedAt(3, bus.RetryAfter(50*time.Millisecond, errBroken))
		case 2:
			close(release)
		}
		return nil
	}, bus.Group(group), bus.Batch(12, 10*time.Second), bus.Concurrency(1, bus.ByKey))
	consumeFor(t, app, 12)
	<-release
	want := [][]int{upTo(0, 12), {4, 5, 7, 8, 10, 11}, {3}, {6, 9}}
	got.want(t, want...)
}

// Large records come in batches of at most 1 MiB, however many may be in one.
func TestABatchHasAtMostAMebibyte(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, slices.Repeat([]string{strings.Repeat("x", 300<<10)}, 9)...)
	app, group := w.app(), w.group("g")
	var got list[int]
	bus.MustSubscribe(app, "s", func(_ context.Context, batch [][]byte) error {
		got.add(len(batch))
		return nil
	}, bus.Group(group), bus.Batch(500, 500*time.Millisecond))
	consumeFor(t, app, 9)
	if !slices.Equal(got.get(), []int{3, 3, 3}) {
		t.Errorf("batches of %v records", got.get())
	}
}

// Commit within a batch counts the records of the batch up to that one as finished, and passes no other.
func TestManualCommitWithinABatch(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, contents(0, 10)...)
	app, group := w.app(), w.group("g")
	bus.MustSubscribe(app, "s", func(ctx context.Context, batch []*bus.Message[Content]) error {
		for _, m := range batch {
			if m.Data.N != 2 && m.Data.N != 6 {
				continue
			}
			if err := m.Commit(ctx); err != nil {
				return err
			}
			if c := w.committed(group, "s")[0]; c != m.Record.Offset+1 {
				t.Errorf("committed %d when Commit of %d has returned", c, m.Record.Offset)
			}
		}
		return nil
	}, bus.Group(group), bus.ManualCommit(), bus.Batch(5, 10*time.Second))
	consumeFor(t, app, 10)
	w.wantCommitted(group, 7)
}

// Middleware is called for each record of a batch, and what it makes of a record is true of that record alone.
func TestMiddlewareOfBatches(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, contents(0, 8)...)
	app, group := w.app(), w.group("g")
	seen := observe(app)
	var events list[string]
	app.Use(func(next bus.Handler) bus.Handler {
		return func(ctx context.Context, r *bus.Record) error {
			switch r.Offset {
			case 1:
				return nil // left out
			case 4:
				return bus.Reject(errBroken) // by itself
			case 2:
				other := *r
				other.Value = []byte(contents(100, 1)[0])
				r = &other
			}
			err := next(ctx, r)
			events.add(fmt.Sprintf("%d: %v", r.Offset, err))
			if r.Offset == 6 && err != nil {
				return bus.Reject(err)
			}
			return err
		}
	})
	var got calls
	bus.MustSubscribe(app, "s", func(_ context.Context, batch []Content) error {
		got.add(numbersOf(batch))
		if batch[0].N == 5 {
			return bus.FailedAt(1, errBroken)
		}
		return nil
	}, bus.Group(group), bus.Batch(8, 10*time.Second), fast(5))
	consumeFor(t, app, 8)
	got.want(t, []int{0, 100, 3}, []int{5, 6, 7}, []int{7})
	behind := "a record before this one in its batch is not finished; this one is handed over again"
	want := []string{"3: <nil>", "2: <nil>", "0: <nil>", "7: " + behind, "6: the database is away", "5: <nil>", "7: <nil>"}
	if diff := cmp.Diff(want, events.get()); diff != "" {
		t.Errorf("middleware: -want +got\n%s", diff)
	}
	for offset, outcomes := range seen.outcomes {
		rejected := offset == 4 || offset == 6
		if len(outcomes) != 1 || (outcomes[0] == bus.OutcomeRejected) != rejected {
			t.Errorf("record %d: %v", offset, outcomes)
		}
	}
}

// A middleware that recovers sees a panic of a batch's handler as an error; no record is lost, or waits for ever.
func TestMiddlewareOfABatchThatPanics(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, contents(0, 4)...)
	app, group := w.app(), w.group("g")
	app.Use(func(next bus.Handler) bus.Handler {
		return func(ctx context.Context, r *bus.Record) (err error) {
			defer func() {
				if v := recover(); v != nil {
					err = fmt.Errorf("recovered: %v", v)
				}
			}()
			if r.Offset == 2 {
				panic("the middleware is broken")
			}
			return next(ctx, r)
		}
	})
	var got numbers
	bus.MustSubscribe(app, "s", func(_ context.Context, batch []Content) error {
		if slices.ContainsFunc(batch, func(c Content) bool { return c.N == 1 }) {
			panic("the handler is broken")
		}
		for _, c := range batch {
			got.add(c.N)
		}
		return nil
	}, bus.Group(group), bus.Batch(4, 10*time.Second), fast(2), bus.DeadLetter())
	consumeFor(t, app, 4)
	if s := stats(app); s.DeadLettered != 2 || !slices.Equal(got.get(), []int{0, 3}) {
		t.Errorf("dead letters %d, handled %v", s.DeadLettered, got.get())
	}
}

func TestTheSpanOfABatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	parents := []string{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "",
		"00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01"}
	var records []*kgo.Record
	for i, v := range contents(0, 3) {
		r := &kgo.Record{Topic: w.prefix + "s", Value: []byte(v)}
		if parents[i] != "" {
			r.Headers = []kgo.RecordHeader{{Key: "traceparent", Value: []byte(parents[i])}}
		}
		records = append(records, r)
	}
	w.putRecords(records...)
	tracer := new(tracerProvider)
	app := w.app(bus.Config{TracerProvider: tracer})
	bus.MustSubscribe(app, "s", func(context.Context, []Content) error { return nil }, bus.Group(w.group("g")),
		bus.Batch(3, 10*time.Second))
	consumeFor(t, app, 3)
	spans := tracer.spans.get()
	if len(spans) != 1 || !spans[0].over() || spans[0].parent.IsValid() {
		t.Fatalf("%d spans, want one that has ended and has no parent", len(spans))
	}
	var links []string
	for _, l := range spans[0].config.Links() {
		links = append(links, l.SpanContext.TraceID().String())
	}
	if !slices.Equal(links, []string{parents[0][3:35], parents[2][3:35]}) {
		t.Errorf("links %v", links)
	}
	count := int64(0)
	for _, a := range spans[0].config.Attributes() {
		if a.Key == "messaging.batch.message_count" {
			count = a.Value.AsInt64()
		}
	}
	if count != 3 {
		t.Errorf("the span counts %d records", count)
	}
}

// ConsumeFor ends with the record that it was asked for, and the rest of its batch is left.
func TestConsumeForWithinABatch(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, contents(0, 10)...)
	app, group := w.app(), w.group("g")
	var got calls
	bus.MustSubscribe(app, "s", func(_ context.Context, batch []Content) error {
		got.add(numbersOf(batch))
		if got.len() == 1 {
			return bus.FailedAt(2, bus.Reject(errBroken))
		}
		return nil
	}, bus.Group(group), bus.Batch(10, 10*time.Second))
	consumeFor(t, app, 7)
	got.want(t, []int{0, 1, 2, 3, 4, 5, 6}, []int{3, 4, 5, 6})
	w.wantCommitted(group, 7)
}

// A drain lets a batch with a handler finish and commits it; what fills a batch is left to the next owner.
func TestADrainFinishesTheBatchThatRuns(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, contents(0, 7)...)
	app, group := w.app(), w.group("g")
	began, release := make(chan struct{}), make(chan struct{})
	var got calls
	bus.MustSubscribe(app, "s", func(_ context.Context, batch []Content) error {
		got.add(numbersOf(batch))
		close(began)
		<-release
		return nil
	}, bus.Group(group), bus.Batch(5, time.Hour))
	stop := running(t, app)
	<-began
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	eventually(t, func() bool { return stats(app).State == "draining" }, func() string { return stats(app).State })
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	got.want(t, []int{0, 1, 2, 3, 4})
	w.wantCommitted(group, 5)
}

// A drain past its time cancels a batch: what its handler says is finished is committed, and the rest comes again.
func TestADrainPastItsTimeCancelsABatch(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, contents(0, 5)...)
	group := w.group("g")
	app := w.app(bus.Config{DrainTimeout: 50 * time.Millisecond})
	seen := observe(app)
	began := make(chan struct{})
	bus.MustSubscribe(app, "s", func(ctx context.Context, _ []Content) error {
		close(began)
		<-ctx.Done()
		return bus.FailedAt(2, ctx.Err())
	}, bus.Group(group), bus.Batch(5, time.Hour))
	stop := running(t, app)
	<-began
	if err := stop(); err != nil {
		t.Error(err)
	}
	for offset, outcomes := range seen.outcomes {
		want := bus.OutcomeUnfinished
		if offset < 2 {
			want = bus.OutcomeHandled
		}
		if !slices.Equal(outcomes, []bus.Outcome{want}) {
			t.Errorf("record %d: %v", offset, outcomes)
		}
	}
	if c := w.committed(group, "s")[0]; c != 2 || len(seen.outcomes) != 5 {
		t.Errorf("committed %d, %d outcomes", c, len(seen.outcomes))
	}
}

// A rebalance in the middle of batches: what runs finishes and is committed, so that nothing is handled twice.
func TestARebalanceInTheMiddleOfABatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	const each, partitions = 25, 4
	w.stream("s", partitions)
	for p := range int32(partitions) {
		w.put("s", p, contents(int(p)*each, each)...)
	}
	var got numbers
	began, release := make(chan struct{}, partitions), make(chan struct{})
	subscribed := func(hold bool) *bus.App {
		app := w.app()
		bus.MustSubscribe(app, "s", func(_ context.Context, batch []Content) error {
			if hold {
				began <- struct{}{}
				<-release
			}
			for _, c := range batch {
				got.add(c.N)
			}
			return nil
		}, bus.Group(group), bus.Batch(10, 20*time.Millisecond))
		return app
	}
	first, second := subscribed(true), subscribed(false)
	stopFirst := running(t, first)
	for range partitions {
		<-began
	}
	stopSecond := running(t, second)
	eventually(t, func() bool { return stats(first).State == "draining" }, func() string { return stats(first).State })
	if got.len() != 0 {
		t.Errorf("%v were handled meanwhile", got.get())
	}
	go func() { // those that begin later do not wait, either
		for range began {
		}
	}()
	close(release)
	eventually(t, func() bool { return got.len() >= partitions*each }, func() string { return fmt.Sprint(got.len()) })
	want := make(map[int32]int64)
	for p := range int32(partitions) {
		want[p] = each
	}
	w.waitCommitted(group, "s", want)
	if err := errors.Join(stopFirst(), stopSecond()); err != nil {
		t.Error(err)
	}
	close(began)
	if !slices.Equal(got.sorted(), upTo(0, partitions*each)) {
		t.Errorf("handled %v", got.sorted())
	}
}

// What fails in batches goes through retry streams as a single record does.
func TestRetryStreamsOfBatches(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, contents(0, 6)...)
	app, group := w.app(), w.group("g")
	var got calls
	bus.MustSubscribe(app, "s", func(ctx context.Context, batch []Content) error {
		got.add(numbersOf(batch))
		if i := slices.IndexFunc(batch, func(c Content) bool { return c.N%3 == 1 }); i >= 0 &&
			bus.Records(ctx)[0].Stream == "s" {
			return bus.FailedAt(i, errBroken)
		}
		return nil
	}, bus.Group(group), bus.Batch(6, 100*time.Millisecond), bus.RetryTopics(10*time.Millisecond))
	consumeFor(t, app, 8)
	if s := stats(app); s.Postponed != 2 || s.DeadLettered != 0 {
		t.Errorf("postponed %d, dead letters %d", s.Postponed, s.DeadLettered)
	}
	var retried []int
	for _, numbers := range got.get() {
		if numbers[0]%3 == 1 && len(numbers) <= 2 {
			retried = append(retried, numbers...)
		}
	}
	if slices.Sort(retried); !slices.Equal(retried, []int{1, 4}) { // they may lie in two partitions
		t.Errorf("calls: %v", got.get())
	}
}

// Whatever handlers say, at random: every record is finished exactly once, in the order of its lane, with the outcome
// that it was given, and what is committed in the end is everything.
func TestRandomOutcomesOfBatches(t *testing.T) {
	t.Parallel()
	for _, lanes := range []bus.Lanes{bus.ByPartition, bus.ByKey, bus.Unordered} {
		for _, dead := range []bool{false, true} {
			t.Run(fmt.Sprintf("lanes %d, dead letters %v", lanes, dead), func(t *testing.T) {
				t.Parallel()
				playOutcomes(t, lanes, dead, rand.Uint64())
			})
		}
	}
}

// batchBook is what a random handler has said, by partition and offset.
type batchBook struct {
	t        *testing.T
	lanes    bus.Lanes
	mu       sync.Mutex
	random   *rand.Rand
	finished map[chaosSpot]bus.Outcome
	rejected map[chaosSpot]bool // what the handler has rejected
	keys     map[chaosSpot]string
}

// before reports whether one record has to be finished before the other may begin.
func (b *batchBook) before(one, other chaosSpot) bool {
	switch {
	case one.partition != other.partition || one.offset >= other.offset || b.lanes == bus.Unordered:
		return false
	case b.lanes == bus.ByPartition:
		return true
	}
	return b.keys[one] == b.keys[other]
}

func (b *batchBook) handle(batch []*bus.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := make(map[chaosSpot]bool)
	for _, r := range batch {
		at := chaosSpot{r.Partition, r.Offset}
		if b.finished[at] != "" || r.Partition != batch[0].Partition {
			b.t.Errorf("%v is handled, and was %q", at, b.finished[at])
		}
		for other := range b.keys {
			if b.before(other, at) && b.finished[other] == "" && !in[other] {
				b.t.Errorf("%v is handled before %v is finished", at, other)
			}
		}
		in[at] = true
	}
	i := b.random.IntN(len(batch))
	reject := func(i int) error {
		b.rejected[chaosSpot{batch[i].Partition, batch[i].Offset}] = true
		return bus.Reject(errBroken)
	}
	switch b.random.IntN(12) {
	case 0:
		return bus.FailedAt(i, reject(i))
	case 1:
		return bus.FailedAt(i, bus.RetryAfter(time.Duration(b.random.IntN(20))*time.Millisecond, errBroken))
	case 2:
		return bus.FailedAt(i, errBroken)
	case 3:
		return bus.FailedAt(i, nil)
	case 4:
		return bus.RetryAfter(time.Duration(b.random.IntN(20))*time.Millisecond, errBroken)
	case 5:
		return errBroken
	case 6:
		panic("broken")
	case 7:
		if len(batch) > 1 {
			return bus.Reject(errBroken) // of nobody knows which
		}
		return reject(0)
	}
	return nil
}

func playOutcomes(t *testing.T, lanes bus.Lanes, dead bool, seed uint64) {
	t.Helper()
	t.Logf("seed %d", seed)
	const each, partitions = 200, 3
	w := newWorld(t)
	w.stream("s", partitions)
	b := &batchBook{t: t, lanes: lanes, random: rand.New(rand.NewPCG(seed, 0)), finished: make(map[chaosSpot]bus.Outcome),
		rejected: make(map[chaosSpot]bool), keys: make(map[chaosSpot]string)}
	var records []*kgo.Record
	for p := range int32(partitions) {
		for offset := range int64(each) {
			key := fmt.Sprint(offset % 7)
			b.keys[chaosSpot{int(p), offset}] = key
			records = append(records, &kgo.Record{Topic: w.prefix + "s", Partition: p, Key: []byte(key), Value: []byte("v")})
		}
	}
	w.putRecords(records...)
	app, group := w.app(), w.group("g")
	app.OnConsumed(func(_ context.Context, c bus.Consumed) {
		b.mu.Lock()
		defer b.mu.Unlock()
		at := chaosSpot{c.Record.Partition, c.Record.Offset}
		given := bus.OutcomeHandled
		if b.rejected[at] {
			given = bus.OutcomeRejected
			if dead {
				given = bus.OutcomeDeadLetter
			}
		}
		if c.Outcome != given || b.finished[at] != "" {
			t.Errorf("%v is %s, and was %q; its handler has said %s", at, c.Outcome, b.finished[at], given)
		}
		b.finished[at] = c.Outcome
	})
	opts := []bus.SubscribeOption{bus.Group(group), bus.Batch(16, 20*time.Millisecond), bus.Concurrency(4, lanes),
		fast(1000)}
	if dead {
		opts = append(opts, bus.DeadLetter())
	}
	bus.MustSubscribe(app, "s", func(_ context.Context, batch []*bus.Record) error { return b.handle(batch) }, opts...)
	if n, err := app.ConsumeFor(within(t, 60*time.Second), each*partitions); n != each*partitions || err != nil {
		t.Fatal(n, err)
	}
	if committed := w.committed(group, "s"); !cmp.Equal(committed, map[int32]int64{0: each, 1: each, 2: each}) {
		t.Errorf("committed %v", committed)
	}
	if s := stats(app); s.Finished != each*partitions || int(s.Rejected+s.DeadLettered) != len(b.rejected) {
		t.Errorf("finished %d, rejected %d, dead letters %d, want %d given up", s.Finished, s.Rejected,
			s.DeadLettered, len(b.rejected))
	}
}

// A record that breaks every batch that it is part of is found by few calls, and costs no other record an attempt that
// counts, even where there is only one.
func TestAPoisonRecordOfManyIsFoundInFewCalls(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, contents(0, 1000)...)
	app, group := w.app(), w.group("g")
	seen := observe(app)
	var got calls
	bus.MustSubscribe(app, "s", func(_ context.Context, batch []Content) error {
		got.add(numbersOf(batch))
		if slices.ContainsFunc(batch, func(c Content) bool { return c.N == 437 }) {
			return errBroken
		}
		return nil
	}, bus.Group(group), bus.Batch(500, 50*time.Millisecond), fast(1), bus.DeadLetter())
	consumeFor(t, app, 1000)
	for offset, outcomes := range seen.outcomes {
		if (outcomes[0] == bus.OutcomeDeadLetter) != (offset == 437) {
			t.Errorf("record %d: %v", offset, outcomes)
		}
	}
	if n := got.len(); n > 60 {
		t.Errorf("%d calls", n)
	}
}
