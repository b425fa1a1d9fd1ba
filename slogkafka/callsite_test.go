package slogkafka

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// A nil option is one that was not given: both handlers work with it.
func TestNilOptionChangesNothing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slog.New(NewStreamHandler(&out, nil, Service("s"))).Info("hello")
	if !bytes.Contains(out.Bytes(), []byte(`"service":"s"`)) {
		t.Errorf("the record is %s", out.Bytes())
	}
	f := &fakeBus{}
	h := fake(f, nil)
	slog.New(h).Info("hello")
	if err := h.Close(within(t, 10e9)); err != nil || len(f.records(t)) != 1 {
		t.Errorf("%v: %d records", err, len(f.taken))
	}
}

// A handler whose App is nil says so by Err, and refuses its records as one whose App is closed.
func TestANilAppIsAnErrorOfErr(t *testing.T) {
	t.Parallel()
	h := NewHandler(nil, "logs")
	if err := h.Handle(t.Context(), slog.Record{Message: "hello"}); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Handle returns %v", err)
	}
	if err := h.Err(); err == nil || !strings.Contains(err.Error(), "the App is nil: create it with bus.New") {
		t.Errorf("Err returns %v", err)
	}
	if s := h.Stats(); s.Accepted != 1 || s.Dropped != 1 {
		t.Errorf("counted %+v", s)
	}
	if err := errors.Join(h.Flush(t.Context()), h.Close(t.Context())); err != nil {
		t.Error(err)
	}
}

// A stream handler without a writer writes to standard error, as Python's does. The test replaces standard error, so
// that it cannot run beside others.
func TestStreamHandlerWithoutAWriter(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = w
	h := NewStreamHandler(nil)
	os.Stderr = before
	slog.New(h).Info("hello")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(r); err != nil || !bytes.Contains(out.Bytes(), []byte(`"message":"hello"`)) {
		t.Errorf("%v: %s", err, out.Bytes())
	}
}

// line returns what a stream handler with these options writes of one call, parsed.
func line(t *testing.T, opts []RecordOption, level slog.Level, args ...any) map[string]any {
	t.Helper()
	var out bytes.Buffer
	r := slog.NewRecord(time.Date(2026, 11, 23, 16, 39, 52, 0, time.UTC), level, "hello", 0)
	r.Add(args...)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2},
		TraceFlags: 1})
	opts = append([]RecordOption{Service("s"), Hostname("h"), Namespace("n"), Cluster("c")}, opts...)
	ctx := trace.ContextWithSpanContext(t.Context(), span)
	if err := NewStreamHandler(&out, Shared(opts...)).Handle(ctx, r); err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(out.Bytes(), &m); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	return m
}

// Each option of records reaches the record: one field of it shows that.
func TestOptionsOfRecords(t *testing.T) {
	t.Parallel()
	mask := func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == "password" {
			return slog.String(a.Key, strings.Join(append(groups, "***"), "."))
		}
		return a
	}
	tenant := func(context.Context) []slog.Attr { return []slog.Attr{slog.String("tenant", "acme")} }
	request := func(context.Context) []slog.Attr { return []slog.Attr{slog.Int("request", 7)} }
	for _, test := range []struct {
		name  string
		opts  []RecordOption
		level slog.Level
		args  []any
		key   string
		want  any
	}{
		{"ReplaceAttr", []RecordOption{ReplaceAttr(mask)}, 0, []any{"password", "hunter2"}, "password", "***"},
		{"ReplaceAttr in a group", []RecordOption{ReplaceAttr(mask)}, 0,
			[]any{slog.Group("login", "password", "hunter2")}, "login", map[string]any{"password": "login.***"}},
		{"FromContext", []RecordOption{FromContext(tenant)}, 0, nil, "tenant", "acme"},
		{"FromContext, the first of two", []RecordOption{FromContext(tenant), FromContext(request)}, 0, nil,
			"tenant", "acme"},
		{"FromContext, the second", []RecordOption{FromContext(tenant), FromContext(request)}, 0, nil, "request", 7.0},
		{"FromContext and the call", []RecordOption{FromContext(tenant)}, 0, []any{"tenant", "other"}, "tenant", "other"},
		{"LevelNames", []RecordOption{LevelNames(map[slog.Level]string{2: "NOTICE"})}, 3, nil, "severity", "NOTICE"},
		{"durations by default", nil, 0, []any{"took", 1500 * time.Millisecond}, "took", 1.5e9},
		{"TextDurations", []RecordOption{TextDurations()}, 0, []any{"took", 1500 * time.Millisecond}, "took", "1.5s"},
		{"Logger", []RecordOption{Logger("shop")}, 0, nil, "logger", "shop"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := line(t, test.opts, test.level, test.args...)[test.key]; !cmp.Equal(test.want, got) {
				t.Errorf("%s is %v, not %v", test.key, got, test.want)
			}
		})
	}
}

