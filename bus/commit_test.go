package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

func TestManualCommitCommitsWhatItIsCalledFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 1)
	w.put("s", 0, contents(0, 10)...)
	app := w.app()
	var got numbers
	commitAt := -1
	bus.MustSubscribe(app, "s", func(ctx context.Context, m *bus.Message[Content]) error {
		got.add(m.Data.N)
		if m.Data.N != commitAt {
			return nil
		}
		if err := m.Commit(ctx); err != nil {
			return err
		}
		if c := w.committed(group, "s")[0]; c != int64(commitAt)+1 {
			t.Errorf("committed %d when Commit of %d has returned", c, commitAt)
		}
		return nil
	}, bus.Group(group), bus.ManualCommit())
	handle := func(n int) {
		t.Helper()
		if handled, err := app.ConsumeFor(within(t, 30*time.Second), n); handled != n || err != nil {
			t.Fatal(handled, err)
		}
	}
	handle(10)
	if c := w.committed(group, "s")[0]; c != 0 {
		t.Errorf("committed %d, and nobody has called Commit", c)
	}
	commitAt = 6
	handle(10)
	if c := w.committed(group, "s")[0]; c != 7 {
		t.Errorf("committed %d", c)
	}
	handle(3)
	if want := slices.Concat(upTo(0, 10), upTo(0, 10), upTo(7, 3)); !slices.Equal(got.get(), want) {
		t.Errorf("handled %v, want %v", got.get(), want)
	}
}

// Commit waits for no other record, but does not pass one either. When that has been handled, what was asked for is
// committed.
func TestManualCommitDoesNotPassAnUnfinishedRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 1)
	for i, v := range contents(0, 4) {
		w.putRecords(&kgo.Record{Topic: w.prefix + "s", Value: []byte(v), Key: fmt.Append(nil, i)})
	}
	app := w.app()
	release, committed := make(chan struct{}), make(chan error, 1)
	bus.MustSubscribe(app, "s", func(ctx context.Context, m *bus.Message[Content]) error {
		switch m.Data.N {
		case 1:
			<-release
		case 2:
			committed <- m.Commit(ctx)
		}
		return nil
	}, bus.Group(group), bus.ManualCommit(), bus.Concurrency(16, bus.Unordered))
	stop := running(t, app)
	if err := <-committed; err != nil {
		t.Error(err)
	}
	if c := w.committed(group, "s")[0]; c > 1 {
		t.Errorf("committed %d, and 1 is not finished", c)
	}
	close(release)
	w.waitCommitted(group, "s", map[int32]int64{0: 3})
	if err := stop(); err != nil {
		t.Error(err)
	}
	if c := w.committed(group, "s")[0]; c != 3 {
		t.Errorf("committed %d: nobody has called Commit for the last one", c)
	}
}

func TestCommitAfterThePartitionIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 1)
	w.put("s", 0, contents(0, 3)...)
	messages := make(chan *bus.Message[Content], 10)
	subscribed := func() *bus.App {
		app := w.app()
		bus.MustSubscribe(app, "s", func(_ context.Context, m *bus.Message[Content]) error {
			messages <- m
			return nil
		}, bus.Group(group), bus.ManualCommit())
		return app
	}
	app, other := subscribed(), subscribed()
	stop := running(t, app)
	m := <-messages
	stable(t, 1, app)
	stopOther := running(t, other)
	stable(t, 1, app, other)
	if err := m.Commit(t.Context()); !errors.Is(err, bus.ErrRevoked) || !strings.Contains(err.Error(), w.prefix+"s/0@0") {
		t.Errorf("after a rebalance: %v", err)
	}
	if err := errors.Join(stop(), stopOther()); err != nil {
		t.Error(err)
	}
	if err := m.Commit(t.Context()); !errors.Is(err, bus.ErrRevoked) {
		t.Errorf("after the end: %v", err)
	}
	if c := w.committed(group, "s")[0]; c != 0 {
		t.Errorf("committed %d", c)
	}
}

func TestManualCommitOfTheConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 1)
	w.put("s", 0, contents(0, 5)...)
	app := w.app(bus.Config{ManualCommit: true})
	var got numbers
	bus.MustSubscribe(app, "s", got.handle, bus.Group(group))
	for range 2 {
		if _, err := app.ConsumeFor(within(t, 30*time.Second), 5); err != nil {
			t.Fatal(err)
		}
	}
	if c := w.committed(group, "s")[0]; c != 0 || !slices.Equal(got.get(), slices.Concat(upTo(0, 5), upTo(0, 5))) {
		t.Errorf("committed %d, handled %v", c, got.get())
	}
}

func TestForwardKeepsValueKeyAndHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w.putRecords(&kgo.Record{
		Topic: w.prefix + "s", Key: []byte("k"), Value: []byte(` {"data" : {"title":"t"}}`),
		Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "kafkaesk-id", Value: []byte("id")},
			{Key: "a", Value: []byte{0xff}}},
	})
	app := w.app()
	bus.MustSubscribe(app, "s", func(ctx context.Context, m *bus.Message[Content]) error {
		return errors.Join(
			m.Forward(ctx, "same"),
			m.Forward(ctx, "other", bus.Key([]byte("k2")), bus.AddHeader("b", "2"), bus.Timestamp(at)),
		)
	}, bus.Group(w.group("g")))
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 1); err != nil {
		t.Fatal(err)
	}
	same, other := readAll(t, app, "same"), readAll(t, app, "other")
	if len(same) != 1 || len(other) != 1 {
		t.Fatal(len(same), len(other))
	}
	want := []string{"a=1", "kafkaesk-id=id", "a=\xff"}
	if r := same[0]; string(r.Key) != "k" || string(r.Value) != ` {"data" : {"title":"t"}}` ||
		!slices.Equal(headers(r), want) {
		t.Errorf("key %q, value %s, headers %q", r.Key, r.Value, headers(r))
	}
	if r := other[0]; string(r.Key) != "k2" || !r.Time.Equal(at) || !slices.Equal(headers(r), append(want, "b=2")) {
		t.Errorf("key %q, time %v, headers %q", r.Key, r.Time, headers(r))
	}
}

// A record that is nil, as that of a Message whose Record the handler has set, is an error of Forward and of Commit.
func TestForwardAndCommitOfNoRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.app()
	bus.MustSubscribe(app, "s", func(ctx context.Context, m *bus.Message[Content]) error {
		m.Record = nil
		for _, err := range []error{
			m.Forward(ctx, "t"), m.Commit(ctx), bus.Forward(ctx, nil, "t"), bus.Commit(ctx, nil),
		} {
			errorSays(t, err, "there is no record (it is nil)")
		}
		return nil
	}, bus.Group(w.group("g")), bus.ManualCommit())
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 1); err != nil {
		t.Error(err)
	}
}
