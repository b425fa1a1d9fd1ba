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

// Dead letters of a subscription that reads dead letters do not come back to it.
func TestDeadLettersDoNotGoRound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("again")
	w.stream("s.g.dead", 1)
	w.put("s.g.dead", 0, contents(0, 1)...)
	app := w.app()
	var got numbers
	bus.MustSubscribe(app, "*.dead", rejectAt(0, bus.Reject(errBroken), &got), bus.Group(group), bus.DeadLetter())
	stop := running(t, app)
	eventually(t, func() bool { return stats(app).DeadLettered == 1 }, says("no dead letter"))
	w.stream("later.g.dead", 1) // who sees this stream has seen the one of the dead letter, too
	w.put("later.g.dead", 0, contents(1, 1)...)
	if all := got.wait(t, 2); !slices.Equal(all, []int{0, 1}) || len(stats(app).Streams) != 2 {
		t.Errorf("handled %v of %v", all, stats(app).Streams)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if all := readAll(t, app, "s.g.dead."+group+".dead"); len(all) != 1 {
		t.Errorf("%d dead letters", len(all))
	}
}

// Two groups that both read dead letters, and fail on each of them, write two generations and no more: what they fail
// on then is rejected.
func TestGroupsThatReadDeadLettersDoNotWriteEachOthersForEver(t *testing.T) {
	t.Parallel()
	w, log := newWorld(t), new(logged)
	w.stream("s", 1)
	w.put("s", 0, contents(0, 1)...)
	app := w.app(bus.Config{Logger: log.logger()})
	fail := func(context.Context, Content) error { return bus.Reject(errBroken) }
	work, one, two := w.group("work"), w.group("one"), w.group("two")
	bus.MustSubscribe(app, "s", fail, bus.Group(work), bus.DeadLetter())
	bus.MustSubscribe(app, "*.dead", fail, bus.Group(one), bus.DeadLetter())
	bus.MustSubscribe(app, "*.dead", fail, bus.Group(two), bus.DeadLetter())
	stop := running(t, app)
	figures := func() (dead, rejected uint64) {
		for _, s := range app.Stats().Subscriptions {
			dead, rejected = dead+s.DeadLettered, rejected+s.Rejected
		}
		return dead, rejected
	}
	// One of work's, one of each watcher of it, and each watcher fails on the other's.
	eventually(t, func() bool { _, rejected := figures(); return rejected == 2 },
		func() string { return fmt.Sprint(figures()) })
	if err := stop(); err != nil {
		t.Error(err)
	}
	if dead, _ := figures(); dead != 3 {
		t.Errorf("%d dead letters, want 3", dead)
	}
	if !log.has("a dead letter of a dead letter is not written to a third stream") {
		t.Errorf("the log does not tell:\n%s", log)
	}
	if all := readAll(t, app, "s."+work+".dead.*.dead"); len(all) != 2 {
		t.Errorf("%d dead letters of dead letters, want 2", len(all))
	}
}

// The topics that the bus makes for failed records take what the source's take, for as long as it does and the delay.
func TestTopicsForFailedRecordsAreLikeTheirSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 1, "max.message.bytes=4000000", "retention.ms=2592000000", "cleanup.policy=compact,delete",
		"retention.bytes=1000000")
	value := fmt.Sprintf(`{"schema":"Content:1","data":{"title":%q,"n":1}}`, strings.Repeat("t", 1_500_000))
	large := w.app(bus.Config{Settings: quick(bus.Settings{"max_request_size": 4_000_000})})
	if err := large.PublishRaw(t.Context(), "s", []byte(value), bus.Key([]byte("k"))); err != nil {
		t.Fatal(err)
	}
	app := w.app() // whose own max_request_size is 1 MiB
	var seen list[visit]
	const day = 24 * time.Hour
	bus.MustSubscribe(app, "s", visiting(&seen, func(v visit) error {
		if v.stream == "s" {
			return errBroken
		}
		return bus.Reject(errBroken)
	}), bus.Group(group), bus.RetryTopics(time.Millisecond, 10*day))
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 2); err != nil {
		t.Fatal(err)
	}
	if all := deadLetters(t, app, "s", group); len(all) != 1 || string(all[0].Value) != value ||
		header(all[0], bus.AttemptsHeader) != "2" {
		t.Fatalf("%d dead letters", len(all))
	}
	for topic, want := range map[string][]string{
		".dead":    {"max.message.bytes=4016384", "retention.ms=2592000000"},
		".retry.1": {"max.message.bytes=4016384", "retention.ms=2592000001"},
	} {
		if got := w.ownConfigs("s." + group + topic); !slices.Equal(got, want) {
			t.Errorf("%s is created with %q, want %q", topic, got, want)
		}
	}
}

