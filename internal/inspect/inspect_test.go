package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/inspect"
	"github.com/kafkaesk/kafkaesk/internal/kafka"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// world is a prefix of the test's own, and an App to publish with.
type world struct {
	t       *testing.T
	cluster *kafkatest.Cluster
	prefix  string
	app     *bus.App
	ctx     context.Context
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	w := &world{t: t, cluster: kafkatest.Start(t), ctx: ctx}
	w.prefix = w.cluster.Prefix(t)
	w.app = w.newApp()
	if err := w.app.Initialize(ctx); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) newApp() *bus.App {
	app := bus.New(bus.Config{Servers: w.cluster.Servers(), TopicPrefix: w.prefix, Logger: testkit.Logger(w.t)})
	w.t.Cleanup(func() {
		if err := app.Close(w.ctx); err != nil {
			w.t.Error(err)
		}
	})
	return app
}

// publish writes records of one key, and so of one partition, at a time.
func (w *world) publish(stream string, n int, at time.Time) {
	w.t.Helper()
	for i := range n {
		if err := w.app.PublishRaw(w.ctx, stream, fmt.Appendf(nil, `{"n":%d}`, i), bus.Key("k"),
			bus.Timestamp(at)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// run runs an App until the returned function is called.
func (w *world) run(app *bus.App) (stop func()) {
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	}
}

// withLag returns the rows of a group that have a lag.
func withLag(rows []inspect.Lag) []inspect.Lag {
	var found []inspect.Lag
	for _, r := range rows {
		if r.Lag != nil && *r.Lag > 0 {
			found = append(found, r)
		}
	}
	return found
}

func TestAGroupWhoseHandlerIsBlockedIsBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.prefix + "blocked"
	begun, release := make(chan struct{}, 1), make(chan struct{})
	app := w.newApp()
	bus.MustSubscribe(app, "content", func(ctx context.Context, r *bus.Record) error {
		select {
		case begun <- struct{}{}:
		default:
		}
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	}, bus.Group(group))
	stop := w.run(app)
	defer func() { stop() }()
	at := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	w.publish("content", 5, at)
	<-begun
	inspector := w.app.Inspector()
	var rows []inspect.Lag
	testkit.Eventually(t, func() bool {
		all, err := inspector.Lag(w.ctx, group)
		if err != nil {
			t.Fatal(err)
		}
		rows = withLag(all)
		return len(rows) == 1 && len(all) == 7
	}, func() string { return fmt.Sprintf("rows %+v", rows) })
	row := rows[0]
	want := inspect.Lag{Group: group, Stream: "content", Partition: row.Partition, Committed: new(int64(0)),
		End: new(int64(5)),
		Lag: new(int64(5)), AgeSeconds: row.AgeSeconds}
	if diff := cmp.Diff(want, row, cmpopts.IgnoreFields(inspect.Lag{}, "MemberID", "ClientID", "Host")); diff != "" {
		t.Error(diff)
	}
	if row.AgeSeconds == nil || *row.AgeSeconds < 3600 || row.MemberID == "" || row.Host == "" {
		t.Errorf("age or member: %+v", row)
	}
	groups, err := inspector.Groups(w.ctx)
	if err != nil || len(groups) != 1 || *groups[0].Lag != 5 || groups[0].State != "Stable" ||
		len(groups[0].Members) != 1 {
		t.Errorf("groups %+v, %v", groups, err)
	}
	close(release)
	testkit.Eventually(t, func() bool {
		all, err := inspector.Lag(w.ctx, group)
		rows = withLag(all)
		return err == nil && len(rows) == 0
	}, func() string { return fmt.Sprintf("rows %+v", rows) })
	stop()
	stop = func() {}
	groups, err = inspector.Groups(w.ctx, group)
	if err != nil || groups[0].State != "Empty" || len(groups[0].Members) != 0 || *groups[0].Lag != 0 ||
		*groups[0].AgeSeconds != 0 {
		t.Errorf("without members %+v, %v", groups, err)
	}
	if diff := cmp.Diff([]string{"content"}, groups[0].Streams); diff != "" {
		t.Error(diff)
	}
}

func TestAGroupThatDoesNotExistIsDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	groups, err := w.app.Inspector().Groups(w.ctx, w.prefix+"nobody")
	if err != nil || len(groups) != 1 || groups[0].State != inspect.StateDead || groups[0].Lag != nil {
		t.Errorf("%+v, %v", groups, err)
	}
}

func TestStreamsOfThePrefix(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := time.Now().Add(-time.Hour).Truncate(time.Millisecond).UTC()
	w.publish("one", 3, at)
	w.publish("two", 1, at)
	inspector := w.app.Inspector()
	streams, err := inspector.Streams(w.ctx, func(stream string) bool { return stream == "one" })
	if err != nil || len(streams) != 1 {
		t.Fatalf("%+v, %v", streams, err)
	}
	want := inspect.Stream{Stream: "one", Topic: w.prefix + "one", Partitions: 7, ReplicationFactor: 1,
		Records: new(int64(3)), LastRecordTime: &at, RetentionMS: streams[0].RetentionMS, CleanupPolicy: "delete"}
	if diff := cmp.Diff(want, streams[0]); diff != "" || streams[0].RetentionMS == nil {
		t.Error(diff, streams[0].RetentionMS)
	}
	if streams, err = inspector.Streams(w.ctx, nil); err != nil || len(streams) != 2 {
		t.Errorf("%+v, %v", streams, err)
	}
}

