package bustest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/bustest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

type Order struct {
	ID    int `json:"id" jsonschema:"minimum=1"`
	Total int `json:"total"`
}

type Invoice struct {
	Order int `json:"order"`
}

// billing is the application: it publishes an invoice for each order.
func billing(app *bus.App) {
	bus.MustSchema[Order](app, "Order", bus.Streams("orders"))
	bus.MustSchema[Invoice](app, "Invoice", bus.Streams("invoices"))
	bus.MustSubscribe(app, "orders", func(ctx context.Context, o Order) error {
		return app.Publish(ctx, "invoices", Invoice{Order: o.ID})
	}, bus.Group("billing"))
}

// The whole test of a handler has fewer than 15 lines.
func TestOrdersGetAnInvoice(t *testing.T) {
	t.Parallel()
	app := bustest.NewApp(t)
	billing(app)
	bustest.Run(t, app)
	if err := app.Publish(t.Context(), "orders", Order{ID: 7}); err != nil {
		t.Fatal(err)
	}
	if got := bustest.Published[Invoice](t, app, "invoices", 1); got[0].Order != 7 {
		t.Errorf("got an invoice of order %d, want 7", got[0].Order)
	}
}

// With auto_offset_reset latest a record is handled only if the member had its partitions before the publish.
func TestRunReturnsWhenEveryMemberHasItsPartitions(t *testing.T) {
	t.Parallel()
	app := bustest.NewApp(t, bustest.Config(bus.Config{
		TopicPrefix: "test.", Settings: bus.Settings{"auto_offset_reset": "latest"},
	}))
	bus.MustSchema[Order](app, "Order", bus.Streams("orders"))
	handled := make(chan string, 100)
	for _, group := range []string{"a", "a", "a", "b"} {
		bus.MustSubscribe(app, "orders", func(context.Context, Order) error {
			handled <- group
			return nil
		}, bus.Group(group))
	}
	bus.MustSubscribe(app, "nothing.*", func(context.Context, Order) error { return nil }, bus.Group("c"))
	bustest.Run(t, app)

	const n = 20
	for i := range n {
		err := app.Publish(t.Context(), "orders", Order{ID: i + 1}, bus.Key(fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
	}
	got := make(map[string]int)
	for range 2 * n {
		got[<-handled]++
	}
	if got["a"] != n || got["b"] != n {
		t.Errorf("handled %v, want %d by each group", got, n)
	}
}

func TestRunWaitsForNoMemberThatHasStopped(t *testing.T) {
	t.Parallel()
	app := bustest.NewApp(t)
	bus.MustSchema[Order](app, "Order", bus.Streams("orders"))
	bus.MustSubscribe(app, "orders", func(context.Context, Order) error { return bus.ErrStop }, bus.Group("g"))
	if err := app.Publish(t.Context(), "orders", Order{ID: 1}); err != nil {
		t.Fatal(err)
	}
	bustest.Run(t, app)
}

func TestPublishedTakesWhatAHandlerTakes(t *testing.T) {
	t.Parallel()
	app := bustest.NewApp(t)
	bus.MustSchema[Order](app, "Order", bus.Streams("orders"))
	for i := range 3 {
		if err := app.Publish(t.Context(), "orders", Order{ID: i + 1}, bus.Key("k")); err != nil {
			t.Fatal(err)
		}
	}
	for i, o := range bustest.Published[*bus.Message[Order]](t, app, "orders", 3) {
		if o.Data.ID != i+1 || o.Schema != "Order:1" || string(o.Record.Key) != "k" {
			t.Errorf("record %d is %+v of %+v", i, o, o.Record)
		}
	}
	if got := bustest.Published[*bus.Record](t, app, "orders", 2); len(got) != 2 {
		t.Errorf("got %d records, want 2", len(got))
	}
}

// Each of these fails the test that calls it, and says why.
func TestWhatFailsATest(t *testing.T) {
	t.Parallel()
	servers := bustest.Servers(t)
	app := bus.New(bus.Config{Servers: servers})
	t.Cleanup(func() {
		if err := app.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	bus.MustSchema[Order](app, "Order", bus.Streams("orders"))
	if err := app.Publish(t.Context(), "orders", Order{ID: 1}, bus.Key("k")); err != nil {
		t.Fatal(err)
	}
	bustest.Published[Order](t, app, "orders", 1) // the App knows the stream: "too few records" has but a moment
	ignore := func(context.Context, Order) error { return nil }
	fails := func(context.Context, Order) error { return bus.Abort(errors.New("the disk is full")) }
	for _, test := range []struct {
		name string
		call func(t testing.TB)
		want []string
	}{
		{"too few records", func(t testing.TB) { bustest.Published[Order](soon(t), app, "orders", 2) }, []string{
			`stream "orders" has 1 records, want 2`, `key "k": {"schema":"Order:1","data":{"id":1,"total":0}}`,
		}},
		{"another type", func(t testing.TB) { bustest.Published[string](t, app, "orders", 1) }, []string{
			"decode data into string", `key "k": {"schema":"Order:1"`,
		}},
		{"no number", func(t testing.TB) { bustest.Published[Order](t, app, "orders", 0) }, []string{"at least 1"}},
		{"no stream", func(t testing.TB) { bustest.Published[Order](t, app, "", 1) }, []string{"published: bus: tail"}},
		{"nothing to run", func(t testing.TB) { bustest.Run(t, bustest.NewApp(t)) }, []string{"add a subscription"}},
		{"a Run that fails later", func(t testing.TB) {
			app := bustest.NewApp(t, bustest.Config(bus.Config{Servers: servers}))
			bus.MustSubscribe(app, "orders", fails, bus.Group("fails"))
			bustest.Run(t, app)
			testkit.Until(t, "the test does not fail", t.Failed)
		}, []string{"bus: run: ", "the disk is full"}},
		{"too few records when Run has failed", func(t testing.TB) {
			app := bustest.NewApp(t)
			bus.MustSchema[Order](app, "Order", bus.Streams("orders"))
			bus.MustSchema[Invoice](app, "Invoice", bus.Streams("invoices"))
			bus.MustSubscribe(app, "orders", func(ctx context.Context, o Order) error {
				return errors.Join(app.Publish(ctx, "invoices", Invoice{Order: o.ID}), fails(ctx, o))
			}, bus.Group("fails"))
			bustest.Run(t, app)
			if err := app.Publish(t.Context(), "orders", Order{ID: 1}); err != nil {
				t.Error(err)
			}
			testkit.Until(t, "Run does not fail", t.Failed)
			bustest.Published[Invoice](t, app, "invoices", 1) // what was published before counts
			bustest.Published[Invoice](t, app, "invoices", 2)
		}, []string{`stream "invoices" has 1 records, want 2, and gets no more: bus: run: `}},
		{"no broker", func(t testing.TB) {
			app := bustest.NewApp(t, bustest.Config(bus.Config{Servers: []string{"127.0.0.1:1"}}))
			bus.MustSubscribe(app, "orders", ignore, bus.Group("g"))
			bustest.Run(soon(t), app)
		}, []string{`not every member has its partitions`, `["orders"] of group "g": idle in generation 0, 0 partitions`}},
		{"data that is no JSON", func(t testing.TB) { bustest.NewMessage(t, "orders", make(chan int)) }, []string{
			`message of stream "orders": encode its data: json: unsupported type: chan int`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := failure(t, test.call)
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("the test failed with %q, want %q in it", got, want)
				}
			}
		})
	}
}

// failing is a testing.TB that keeps why the test failed.
type failing struct {
	testing.TB
	end time.Time

	mu       sync.Mutex
	failures []string
	cleanups []func()
}

// failure runs call as a test does, with its cleanups, and returns what it failed with.
func failure(t *testing.T, call func(testing.TB)) string {
	f := &failing{TB: t, end: time.Now().Add(time.Minute)}
	var test sync.WaitGroup
	test.Go(func() { call(f) })
	test.Wait()
	for len(f.cleanups) > 0 {
		last := len(f.cleanups) - 1
		cleanup := f.cleanups[last]
		f.cleanups = f.cleanups[:last]
		cleanup()
	}
	return strings.Join(f.failures, "\n")
}

// soon gives a test that fails at its deadline a near one.
func soon(t testing.TB) testing.TB {
	t.(*failing).end = time.Now().Add(5 * time.Second)
	return t
}

func (f *failing) Output() io.Writer           { return io.Discard }
func (f *failing) Deadline() (time.Time, bool) { return f.end, true }
func (f *failing) Cleanup(c func())            { f.cleanups = append(f.cleanups, c) }
func (f *failing) FailNow()                    { runtime.Goexit() }

func (f *failing) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.failures) > 0
}

func (f *failing) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures = append(f.failures, fmt.Sprintf(format, args...))
}

func (f *failing) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	f.FailNow()
}
