package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

func TestHandlersGetWhatTheirTypeSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("content.edited", 2)
	const value = `{"schema":"Content:1","data":{"title":"a","n":7,"tags":["x"]},"extra":true}`
	w.putRecords(&kgo.Record{
		Topic: w.prefix + "content.edited", Partition: 1, Key: []byte("k"), Value: []byte(value),
		Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}},
	})
	app := w.app()
	content := Content{Title: "a", N: 7, Tags: []string{"x"}}
	got := make(chan error, 10)
	is := func(name string, got, want any) error {
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("%s: %s", name, diff)
		}
		return nil
	}
	subscribe(t, w, app, got, "struct", func(v Content) error { return is("struct", v, content) })
	subscribe(t, w, app, got, "pointer", func(v *Content) error { return is("pointer", *v, content) })
	subscribe(t, w, app, got, "bytes", func(v []byte) error { return is("bytes", string(v), value) })
	subscribe(t, w, app, got, "map", func(v map[string]any) error {
		return is("map", v, map[string]any{"schema": "Content:1", "extra": true, "data": map[string]any{"title": "a",
			"n": 7.0, "tags": []any{"x"}}})
	})
	record := func(name string, r *bus.Record) error {
		seen := []string{r.Stream, r.Topic, fmt.Sprint(r.Partition, r.Offset), string(r.Key), string(r.Value), header(r, "h")}
		return is(name, seen, []string{"content.edited", w.prefix + "content.edited", "1 0", "k", value, "v"})
	}
	subscribe(t, w, app, got, "record", func(v *bus.Record) error { return record("record", v) })
	subscribe(t, w, app, got, "message", func(v *bus.Message[Content]) error {
		return errors.Join(is("message", v.Data, content), is("schema", v.Schema, "Content:1"), record("message", v.Record))
	})
	n, err := app.ConsumeFor(within(t, 30*time.Second), 6)
	if n != 6 || err != nil {
		t.Fatalf("%d handled: %v", n, err)
	}
	for range 6 {
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
}

func subscribe[T any](t *testing.T, w *world, app *bus.App, got chan<- error, group string, check func(T) error) {
	t.Helper()
	err := bus.Subscribe(app, "content.*", func(_ context.Context, v T) error {
		got <- check(v)
		return nil
	}, bus.Group(w.group(group)))
	if err != nil {
		t.Fatal(err)
	}
}

func handleContent(context.Context, Content) error { return nil }

func handleAny[T any](context.Context, T) error { return nil }

type service struct{}

func (service) OnContent(context.Context, Content) error { return nil }

func (*service) OnBytes(context.Context, []byte) error { return nil }

type shelf[T any] struct{}

func (*shelf[T]) Put(context.Context, T) error { return nil }

func TestTheGroupIsTheNameOfTheFunction(t *testing.T) {
	t.Parallel()
	app := bus.New(bus.Config{})
	bus.MustSubscribe(app, "s", handleContent)
	bus.MustSubscribe(app, "s", handleAny[Content])
	bus.MustSubscribe(app, "s", service{}.OnContent)
	bus.MustSubscribe(app, "s", new(service).OnBytes)
	bus.MustSubscribe(app, "s", new(shelf[Content]).Put)
	bus.MustSubscribe(app, "s", handleContent, bus.Group("named"))
	bus.MustSubscribe(app, "s", func(context.Context, Content) error { return nil }, bus.Group("literal"))
	var groups []string
	for _, s := range app.Stats().Subscriptions {
		groups = append(groups, s.Group+"/"+s.Handler)
	}
	want := "handleContent/handleContent handleAny/handleAny OnContent/OnContent OnBytes/OnBytes Put/Put " +
		"named/handleContent literal/"
	if got := strings.Join(groups, " "); got != want {
		t.Errorf("groups\n got %s\nwant %s", got, want)
	}
}

// outer makes literals inside of literals, for which the compiler has other names.
func outer() []func(context.Context, Content) error {
	inner := func() func(context.Context, Content) error {
		return func(context.Context, Content) error { return nil }
	}
	all := []func(context.Context, Content) error{inner()}
	for range slices.Values([]int{1}) {
		all = append(all, func(context.Context, Content) error { return nil })
	}
	return all
}

func TestALiteralWithoutAGroupIsAnError(t *testing.T) {
	t.Parallel()
	literals := append(outer(), func(context.Context, Content) error { return nil }, literalOfThePackage,
		literalOf[Content]())
	for i, h := range literals {
		err := bus.Subscribe(bus.NewRouter(), "s", h)
		if err == nil || !strings.Contains(err.Error(), "bus.Group") && !strings.Contains(err.Error(), "Group") {
			t.Errorf("literal %d: %v", i, err)
		}
	}
}

var literalOfThePackage = func(context.Context, Content) error { return nil }

func literalOf[T any]() func(context.Context, T) error {
	return func(context.Context, T) error { return nil }
}

