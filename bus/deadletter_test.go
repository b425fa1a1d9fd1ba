package bus_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
)

// deadLetters returns those of a stream.
func deadLetters(t *testing.T, app *bus.App, stream, group string) []*bus.Record {
	t.Helper()
	return readAll(t, app, stream+"."+group+".dead")
}

// headers returns a record's headers as name=value, less those of names.
func headers(r *bus.Record, less ...string) []string {
	var all []string
	for _, h := range r.Headers {
		if !slices.Contains(less, h.Name) {
			all = append(all, h.Name+"="+string(h.Value))
		}
	}
	return all
}

func TestAPoisonRecordGoesToTheDeadLettersUnchanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 3)
	at := time.Date(2026, 11, 23, 12, 0, 0, 5_000_000, time.UTC)
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	w.put("s", 2, contents(0, 1)...)
	w.putRecords(&kgo.Record{
		Topic: w.prefix + "s", Partition: 2, Key: []byte("the key"), Value: []byte(`{"schema":"Content:1", "data" : {` +
			`"title":"p","n":1}}`), Timestamp: at,
		Headers: []kgo.RecordHeader{
			{Key: "twice", Value: []byte("1")}, {Key: "kafkaesk-id", Value: []byte("the id")},
			{Key: "twice", Value: []byte{0xff, 0}},
			{Key: "traceparent", Value: []byte(parent)}, {Key: "null"},
		},
	})
	w.put("s", 2, contents(2, 1)...)
	app := w.app()
	var got numbers
	began := time.Now()
	bus.MustSubscribe(app, "s", rejectAt(1, fmt.Errorf("while storing: %w\xff", errBroken), &got), bus.Group(group),
		bus.DeadLetter(), fast(3))
	stop := running(t, app)
	w.waitCommitted(group, "s", map[int32]int64{2: 3})
	if all := got.get(); !slices.Equal(all, []int{0, 1, 1, 1, 2}) {
		t.Errorf("handled %v", all)
	}
	s := stats(app)
	if s.DeadLettered != 1 || s.Rejected != 0 || s.Finished != 3 || s.Retried != 2 || !errors.Is(s.LastError, errBroken) {
		t.Errorf("stats %+v", s)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	all := deadLetters(t, app, "s", group)
	if len(all) != 1 {
		t.Fatalf("%d dead letters", len(all))
	}
	r := all[0]
	if string(r.Key) != "the key" || string(r.Value) != `{"schema":"Content:1", "data" : {"title":"p","n":1}}` {
		t.Errorf("key %q, value %s", r.Key, r.Value)
	}
	want := []string{
		"twice=1", "kafkaesk-id=the id", "twice=\xff\x00", "traceparent=" + parent, "null=",
		"kafkaesk-group=" + group, "kafkaesk-first-stream=s", "kafkaesk-first-topic=" + w.prefix + "s",
		"kafkaesk-first-partition=2", "kafkaesk-first-offset=1",
		"kafkaesk-first-time=2026-11-23T12:00:00.005Z", "kafkaesk-attempts=3",
		"kafkaesk-error=while storing: the database is away\uFFFD",
		"kafkaesk-error-type=*fmt.wrapError",
	}
	if diff := gocmp.Diff(want, headers(r, bus.FailedTimeHeader)); diff != "" {
		t.Error(diff)
	}
	failed, err := time.Parse(time.RFC3339Nano, header(r, bus.FailedTimeHeader))
	if err != nil || failed.Before(began) || failed.After(time.Now()) {
		t.Errorf("given up at %v, %v", failed, err)
	}
}

func TestWhatDeadLettersSayOfTheError(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                 string
		value                string
		handler              func(context.Context, Content) error
		opts                 []bus.SubscribeOption
		text, kind, attempts string
		prefixed             bool
	}{
		{
			name: "rejected", handler: func(context.Context, Content) error { return bus.Reject(errBroken) },
			text: "rejected: the database is away", kind: "*errors.errorString", attempts: "1",
		},
		{
			name: "cannot be decoded", value: "{", handler: handleContent,
			text: "rejected: envelope: ", kind: "*fmt.wrapError", attempts: "1", prefixed: true,
		},
		{
			name: "breaks its schema", value: `{"schema":"Content:1","data":{"title":"","n":-1}}`, handler: handleContent,
			opts: []bus.SubscribeOption{bus.Validate()},
			text: `rejected: data breaks schema bus_test.Content: field "n": minimum: `, kind: "*bus.ValidationError",
			attempts: "1", prefixed: true,
		},
		{
			name: "a panic", handler: func(context.Context, Content) error { panic("oops") },
			opts: []bus.SubscribeOption{fast(2)},
			text: "panic: oops\ngoroutine ", kind: "*bus.PanicError", attempts: "2", prefixed: true,
		},
		{
			name: "a long text", handler: func(context.Context, Content) error {
				return bus.Reject(errors.New(strings.Repeat("ä", 10_000)))
			},
			text: "rejected: " + strings.Repeat("ä", (8<<10-10)/2), kind: "*errors.errorString", attempts: "1",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			group := w.group("g")
			w.stream("s", 1)
			w.put("s", 0, cmp.Or(test.value, contents(0, 1)[0]))
			app := w.app()
			bus.MustSubscribe(app, "s", test.handler, append(test.opts, bus.Group(group), bus.DeadLetter())...)
			if _, err := app.ConsumeFor(within(t, 30*time.Second), 1); err != nil {
				t.Fatal(err)
			}
			all := deadLetters(t, app, "s", group)
			if len(all) != 1 {
				t.Fatalf("%d dead letters", len(all))
			}
			text := header(all[0], bus.ErrorHeader)
			if ok := text == test.text || test.prefixed && strings.HasPrefix(text, test.text); !ok {
				t.Errorf("error %.200q, want %.200q", text, test.text)
			}
			if kind, n := header(all[0], bus.ErrorTypeHeader), header(all[0], bus.AttemptsHeader); kind != test.kind ||
				n != test.attempts {
				t.Errorf("type %s after %s attempts, want %s after %s", kind, n, test.kind, test.attempts)
			}
		})
	}
}

func TestATombstoneStaysOneInTheDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	w.stream("s", 1)
	w.putRecords(&kgo.Record{Topic: w.prefix + "s", Key: []byte{}, Value: nil})
	app := w.app()
	bus.MustSubscribe(app, "s", handleContent, bus.Group(group), bus.DeadLetter())
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 1); err != nil {
		t.Fatal(err)
	}
	if all := deadLetters(t, app, "s", group); len(all) != 1 || all[0].Value != nil || all[0].Key == nil ||
		len(all[0].Key) != 0 {
		t.Errorf("got %+v", all)
	}
}

// refuse makes the broker answer every write to topics that end in .dead with a code, until the function that is
// returned is called.
func refuse(w *world, code *kerr.Error) (mend func()) {
	var mended atomic.Bool
	fake := w.cluster.Fake()
	fake.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		req := r.(*kmsg.ProduceRequest)
		concerned := slices.ContainsFunc(req.Topics, func(t kmsg.ProduceRequestTopic) bool {
			name := t.Topic
			if info := fake.TopicIDInfo(t.TopicID); name == "" && info != nil {
				name = info.Topic
			}
			return strings.HasSuffix(name, ".dead")
		})
		if mended.Load() || !concerned {
			return nil, nil, false
		}
		res := req.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range req.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, code.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			res.Topics = append(res.Topics, rt)
		}
		return res, nil, true
	})
	return func() { mended.Store(true) }
}

// What cannot be written blocks its lane, and nothing else, for as long as it takes. Its record is never skipped.
func TestAFailingDeadLetterBlocksItsLaneAndNeverSkips(t *testing.T) {
	t.Parallel()
	for _, code := range []*kerr.Error{kerr.NotEnoughReplicas, kerr.TopicAuthorizationFailed} {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			w, log := newWorld(t, embedded()), new(logged)
			group := w.group("g")
			w.stream("s", 2)
			w.stream("s."+group+".dead", 1)
			w.put("s", 0, contents(0, 3)...)
			repair := refuse(w, code)
			app := w.app(bus.Config{Logger: log.logger(), DrainTimeout: time.Second})
			var got numbers
			bus.MustSubscribe(app, "s", rejectAt(1, bus.Reject(errBroken), &got), bus.Group(group), bus.DeadLetter())
			stop := running(t, app)
			got.wait(t, 2)
			w.put("s", 1, contents(10, 100)...) // the other partition goes on
			got.wait(t, 102)
			if code == kerr.TopicAuthorizationFailed {
				eventually(t, func() bool { return errors.Is(stats(app).LastError, bus.ErrAuth) },
					func() string { return fmt.Sprint(stats(app).LastError) })
				if !log.has("cannot be moved") {
					t.Errorf("the log does not tell:\n%s", log)
				}
			}
			w.waitCommitted(group, "s", map[int32]int64{0: 1, 1: 100})
			// A restart finds it again, and is blocked again.
			if err := stop(); err != nil {
				t.Error(err)
			}
			stop = running(t, app)
			eventually(t, func() bool { return count(got.get(), 1) >= 2 }, says("record 1 is not delivered again"))
			if c := w.committed(group, "s")[0]; c != 1 || slices.Contains(got.get(), 2) {
				t.Errorf("committed %d, handled %v", c, got.get())
			}
			repair()
			got.wait(t, 104)
			w.waitCommitted(group, "s", map[int32]int64{0: 3, 1: 100})
			if err := stop(); err != nil {
				t.Error(err)
			}
			// At least once: the first run's may have been on its way when its time was over.
			all := deadLetters(t, app, "s", group)
			if len(all) == 0 || slices.ContainsFunc(all,
				func(r *bus.Record) bool { return header(r, bus.FirstOffsetHeader) != "1" }) {
				t.Errorf("dead letters %+v", all)
			}
		})
	}
}

func count(all []int, n int) (times int) {
	for _, v := range all {
		if v == n {
			times++
		}
	}
	return times
}