func TestDeadLettersHaveTheNamesOfTheirHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.prefix + "g.with.dots"
	app := w.newApp()
	bus.MustSubscribe(app, "content.edited", func(context.Context, *bus.Record) error {
		return bus.Reject(errors.New("no"))
	},
		bus.Group(group), bus.DeadLetter())
	stop := w.run(app)
	defer stop()
	w.publish("content.edited", 3, time.Now())
	var dead []inspect.DeadLetters
	testkit.Eventually(t, func() bool {
		var err error
		dead, err = w.app.Inspector().DeadLetters(w.ctx)
		return err == nil && len(dead) == 1 && dead[0].Records == 3 && dead[0].Oldest != nil
	}, func() string { return fmt.Sprintf("%+v", dead) })
	if d := dead[0]; d.Stream != "content.edited" || d.Group != group || d.Newest == nil {
		t.Errorf("%+v", d)
	}
	for _, step := range []struct {
		drop int
		open int64
	}{{0, 3}, {2, 1}, {1, 0}} {
		if step.drop > 0 {
			_, err := w.app.DropDeadLetters(w.ctx, "content.edited", group, bus.DeadLetterSelection{Limit: step.drop})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.app.Inspector().CountOpen(w.ctx, dead); err != nil || dead[0].Open == nil || *dead[0].Open != step.open {
			t.Errorf("%+v, %v; want %d that are open", dead[0], err, step.open)
		}
	}
}

// The lag counts records of a transaction that is open, as Kafka's own tool does. How old the oldest record is that can
// be handled is not known before it ends.
func TestTheAgeBehindAnOpenTransactionIsNotKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.prefix + "g"
	if err := w.app.PublishRaw(w.ctx, "s", []byte("{}")); err != nil { // makes the topic
		t.Fatal(err)
	}
	client, err := kafka.NewClient(w.cluster.Servers(), kafka.DefaultSettings(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	tp := kafka.TopicPartition{Topic: w.prefix + "s", Partition: 3}
	ends, err := client.ListHighWatermarks(w.ctx, []kafka.TopicPartition{tp})
	if err == nil {
		err = client.ResetOffsets(w.ctx, group, ends)
	}
	if err != nil {
		t.Fatal(err)
	}
	writer, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.Servers()...), kgo.TransactionalID(w.prefix+"writer"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err == nil {
		defer writer.Close()
		err = writer.BeginTransaction()
	}
	if err == nil {
		at := time.Now().Add(-time.Hour)
		err = writer.ProduceSync(w.ctx, &kgo.Record{Topic: tp.Topic, Partition: 3, Value: []byte("{}"),
			Timestamp: at}).FirstErr()
	}
	if err != nil {
		t.Fatal(err)
	}
	rows, err := w.app.Inspector().Lag(w.ctx, group)
	if err != nil || len(rows) != 1 || *rows[0].Lag != 1 || rows[0].AgeSeconds != nil ||
		!strings.Contains(rows[0].Note, "transaction") {
		t.Errorf("while it is open: %+v, %v", rows, err)
	}
	if err := writer.EndTransaction(w.ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool {
		rows, err = w.app.Inspector().Lag(w.ctx, group)
		return err == nil && len(rows) == 1 && rows[0].AgeSeconds != nil && *rows[0].AgeSeconds >= 3600
	}, func() string { return fmt.Sprintf("when it has ended: %+v, %v", rows, err) })
	if *rows[0].Lag != 2 { // with the marker
		t.Errorf("lag %d", *rows[0].Lag)
	}
}

// Each group's age is that of the record at its own offset.
func TestGroupsAtDifferentOffsetsOfAPartition(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := time.Now()
	for i := range 3 {
		w.publish("s", 1, now.Add(time.Duration(i-3)*time.Hour))
	}
	client, err := kafka.NewClient(w.cluster.Servers(), kafka.DefaultSettings(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	parts := make([]kafka.TopicPartition, 7)
	for n := range parts {
		parts[n] = kafka.TopicPartition{Topic: w.prefix + "s", Partition: int32(n)}
	}
	ends, err := client.ListHighWatermarks(w.ctx, parts)
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(ends, func(_ kafka.TopicPartition, end int64) bool { return end == 0 })
	groups := make([]string, 4)
	for n := range groups {
		groups[n] = fmt.Sprintf("%sg%d", w.prefix, n)
		for tp := range ends {
			ends[tp] = int64(n)
		}
		if err := client.ResetOffsets(w.ctx, groups[n], ends); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := w.app.Inspector().Lag(w.ctx, groups...)
	if err != nil || len(rows) != 4 {
		t.Fatalf("%+v, %v", rows, err)
	}
	for n, row := range rows {
		hours := -1.0
		if row.AgeSeconds != nil {
			hours = math.Floor(*row.AgeSeconds / 3600)
		}
		if *row.Lag != int64(3-n) || hours != float64(3-n) {
			t.Errorf("%s: lag %d, %v hours", row.Group, *row.Lag, hours)
		}
	}
}
