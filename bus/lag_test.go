package bus_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
)

// knowsLag waits until the end and the lag of each partition are known, and the lag over all of them is want.
func knowsLag(t *testing.T, app *bus.App, partitions int, want int64) {
	t.Helper()
	eventually(t, func() bool {
		s := stats(app)
		for _, p := range s.Assigned {
			if p.End < 0 || p.Lag != p.End-p.Watermark {
				return false
			}
		}
		return len(s.Assigned) == partitions && s.Lag == want
	}, func() string { return fmt.Sprintf("lag %d, want %d: %+v", stats(app).Lag, want, stats(app).Assigned) })
}

// A consumer that has nothing to do knows its lag from the first answers of the brokers, after a restart too: of
// partitions that it has read to their end, and of those that never had a record.
func TestTheLagOfAnIdleConsumerIsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 3)
	w.put("s", 0, contents(0, 20)...)
	w.put("s", 1, contents(20, 20)...)
	start := func() (*bus.App, func() error, *numbers) {
		app, got := w.app(), new(numbers)
		bus.MustSubscribe(app, "s", got.handle, bus.Group(group))
		return app, running(t, app), got
	}
	app, stop, got := start()
	got.wait(t, 40)
	knowsLag(t, app, 3, 0)
	w.waitCommitted(group, "s", map[int32]int64{0: 20, 1: 20})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	app, stop, got = start()
	knowsLag(t, app, 3, 0)
	for _, p := range stats(app).Assigned {
		if want := w.ends("s")[int32(p.Partition)]; p.End != want {
			t.Errorf("partition %d ends at %d, want %d", p.Partition, p.End, want)
		}
	}
	if got.len() > 0 {
		t.Errorf("handled %v again", got.get())
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// Records behind a transaction that is open are not handled yet, and the lag counts them: a consumer that waits for
// another program to end its transaction is behind.
func TestRecordsBehindAnOpenTransactionCountAsLag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 1)
	w.put("s", 0, contents(0, 40)...)
	start := func() (*bus.App, func() error, *numbers) {
		app, got := w.app(), new(numbers)
		bus.MustSubscribe(app, "s", got.handle, bus.Group(group))
		return app, running(t, app), got
	}
	app, stop, got := start()
	got.wait(t, 40)
	w.transaction("s", false, contents(40, 1)...) // makes the client
	w.waitCommitted(group, "s", map[int32]int64{0: 42})
	if err := w.transactions.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	open := &kgo.Record{Topic: w.prefix + "s", Value: []byte(contents(41, 1)[0])}
	if err := w.transactions.ProduceSync(t.Context(), open).FirstErr(); err != nil {
		t.Fatal(err)
	}
	w.put("s", 0, contents(42, 24)...)
	knowsLag(t, app, 1, 25)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	app, stop, got = start()
	knowsLag(t, app, 1, 25)
	if got.len() > 0 {
		t.Errorf("handled %v before the transaction ends", got.get())
	}
	if err := w.transactions.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	got.wait(t, 25)
	knowsLag(t, app, 1, 0)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