// A dead letter that is moved to the replay stream is handled again, by the group that gave it up and by no other. When
// it fails again it is a dead letter of its source again, with all that has happened to it.
func TestReplayedDeadLettersAreHandledAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine, other := w.group("mine"), w.group("other")
	w.stream("s", 1)
	w.put("s", 0, contents(0, 3)...)
	app := w.app()
	var got, others numbers
	var failing list[int]
	bus.MustSubscribe(app, "s", func(_ context.Context, c Content) error {
		got.add(c.N)
		if c.N == 0 || c.N == 1 && count(got.get(), 1) == 1 {
			failing.add(c.N)
			return bus.Reject(fmt.Errorf("failure %d", failing.len()))
		}
		return nil
	}, bus.Group(mine), bus.DeadLetter())
	bus.MustSubscribe(app, "*", others.handle, bus.Group(other), bus.DeadLetter())
	stop := running(t, app)
	eventually(t, func() bool { return stats(app).DeadLettered == 2 }, says("no dead letters"))
	replay := "s." + mine + ".replay"
	for _, r := range deadLetters(t, app, "s", mine) {
		if err := app.PublishBatch(t.Context(), replay,
			[]bus.Outgoing{{Key: r.Key, Value: r.Value, Headers: r.Headers}}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() bool { return stats(app).DeadLettered == 3 && stats(app).Finished == 5 },
		func() string { return fmt.Sprintf("%+v", stats(app)) })
	w.waitCommitted(other, "s", map[int32]int64{0: 3})
	if err := stop(); err != nil {
		t.Error(err)
	}
	if got.len() != 5 || others.len() != 3 {
		t.Errorf("handled %v, and by another group %v", got.get(), others.get())
	}
	all := deadLetters(t, app, "s", mine)
	again := all[slices.IndexFunc(all, func(r *bus.Record) bool {
		return header(r, bus.ErrorHeader) == "rejected: failure 3"
	})]
	for name, want := range map[string]string{
		bus.FirstStreamHeader: "s", bus.FirstTopicHeader: w.prefix + "s", bus.FirstOffsetHeader: "0", bus.AttemptsHeader: "2",
		bus.GroupHeader: mine,
	} {
		if text := header(again, name); text != want {
			t.Errorf("header %s is %q, want %q", name, text, want)
		}
	}
}

// A header of a far day does not stop the retry stream: nothing waits longer than the stream's delay.
func TestNotBeforeNeverDelaysLongerThanTheDelay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 1)
	retry := "s." + group + ".retry.1"
	w.stream(retry, 1)
	for i, at := range []string{"9999-12-31T23:59:59Z", "2300-01-01T00:00:00Z", "tomorrow"} {
		record := &kgo.Record{Topic: w.prefix + retry, Value: []byte(contents(i, 1)[0]),
			Headers: []kgo.RecordHeader{{Key: bus.NotBeforeHeader, Value: []byte(at)}}}
		if i == 1 {
			record.Timestamp = time.Now().Add(30 * time.Minute) // the clock that wrote it is wrong altogether
		}
		w.putRecords(record)
	}
	app := w.app()
	var got numbers
	bus.MustSubscribe(app, "s", got.handle, bus.Group(group), bus.RetryTopics(50*time.Millisecond))
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 3); err != nil {
		t.Fatal(err)
	}
	if all := got.get(); !slices.Equal(all, []int{0, 1, 2}) {
		t.Errorf("handled %v", all)
	}
}

// What is published anew from a dead letter is a new record: it has the application's headers, and not those of the
// failure.
func TestADeadLetterThatIsPublishedAnewLosesTheHeadersOfItsFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	group := w.group("g")
	w.putRecords(&kgo.Record{
		Topic: w.prefix + "s", Value: []byte(contents(1, 1)[0]),
		Headers: []kgo.RecordHeader{{Key: "mine", Value: []byte("1")}, {Key: bus.IDHeader, Value: []byte("id")}},
	})
	app := w.app()
	bus.MustSubscribe(app, "s", func(context.Context, Content) error { return bus.Reject(errBroken) }, bus.Group(group),
		bus.DeadLetter())
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 1); err != nil {
		t.Fatal(err)
	}
	mender := w.app()
	bus.MustSubscribe(mender, "*.dead", func(ctx context.Context, m *bus.Message[Content]) error {
		batch := []bus.Outgoing{{Value: m.Record.Value, Headers: m.Record.Headers}}
		return errors.Join(m.Forward(ctx, "forwarded"), mender.PublishBatch(ctx, "batch", batch),
			mender.PublishRaw(ctx, "raw", m.Record.Value, bus.AddHeader("mine", "1"), bus.AddHeader(bus.IDHeader, "id"),
				bus.AddHeader(bus.ErrorHeader, "e")))
	}, bus.Group(w.group("mender")))
	if _, err := mender.ConsumeFor(within(t, 30*time.Second), 1); err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"forwarded", "batch", "raw"} {
		all := readAll(t, app, stream)
		if len(all) != 1 || !slices.Equal(headers(all[0]), []string{"mine=1", bus.IDHeader + "=id"}) {
			t.Errorf("%s: %q", stream, headers(all[0]))
		}
	}
}
