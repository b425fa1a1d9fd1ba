package monitor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/bus/monitor"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

type Content struct {
	Title string `json:"title" jsonschema:"maxLength=10"`
}

// blocker is a handler that waits until it is released.
type blocker struct{ release chan struct{} }

func newBlocker() *blocker { return &blocker{make(chan struct{})} }

func (b *blocker) handle(ctx context.Context, _ *bus.Record) error {
	select {
	case <-b.release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	lag    = "kafkaesk_consumer_lag"
	oldest = "kafkaesk_consumer_oldest_unhandled_timestamp_seconds"
)

// publish writes n records of one key, and so of one partition, at that time.
func publish(t *testing.T, app *bus.App, stream string, n int, at time.Time) {
	t.Helper()
	for range n {
		if err := app.PublishRaw(t.Context(), stream, []byte(`{}`), bus.Key("k"), bus.Timestamp(at)); err != nil {
			t.Fatal(err)
		}
	}
}

// The lag and the age are there while a handler is blocked. When it is released the lag is 0, and there is no oldest
// record any more.
func TestLagAndAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, b, group := w.app(), newBlocker(), w.group("g")
	bus.MustSubscribe(app, "content", b.handle, bus.Group(group))
	h := monitor.Handler(app)
	at := time.Now().Add(-90 * time.Second).Truncate(time.Millisecond)
	publish(t, app, "content", 5, at)
	w.run(app)
	labels := func(s series, name string) (key string) {
		for key = range s.of(name) {
			if s[key] != 0 {
				return strings.TrimPrefix(key, name)
			}
		}
		return key
	}
	var partition string
	eventually(t, h, func(s series) bool {
		partition = labels(s, lag)
		return s.sum(lag) == 5 && len(s.of(lag)) == 7 && len(s.of(oldest)) == 1 && s[oldest+partition] != 0
	})
	s := scrape(t, h)
	if got := s[oldest+partition]; math.Abs(got-float64(at.UnixMilli())/1000) > 0.001 {
		t.Errorf("the oldest record is of %v, want %v", got, at)
	}
	if !strings.HasPrefix(partition, fmt.Sprintf(`{group=%q,partition="`, group)) ||
		!strings.HasSuffix(partition, `",stream="content"}`) {
		t.Errorf("labels %s", partition)
	}
	close(b.release)
	eventually(t, h, func(s series) bool {
		return s.sum(lag) == 0 && len(s.of(lag)) == 7 && len(s.of(oldest)) == 0 &&
			s.sum("kafkaesk_consumed_messages_total", `stream="content"`, `outcome="handled"`) == 5
	})
	s = scrape(t, h)
	for name, want := range map[string]float64{
		"kafkaesk_ready": 1,
		fmt.Sprintf("kafkaesk_consumer_healthy{group=%q}", group):                             1,
		fmt.Sprintf("kafkaesk_consumer_assigned_partitions{group=%q}", group):                 7,
		fmt.Sprintf("kafkaesk_handler_duration_seconds{group=%q,stream=\"content\"}", group):  5,
		fmt.Sprintf("kafkaesk_message_lead_time_seconds{group=%q,stream=\"content\"}", group): 5,
		fmt.Sprintf("kafkaesk_consumer_finished_records_total{group=%q}", group):              5,
		`kafkaesk_published_messages_total{error="none",stream="content"}`:                    5,
		`kafkaesk_publish_duration_seconds{stream="content"}`:                                 5,
		"kafkaesk_producer_sent_records_total":                                                5,
	} {
		if got, there := s[name]; got != want || !there {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if s.sum("kafkaesk_broker_connections") < 1 || s.sum("kafkaesk_broker_read_bytes_total") < 100 ||
		s.sum("kafkaesk_broker_written_bytes_total") < 100 || s.sum("kafkaesk_broker_connects_total") < 1 {
		t.Errorf("connections: %s", s)
	}
}

// The series of partitions that another member gets are removed, those of Python's names too.
func TestSeriesOfRevokedPartitionsAreRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second, group := w.app(), w.app(), w.group("g")
	for _, app := range []*bus.App{first, second} {
		bus.MustSubscribe(app, "content", func(context.Context, *bus.Record) error { return nil }, bus.Group(group))
	}
	h, other := monitor.Handler(first, monitor.PythonMetrics()), monitor.Handler(second)
	for i := range 70 {
		err := first.PublishRaw(t.Context(), "content", []byte(`{}`), bus.Key(fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
	}
	const pythons = "kafkaesk_consumed_message_elapsed_time"
	w.run(first)
	eventually(t, h, func(s series) bool {
		return len(s.of(lag)) == 7 && s.sum(pythons) == 70 && len(s.of(pythons)) == 7 && s.sum(lag) == 0
	})
	stop := w.run(second)
	eventually(t, other, func(s series) bool { return len(s.of(lag)) == 3 || len(s.of(lag)) == 4 })
	eventually(t, h, func(s series) bool {
		n := len(s.of(lag))
		return (n == 3 || n == 4) && len(s.of(pythons)) == n && len(s.of("kafkaesk_consumed_topic_offset")) == n &&
			len(s.of("kafkaesk_consumed_messages_total")) == n
	})
	stop()
	if s := scrape(t, other); len(s.of(lag)) > 0 {
		t.Errorf("a member that has left has series:\n%s", s)
	}
}

// A rebalance is counted by what became of the member: lost when the group went on without it, else revoked. Each event
// has a series from the start.
func TestRebalancesAreCountedByEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kafkatest.Kfake())
	app, group := w.app(), w.group("g")
	bus.MustSubscribe(app, "content", func(context.Context, *bus.Record) error { return nil }, bus.Group(group))
	h := monitor.Handler(app)
	publish(t, app, "content", 1, time.Now())
	counted := func(s series, assigned, revoked, lost float64) bool {
		const name = "kafkaesk_consumer_rebalances_total"
		at := func(event string) string { return fmt.Sprintf("%s{event=%q,group=%q}", name, event, group) }
		got := s.of(name)
		return len(got) == 3 && got[at("assigned")] == assigned && got[at("revoked")] == revoked && got[at("lost")] == lost
	}
	if s := scrape(t, h); !counted(s, 0, 0, 0) {
		t.Errorf("before Run:\n%s", s)
	}
	stop := w.run(app)
	eventually(t, h, func(s series) bool { return counted(s, 1, 0, 0) })
	w.cluster.Fake().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true,
		Err: kerr.UnknownMemberID, Count: 1})
	eventually(t, h, func(s series) bool { return counted(s, 2, 0, 1) })
	stop()
	if s := scrape(t, h); !counted(s, 2, 1, 1) {
		t.Errorf("after Run:\n%s", s)
	}
}

