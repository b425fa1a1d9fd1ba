package bus_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// A stream that is missing must neither starve those that are there nor make the group rebalance without end, and
// listening must not create it: that would be with the broker's number of partitions and retention.
func TestAMissingStreamIsWaitedForAndNotCreated(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		waitForMissing(t, newWorld(t, kafkatest.Kfake(kfake.AllowAutoTopicCreation())))
	})
	t.Run("real", func(t *testing.T) {
		waitForMissing(t, newWorld(t, kafkatest.Property("auto.create.topics.enable", "true")))
	})
}

func waitForMissing(t *testing.T, w *world) {
	w.stream("there", 2)
	var got numbers
	apps := make([]*bus.App, 2)
	for i := range apps {
		apps[i] = w.app()
		bus.MustSubscribe(apps[i], "there", got.handle, bus.Patterns("missing"), bus.Group(w.group("waiting")))
		running(t, apps[i])
	}
	stable(t, 2, apps...)
	w.put("there", 0, contents(0, 10)...)
	w.put("there", 1, contents(10, 10)...)
	got.wait(t, 20)
	generation := stats(apps[0]).Generation
	const watched = 2 * time.Second
	time.Sleep(watched) // it is the test: nothing happens meanwhile
	s := stats(apps[0])
	if s.Generation != generation || s.State != "stable" {
		t.Errorf("the group has gone from generation %d to %d, and is %s, because a stream is missing", generation,
			s.Generation, s.State)
	}
	if w.hasTopic("missing") {
		t.Error("listening has created the stream")
	}
	begin := time.Now()
	w.stream("missing", 1)
	w.put("missing", 0, contents(20, 1)...)
	got.wait(t, 21)
	t.Attr("figures", fmt.Sprintf("generation %d for %v with a stream missing; it was consumed %v after it was created",
		generation, watched, time.Since(begin).Round(time.Millisecond)))
}

// With the settings' defaults, and auto_offset_reset=latest: the first record of a new stream was written after the
// subscription.
func TestNewStreamsAreConsumedFromTheirFirstRecord(t *testing.T) {
	t.Parallel()
	const streams = 3
	w := newWorld(t)
	w.stream("content.old", 1)
	var got numbers
	app := w.app(bus.Config{Settings: bus.Settings{"auto_offset_reset": "latest"}})
	bus.MustSubscribe(app, "content.*", got.handle, bus.Group(w.group("pattern")))
	running(t, app)
	stable(t, 1, app)

	// Another program creates each, and writes at once; so do we.
	publisher := w.app()
	bus.MustSchema[Content](publisher, "")
	slowest := time.Duration(0)
	for i := range streams {
		stream := fmt.Sprint("content.new-", i)
		begin := time.Now()
		w.stream(stream, 3)
		if err := publisher.Publish(within(t, 20*time.Second), stream, Content{Title: "t", N: i}); err != nil {
			t.Fatalf("publish to a stream that another program has just created: %v", err)
		}
		got.wait(t, i+1)
		slowest = max(slowest, time.Since(begin))
	}
	t.Attr("figures", fmt.Sprintf("%d new streams: consumed from their first record within %v of being created", streams,
		slowest.Round(time.Millisecond)))
	if limit := 5 * time.Second; slowest > limit {
		t.Errorf("it took more than %v", limit)
	}
}

func TestADeletedStreamIsNoErrorLoop(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, embedded())
		requests := w.cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch, kmsg.JoinGroup, kmsg.OffsetCommit,
			kmsg.ListOffsets}, Observe: true, Count: -1})
		deleteOne(t, w, requests.Hits)
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		if !w.cluster.IsReal() {
			t.Skip("the embedded broker has the test above: run with KAFKA=apache")
		}
		deleteOne(t, w, func() int { return 0 }) // they cannot be counted there
	})
}

func deleteOne(t *testing.T, w *world, requests func() int) {
	w.stream("content.stays", 1)
	w.stream("content.goes", 2)
	var log logged
	var got numbers
	app := w.app(bus.Config{Logger: log.logger()})
	bus.MustSubscribe(app, "content.*", got.handle, bus.Group(w.group("deleted")))
	running(t, app)
	w.put("content.goes", 0, contents(0, 5)...)
	w.put("content.goes", 1, contents(5, 5)...)
	got.wait(t, 10)
	w.delete("content.goes")
	eventually(t, func() bool { s := stats(app); return s.State == "stable" && len(s.Assigned) == 1 },
		says("the stream is still assigned"))
	lines, before := strings.Count(log.String(), "\n"), requests()
	const watched = 2 * time.Second
	time.Sleep(watched) // it is the test: nothing happens meanwhile
	lines, sent := strings.Count(log.String(), "\n")-lines, requests()-before
	w.put("content.stays", 0, contents(10, 1)...)
	got.wait(t, 11)
	warnings := strings.Count(log.String(), "level=WARN") + strings.Count(log.String(), "level=ERROR")
	t.Attr("figures",
		fmt.Sprintf("%v after a stream was deleted: %d log lines, %d requests; %d warnings and errors in all", watched, lines,
			sent, warnings))
	// One partition is read, with 100 ms for a fetch that finds nothing.
	if lines > 4 || sent > 60 || warnings > 4 {
		t.Errorf("the log:\n%s", &log)
	}
	// It may come again, as another stream of the same name.
	w.stream("content.goes", 1)
	publisher := w.app() // franz-go would go on asking for the id of the one that is gone
	bus.MustSchema[Content](publisher, "")
	if err := publisher.Publish(within(t, 20*time.Second), "content.goes", Content{Title: "t", N: 11}); err != nil {
		t.Fatal(err)
	}
	got.wait(t, 12)
}

// A consumer begins before anything is there, another program creates the stream, a third publishes at once: many times
// over, because a broker that has just heard of a topic answers with errors for a while.
func TestPublishRightAfterAnotherProgramCreatedTheStream(t *testing.T) {
	t.Parallel()
	const rounds = 20
	w := newWorld(t)
	var got numbers
	app := w.app()
	bus.MustSubscribe(app, "fresh.*", got.handle, bus.Group(w.group("fresh")))
	running(t, app)
	publisher := w.app()
	bus.MustSchema[Content](publisher, "")
	begin := time.Now()
	receipts := make([]*bus.Receipt, rounds)
	for i := range rounds {
		stream := fmt.Sprint("fresh.", i)
		w.stream(stream, 3)
		receipts[i] = publisher.PublishAsync(context.Background(), stream, Content{Title: "t", N: i})
	}
	for i, r := range receipts {
		if err := r.Wait(within(t, 20*time.Second)); err != nil {
			t.Errorf("publish to stream %d: %v", i, err)
		}
	}
	got.wait(t, rounds)
	t.Attr("figures", fmt.Sprintf("%d streams created and published to at once: all consumed after %v, in generation %d",
		rounds, time.Since(begin).Round(time.Millisecond), stats(app).Generation))
}