func TestNamesOfFields(t *testing.T) {
	t.Parallel()
	const traceID, spanID = "01000000000000000000000000000000", "0200000000000000"
	own := []string{"timestamp", "severity", "level", "logger", "hostname", "service", "namespace", "cluster", "exception",
		"trace", "stack", "trace_id", "span_id", "trace_flags"}
	for _, test := range []struct {
		name string
		opts []RecordOption
		args []any
		want map[string]any
	}{
		{"one renamed, the others left out", []RecordOption{Omit(own...), Rename("message", "msg")},
			[]any{"msg", 1, "message", 2, "hostname", "mine"},
			map[string]any{"msg": "hello", "attr_msg": 1.0, "message": 2.0, "hostname": "mine"}},
		{"all left out", []RecordOption{Omit(own...), Omit("message")}, nil, map[string]any{}},
		{"otel", []RecordOption{Names(logrecord.OTel), Omit("logger", "trace")}, []any{"err", errors.New("boom"), "Body", 1},
			map[string]any{
				"Timestamp": "2026-11-23T16:39:52.000000000Z", "SeverityText": "WARNING", "SeverityNumber": 13.0, "Body": "hello",
				"host.name":    "h",
				"service.name": "s", "k8s.namespace.name": "n", "k8s.cluster.name": "c", "exception.type": "*errors.errorString",
				"exception.stacktrace": "boom",
				"trace_id":             traceID, "span_id": spanID, "trace_flags": "01", "err": "boom", "attr_Body": 1.0,
			}},
		{"ecs", []RecordOption{Names(logrecord.ECS), Omit("logger", "trace")}, []any{"a", 1}, map[string]any{
			"ecs.version": "8.11.0", "@timestamp": "2026-11-23T16:39:52.000000000Z", "log.level": "WARNING", "message": "hello",
			"host.hostname": "h",
			"service.name":  "s", "orchestrator.namespace": "n", "orchestrator.cluster.name": "c", "error.type": nil,
			"error.stack_trace": nil,
			"trace.id":          traceID, "span.id": spanID, "a": 1.0,
		}},
		{"a model writes a renamed field", []RecordOption{Omit(own...), Rename("message", "msg")},
			[]any{logrecord.Attr(userMessage{Msg: "mine"})}, map[string]any{"msg": "mine"}},
		{"Format takes the place of all", []RecordOption{Omit("trace_id", "span_id", "trace_flags"),
			Format(func(context.Context, slog.Record) any {
				return userMessage{Msg: "mine"}
			})}, []any{"a", 1}, map[string]any{"msg": "mine", "a": 1.0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, line(t, test.opts, slog.LevelWarn, test.args...)); diff != "" {
				t.Errorf("the fields differ (-want +got):\n%s", diff)
			}
		})
	}
}

type userMessage struct {
	logrecord.Model
	Msg string `json:"msg"`
}