// A dashboard for Python's kafkaesk finds its names and labels; and no record is counted twice.
func TestPythonMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, group := w.app(), w.group("g")
	bus.MustSubscribe(app, "content", func(context.Context, *bus.Record) error { return bus.Reject(errors.New("no")) },
		bus.Group(group))
	h := monitor.Handler(app, monitor.PythonMetrics())
	publish(t, app, "content", 3, time.Now())
	w.run(app)
	topic := w.prefix + "content"
	consumed := []string{`stream="content"`, fmt.Sprintf("stream_id=%q", topic), fmt.Sprintf("group_id=%q", group),
		fmt.Sprintf("group=%q", group), `error="other"`, `outcome="rejected"`, `partition="`}
	eventually(t, h, func(s series) bool { return s.sum("kafkaesk_consumed_messages_total", consumed...) == 3 })
	s := scrape(t, h)
	stream := fmt.Sprintf("stream_id=%q", topic)
	for name, want := range map[string]float64{
		"kafkaesk_consumed_messages_total": 3, "kafkaesk_published_messages_total": 3, "kafkaesk_message_lead_time": 3,
		"kafkaesk_consumed_message_elapsed_time": 3, "kafkaesk_published_messages_time": 3,
		"kafkaesk_produced_topic_offset": 2, "kafkaesk_consumed_topic_offset": 2,
	} {
		if all, got := s.sum(name), s.sum(name, stream); all != want || got != want {
			t.Errorf("%s is %v, and with Python's labels %v, want %v", name, all, got, want)
		}
	}
	rebalanced := fmt.Sprintf("kafkaesk_consumer_rebalanced_total{event=\"assigned\",group_id=%q}", group)
	if got := s[rebalanced]; got != 1 {
		t.Errorf("consumer_rebalanced_total is %v", got)
	}
	if got := s[fmt.Sprintf("kafkaesk_consumer_health{group_id=%q}", group)]; got != 1 {
		t.Errorf("consumer_health is %v", got)
	}
}

func TestPublishErrorsAreOfAFewKinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.app()
	bus.MustSchema[Content](app, "Content", bus.Streams("content"))
	h := monitor.Handler(app)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range []error{
		app.Publish(t.Context(), "content", Content{Title: "short"}),
		app.Publish(t.Context(), "content", Content{Title: "longer than ten"}),
		app.PublishRaw(t.Context(), "content", make([]byte, 2<<20)),
		app.PublishRaw(ended, "content", []byte("{}")),
		app.PublishRaw(t.Context(), "no stream\xff", []byte("{}")),
	} {
		_ = err // its kind is in the metrics
	}
	s := scrape(t, h).of("kafkaesk_published_messages_total")
	want := series{
		`kafkaesk_published_messages_total{error="none",stream="content"}`:      1,
		`kafkaesk_published_messages_total{error="invalid",stream="content"}`:   1,
		`kafkaesk_published_messages_total{error="too_large",stream="content"}`: 1,
		`kafkaesk_published_messages_total{error="canceled",stream="content"}`:  1,
		`kafkaesk_published_messages_total{error="other",stream="(other)"}`:     1,
	}
	if fmt.Sprint(s) != fmt.Sprint(want) {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
}

// An application that makes streams' names out of data cannot make a series for each.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	app := bus.New(bus.Config{})
	bus.MustSchema[Content](app, "Content")
	h := monitor.Handler(app)
	for i := range 1100 {
		if err := app.Publish(t.Context(), fmt.Sprintf("content.%d", i), Content{}); err == nil {
			t.Fatal("published without servers")
		}
	}
	s := scrape(t, h).of("kafkaesk_published_messages_total")
	if other := s[`kafkaesk_published_messages_total{error="other",stream="(other)"}`]; len(s) != 1001 || other != 100 {
		t.Errorf("%d series, %v of other streams", len(s), other)
	}
}

// The counts of the log handlers that ship through the App are there, summed up by stream.
func TestLogHandlersAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := w.app()
	h := monitor.Handler(app)
	for range 2 {
		logs := slogkafka.NewHandler(app, "logs.app", slogkafka.Level(slog.LevelInfo))
		log := slog.New(logs)
		log.Info("one")
		log.Info("two", slog.String("long", strings.Repeat("x", 2<<20)))
		if err := logs.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s := scrape(t, h)
	for name, want := range map[string]float64{
		"kafkaesk_log_accepted_total": 4, "kafkaesk_log_delivered_total": 4, "kafkaesk_log_truncated_total": 2,
		"kafkaesk_log_buffer_records": 0, "kafkaesk_log_lost_total": 0,
	} {
		if got, there := s[name+`{stream="logs.app"}`]; got != want || !there {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if n := len(s.of("kafkaesk_log_oldest_timestamp_seconds")); n > 0 {
		t.Error("an empty queue has an oldest record")
	}
}

// Without a broker nothing is delivered, and what is dropped has its reason.
func TestDroppedLogRecordsHaveAReason(t *testing.T) {
	t.Parallel()
	app := bus.New(bus.Config{})
	h := monitor.Handler(app)
	logs := slogkafka.NewHandler(app, "logs.app", slogkafka.WhenConfigured())
	slog.New(logs).Info("one")
	const name = `kafkaesk_log_dropped_total{reason="not_configured",stream="logs.app"}`
	eventually(t, h, func(s series) bool { return s[name] == 1 })
	if err := app.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Prometheus' own checker finds nothing to say of the names.
func TestPromtoolTakesTheMetrics(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool here: apt-get install prometheus")
	}
	w := newWorld(t)
	app := w.app()
	bus.MustSubscribe(app, "content", newBlocker().handle, bus.Group(w.group("g")))
	h := monitor.Handler(app)
	publish(t, app, "content", 1, time.Now())
	logs := slogkafka.NewHandler(app, "logs.app")
	slog.New(logs).Info("one")
	w.run(app)
	eventually(t, h, func(s series) bool {
		return len(s.of(oldest)) == 1 && len(s.of("kafkaesk_log_accepted_total")) == 1
	})
	answer := get(t, h, "/metrics")
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = answer.Body
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
	if got := answer.Header().Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("content type %q", got)
	}
}