func TestBadOptionsAreErrorsThatSayWhatToDo(t *testing.T) {
	t.Parallel()
	const s = time.Second
	tests := []struct {
		name    string
		pattern string
		opts    []bus.SubscribeOption
		want    string
	}{
		{"no pattern", "", nil, "name a stream"},
		{"an empty further pattern", "s", []bus.SubscribeOption{bus.Patterns("a", "")}, "name a stream"},
		{"a group that is no topic name, with dead letters", "s", []bus.SubscribeOption{bus.Group("a b"), bus.DeadLetter()},
			`group "a b"`},
		{"the same with retry topics", "s", []bus.SubscribeOption{bus.Group("a/b"), bus.RetryTopics(s)}, `group "a/b"`},
		{"no handlers at once", "s", []bus.SubscribeOption{bus.Concurrency(0, bus.ByKey)}, "concurrency 0"},
		{"less than none", "s", []bus.SubscribeOption{bus.Concurrency(-1, bus.Unordered)}, "concurrency -1"},
		{"no such lanes", "s", []bus.SubscribeOption{bus.Concurrency(1, 7)}, "ByPartition, ByKey or Unordered"},
		{"no time", "s", []bus.SubscribeOption{bus.Timeout(0)}, "timeout 0s"},
		{"a time before", "s", []bus.SubscribeOption{bus.Timeout(-s)}, "timeout -1s"},
		{"no delay", "s", []bus.SubscribeOption{bus.RetryTopics(s, 0)}, "delay"},
		{"negative attempts", "s", []bus.SubscribeOption{bus.Retry(bus.RetryPolicy{Attempts: -1})}, "negative"},
		{"a negative pause", "s", []bus.SubscribeOption{bus.Retry(bus.RetryPolicy{MaxPause: -1})}, "negative"},
		{"manual commit without a message", "s", []bus.SubscribeOption{bus.ManualCommit()}, "*bus.Message[X]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := bus.Subscribe(bus.New(bus.Config{}), test.pattern, handleContent, test.opts...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want it to say %s", err, test.want)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "bus: subscribe ") {
				t.Errorf("%v does not say where", err)
			}
		})
	}
	t.Run("no handler", func(t *testing.T) {
		t.Parallel()
		if err := bus.Subscribe[Content](bus.NewRouter(), "s", nil); err == nil {
			t.Error("a nil handler is taken")
		}
	})
	t.Run("the must panics", func(t *testing.T) {
		t.Parallel()
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		bus.MustSubscribe(bus.NewRouter(), "", handleContent)
	})
	t.Run("a group of any name without streams of its own", func(t *testing.T) {
		t.Parallel()
		if err := bus.Subscribe(bus.NewRouter(), "s", handleContent, bus.Group("a b")); err != nil {
			t.Error(err)
		}
	})
}

// Streams of retries and dead letters belong to the bus: a pattern has to say that it means them.
func TestOwnStreamsMatchOnlyWhenNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	for _, stream := range []string{"content.a", "other.b", "third", "content.a.g2.dead", "content.a.g2.retry.1",
		"content.a." + group + ".dead"} {
		w.stream(stream, 1)
		w.put(stream, 0, stream)
	}
	tests := []struct {
		name     string
		patterns []string
		opts     []bus.SubscribeOption
		want     []string
	}{
		{"all", []string{"*"}, nil, []string{"content.a", "other.b", "third"}},
		{"a glob", []string{"content.*"}, nil, []string{"content.a"}},
		{"two patterns, one of them twice", []string{"content.*", "third", "th*"}, nil, []string{"content.a", "third"}},
		{"dead letters", []string{"content.*.dead"}, nil, []string{"content.a.g2.dead", "content.a." + group + ".dead"}},
		{"retries", []string{"*.retry.*"}, nil, []string{"content.a.g2.retry.1"}},
		{"one by its name", []string{"content.a.g2.dead", "third"}, nil, []string{"content.a.g2.dead", "third"}},
		{"never its own output", []string{"content.*", "content.*.dead"}, []bus.SubscribeOption{bus.DeadLetter()},
			[]string{"content.a", "content.a.g2.dead"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app := w.app()
			var got list[string]
			name := group
			if len(test.opts) == 0 {
				name = w.group(strings.ReplaceAll(test.name, " ", "-"))
			}
			bus.MustSubscribe(app, test.patterns[0], func(_ context.Context, v []byte) error {
				got.add(string(v))
				return nil
			}, append(test.opts, bus.Group(name), bus.Patterns(test.patterns[1:]...))...)
			stop := running(t, app)
			got.wait(t, len(test.want))
			streams := stats(app).Streams
			if err := stop(); err != nil {
				t.Error(err)
			}
			all := got.get()
			slices.Sort(all)
			slices.Sort(test.want)
			slices.Sort(streams)
			if !slices.Equal(all, test.want) || !slices.Equal(streams, test.want) {
				t.Errorf("got %v of %v, want %v", all, streams, test.want)
			}
		})
	}
}

func TestSubscriptionsOfOneGroupShareAndOthersGetAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 4)
	app := w.app()
	var first, second, other numbers
	bus.MustSubscribe(app, "s", first.handle, bus.Group(w.group("shared")))
	bus.MustSubscribe(app, "s", second.handle, bus.Group(w.group("shared")))
	bus.MustSubscribe(app, "s", other.handle, bus.Group(w.group("other")))
	stop := running(t, app)
	stable(t, 8, app)
	for p := range int32(4) {
		w.put("s", p, contents(int(p)*100, 100)...)
	}
	other.wait(t, 400)
	eventually(t, func() bool { return first.len()+second.len() >= 400 },
		func() string { return fmt.Sprint(first.len(), second.len()) })
	if err := stop(); err != nil {
		t.Error(err)
	}
	both := append(first.get(), second.get()...)
	slices.Sort(both)
	if !slices.Equal(both, upTo(0, 400)) || !slices.Equal(other.sorted(), upTo(0, 400)) {
		t.Errorf("the group got %d, the other one %d", len(both), other.len())
	}
	if first.len() != 200 || second.len() != 200 {
		t.Errorf("%d and %d: each should have two of four partitions", first.len(), second.len())
	}
}