func TestSourceOfPresets(t *testing.T) {
	t.Parallel()
	for preset, names := range map[logrecord.Preset][]string{
		logrecord.OTel: {"code.function.name", "code.file.path", "code.line.number"},
		logrecord.ECS:  {"log.origin.function", "log.origin.file.name", "log.origin.file.line"},
	} {
		var out bytes.Buffer
		slog.New(NewStreamHandler(&out, Names(preset), AddSource())).Info("hello", names[0], "forged")
		var m map[string]any
		if err := json.Unmarshal(out.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		if f, _ := m[names[0]].(string); !strings.HasSuffix(f, "TestSourceOfPresets") || m["attr_"+names[0]] != "forged" {
			t.Errorf("%s is %v in %s", names[0], m[names[0]], out.Bytes())
		}
		if f, _ := m[names[1]].(string); !strings.HasSuffix(f, "callsite_test.go") {
			t.Errorf("%s is %v", names[1], m[names[1]])
		}
		if n, _ := m[names[2]].(float64); n == 0 {
			t.Errorf("%s is %v", names[2], m[names[2]])
		}
	}
}

// In Kafka the twelve base fields stand whatever the options say: a private one is null.
func TestNamesInKafka(t *testing.T) {
	t.Parallel()
	f := &fakeBus{}
	h := fake(f, Omit("hostname", "stack", "message"), Rename("message", "msg"), Names(logrecord.ECS), Format(nil))
	slog.New(h).Error("hello", "err", errors.New("boom"))
	if err := h.Close(within(t, 10e9)); err != nil {
		t.Fatal(err)
	}
	var m struct{ Data map[string]any }
	if err := json.Unmarshal(f.taken[0].Value, &m); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"hostname": nil, "stack": nil, "message": "hello",
		"exception": "*errors.errorString", "service": "s"} {
		if got, there := m.Data[name]; !there || got != want {
			t.Errorf("%s is %v, %v, want %v", name, got, there, want)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	h := fake(&fakeBus{}, Omit("host"), Rename("message", ""), Sample(0, 0, time.Second))
	for _, want := range []string{`no own field "host"`, `rename "message"`, "sample the first 0"} {
		if err := h.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %s in it", err, want)
		}
	}
	if err := h.Close(within(t, 10e9)); err != nil {
		t.Error(err)
	}
}

// Of each level and message the first records of a period are logged, then one of every so many, and the rest is
// counted.
func TestSample(t *testing.T) {
	t.Parallel()
	f := &fakeBus{}
	h := fake(f, Sample(2, 10, time.Minute), Level(slog.LevelDebug))
	var out bytes.Buffer
	stream := NewStreamHandler(&out, Sample(2, 10, time.Minute),
		Level(slog.LevelDebug)).WithAttrs([]slog.Attr{slog.Int("a", 1)})
	start := time.Date(2026, 11, 23, 16, 39, 52, 0, time.UTC)
	logged := 0
	for _, each := range []struct {
		at      time.Duration
		level   slog.Level
		message string
		n, kept int
	}{
		{0, slog.LevelInfo, "a", 25, 4}, // 1, 2, 12 and 22
		{0, slog.LevelInfo, "b", 2, 2},
		{0, slog.LevelDebug, "a", 3, 2},
		{59 * time.Second, slog.LevelInfo, "a", 6, 0},
		{60 * time.Second, slog.LevelInfo, "a", 3, 2},
	} {
		before := bytes.Count(out.Bytes(), []byte("\n"))
		for range each.n {
			r := slog.NewRecord(start.Add(each.at), each.level, each.message, 0)
			if err := errors.Join(h.Handle(t.Context(), r), stream.Handle(t.Context(), r)); err != nil {
				t.Fatal(err)
			}
		}
		logged += each.n
		if kept := bytes.Count(out.Bytes(), []byte("\n")) - before; kept != each.kept {
			t.Errorf("%v %v %s: %d of %d are logged, want %d", each.at, each.level, each.message, kept, each.n, each.kept)
		}
	}
	if err := h.Close(within(t, 10e9)); err != nil {
		t.Fatal(err)
	}
	if s := h.Stats(); s.Delivered != 10 || s.Accepted != 10 || s.Sampled != uint64(logged)-10 {
		t.Errorf("the counts are %+v", s)
	}
}

type auditLog struct {
	logrecord.Model
	Who string `json:"who" jsonschema:"minLength=3"`
}

// A record goes to the stream that its model, its level or what is wrong with it choose.
func TestStreamOfARecord(t *testing.T) {
	t.Parallel()
	f := &fakeBus{}
	var judged []string
	h := fake(f, StreamOf[*auditLog]("audit"), Stream(func(_ context.Context, r slog.Record) string {
		switch {
		case r.Message == "panics":
			panic("Stream")
		case r.Level >= slog.LevelError:
			return "errors"
		}
		return ""
	}), OnInvalid(func(_ context.Context, r InvalidRecord) string {
		judged = append(judged, r.Stream+" "+strings.Join(r.Errors, ";"))
		switch {
		case bytes.Contains(r.Value, []byte(`"message":"dropped"`)):
			return ""
		case bytes.Contains(r.Value, []byte(`"message":"moved"`)):
			return "invalid"
		case bytes.Contains(r.Value, []byte(`"message":"panics"`)):
			panic("OnInvalid")
		}
		return r.Stream
	}))
	logger := slog.New(h)
	for message, log := range map[string]func(string){
		"plain":   func(m string) { logger.Info(m) },
		"failed":  func(m string) { logger.Error(m, logrecord.Attr(auditLog{Who: "ada"})) },
		"audited": func(m string) { logger.Info(m, logrecord.Attr(&auditLog{Who: "ada"})) },
		"with":    func(m string) { logger.With(logrecord.Attr(auditLog{Who: "ada"})).WithGroup("g").Info(m) },
		"kept":    func(m string) { logger.Info(m, logrecord.Attr(auditLog{Who: "x"})) },
		"dropped": func(m string) { logger.Info(m, logrecord.Attr(auditLog{Who: "x"})) },
		"moved":   func(m string) { logger.Info(m, logrecord.Attr(auditLog{Who: "x"})) },
		"panics":  func(m string) { logger.Info(m, logrecord.Attr(auditLog{Who: "x"})) },
	} {
		log(message)
	}
	if err := h.Close(within(t, 10e9)); err != nil {
		t.Fatal(err)
	}
	if s := h.Stats(); s.Accepted != 8 || s.Delivered != 7 || s.DroppedBy[DroppedInvalid] != 1 || s.Invalid != 4 {
		t.Errorf("the counts are %+v", s)
	}
	if len(judged) != 4 || !strings.HasPrefix(judged[0], "audit who: minLength: ") {
		t.Errorf("OnInvalid got %q", judged)
	}
}
