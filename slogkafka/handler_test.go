package slogkafka_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/logrecord"
	"github.com/kafkaesk/kafkaesk/slogkafka"
	"github.com/kafkaesk/kafkaesk/slogkafka/slogkafkatest"
)

type signIn struct {
	logrecord.Model
	User string `json:"user" jsonschema:"minLength=3"`
}

func newApp(t *testing.T, c *kafkatest.Cluster) *bus.App {
	t.Helper()
	return bus.New(bus.Config{Servers: c.Servers(), TopicPrefix: c.Prefix(t)})
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// tail returns all that is in the streams.
func tail(t *testing.T, app *bus.App, pattern string) []*bus.Record {
	t.Helper()
	var all []*bus.Record
	for r, err := range app.Tail(within(t, 30*time.Second), pattern, bus.FromStart(), bus.StopAtEnd()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func TestHandlerShipsToKafka(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	app := newApp(t, cluster)
	h := slogkafka.NewHandler(app, "logs.web", slogkafka.AddSource(),
		slogkafka.Key(func(context.Context, slog.Record) []byte { return []byte{} }))
	if err := h.Err(); err != nil {
		t.Fatal(err)
	}
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2},
		TraceFlags: 1})
	ctx := trace.ContextWithSpanContext(context.Background(), span)
	start := time.Now().Truncate(time.Millisecond)
	logger := slog.New(h).With("version", 3)
	logger.InfoContext(ctx, "signed in", logrecord.Attr(signIn{User: "ada"}), slog.Group("request", "path", "/"))
	logger.Error("failed", slog.Any("err", errors.New("boom")), logrecord.Attr(signIn{User: "x"}))
	if err := h.Flush(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}

	all := tail(t, app, "logs.*")
	if len(all) != 2 {
		t.Fatalf("%d records", len(all))
	}
	r, err := logrecord.Decode(all[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(all[0].Value), `{"schema":"LogRecord:1","data":{`) || r.Message != "signed in" ||
		r.TraceID != span.TraceID().String() || r.Source == nil {
		t.Errorf("the record is %s", all[0].Value)
	}
	if all[0].Time.Before(start) || all[0].Time.After(time.Now()) ||
		!all[0].Time.Equal(r.Time.Truncate(time.Millisecond)) {
		t.Errorf("it is from %v, the log call from %v", all[0].Time, r.Time)
	}
	if all[0].Key == nil || len(all[0].Key) != 0 {
		t.Errorf("its key is %v", all[0].Key)
	}
	for _, name := range []string{bus.IDHeader, "traceparent"} {
		if v, ok := all[0].Header(name); !ok || len(v) == 0 {
			t.Errorf("it has no header %s: %v", name, all[0].Headers)
		}
	}
	if r, err = logrecord.Decode(all[1].Value); err != nil || r.Exception != "*errors.errorString" ||
		len(r.SchemaErrors) != 1 {
		t.Errorf("%v: %s", err, all[1].Value)
	}
	if s := h.Stats(); s.Delivered != 2 || s.Invalid != 1 {
		t.Errorf("the counts are %+v", s)
	}
	if err := app.Close(within(t, 20*time.Second)); err != nil {
		t.Error(err)
	}
	if err := h.Handle(ctx, slog.Record{}); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("after App.Close: %v", err)
	}
}

// App.Close delivers what the handler has, from every goroutine that logged.
func TestAppCloseFlushes(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	prefix := cluster.Prefix(t)
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix})
	h := slogkafka.NewHandler(app, "logs", slogkafka.QueueSize(100_000, 64<<20))
	const goroutines, each = 4, 2500
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			for j := range each {
				slog.New(h).Info("m", "id", fmt.Sprint(i, "-", j))
			}
		})
	}
	wg.Wait()
	if err := app.Close(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if s := h.Stats(); s.Delivered != goroutines*each || s.Accepted != s.Delivered {
		t.Errorf("the counts are %+v", s)
	}
	reader := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix})
	defer func() { _ = reader.Close(within(t, 10*time.Second)) }()
	seen := map[string]int{}
	for _, r := range tail(t, reader, "logs") {
		record, err := logrecord.Decode(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(record.Fields[0].Value)]++
	}
	if len(seen) != goroutines*each {
		t.Errorf("%d records were read", len(seen))
	}
}

// With no broker there, NewHandler succeeds, Handle does not wait, and Close keeps to its deadline and counts.
func TestBrokerAway(t *testing.T) {
	t.Parallel()
	app := bus.New(bus.Config{Servers: []string{"127.0.0.1:1"}, Logger: slog.New(slog.DiscardHandler)})
	h := slogkafka.NewHandler(app, "logs", slogkafka.Fallback(slog.DiscardHandler))
	start := time.Now()
	for range 100 {
		slog.New(h).Info("m")
	}
	if d := time.Since(start); d > 10*time.Second { // the broker never answers
		t.Errorf("100 calls took %v", d)
	}
	start = time.Now()
	err := app.Close(within(t, 300*time.Millisecond))
	if d := time.Since(start); d > 10*time.Second { // likewise
		t.Errorf("Close took %v", d)
	}
	var left *slogkafka.UndeliveredError
	if !errors.As(err, &left) || left.Records != 100 {
		t.Errorf("Close returned %v", err)
	}
}

// The logger of the app may lead to the handler that the app ships for.
func TestOwnLogsDoNotComeBack(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	app := newApp(t, cluster)
	h := slogkafka.NewHandler(app, "logs")
	// which is worth a warning
	app.Configure(bus.Config{Logger: slog.New(h), Settings: bus.Settings{"api_version": "auto"}})
	slog.New(h).Info("mine")
	if err := h.Flush(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	all := tail(t, app, "logs")
	if s := h.Stats(); len(all) != 1 || s.Delivered != 1 || s.DroppedBy[slogkafka.DroppedOwn] == 0 {
		t.Errorf("%d records; the counts are %+v", len(all), s)
	}
	if err := app.Close(within(t, 20*time.Second)); err != nil {
		t.Error(err)
	}
}

func TestSeveralHandlersOfOneApp(t *testing.T) {
	t.Parallel()
	app := bus.New(bus.Config{})
	for _, h := range []*slogkafka.Handler{slogkafka.NewHandler(app, "a"), slogkafka.NewHandler(app, "b")} {
		if err := h.Err(); err != nil {
			t.Error(err)
		}
	}
	if s := app.Schemas(); len(s) != 1 || s[0].ID != "LogRecord" || s[0].Version != 1 || len(s[0].JSON) == 0 {
		t.Errorf("the schemas are %v", s)
	}
	if err := app.Close(within(t, time.Second)); err != nil {
		t.Error(err)
	}
}

// Handlers of one app may have schema ids of their own, on one stream too: their schemas are all declared.
func TestSchemaIDsOfOneApp(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	prefix := cluster.Prefix(t)
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix})
	for _, id := range []string{"", "AuditLog", "AuditLog:2", "AuditLog:02"} {
		var opts []slogkafka.Option
		if id != "" {
			opts = append(opts, slogkafka.SchemaID(id))
		}
		h := slogkafka.NewHandler(app, "logs", opts...)
		if err := h.Err(); err != nil {
			t.Errorf("%q: %v", id, err)
		}
		slog.New(h).Info("m")
	}
	var declared []string
	for _, s := range app.Schemas() {
		declared = append(declared, fmt.Sprint(s.ID, ":", s.Version))
	}
	if want := "AuditLog:1 AuditLog:2 LogRecord:1"; strings.Join(declared, " ") != want {
		t.Errorf("the schemas are %v, want %s", declared, want)
	}
	if err := app.Close(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	reader := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: prefix})
	defer func() { _ = reader.Close(within(t, 10*time.Second)) }()
	written := map[string]int{}
	for _, r := range tail(t, reader, "logs") {
		record, err := logrecord.Decode(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		written[record.Schema]++
	}
	if len(written) != 3 || written["AuditLog:2"] != 2 {
		t.Errorf("written are %v", written)
	}
}

// As slog's default, with the default before it as the logger of the app: that one leads back here.
func TestAsSlogsDefault(t *testing.T) {
	before, output, flags, stderr := slog.Default(), log.Writer(), log.Flags(), os.Stderr
	printed, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	os.Stderr = printed // the warning of the app goes there
	t.Cleanup(func() {
		os.Stderr = stderr
		_ = printed.Close()
		slog.SetDefault(before)
		log.SetOutput(output)
		log.SetFlags(flags)
	})
	cluster := kafkatest.Start(t)
	app := bus.New(bus.Config{
		Servers: cluster.Servers(), TopicPrefix: cluster.Prefix(t), Logger: before,
		Settings: bus.Settings{"api_version": "auto"}, // which is worth a warning
	})
	h := slogkafka.NewHandler(app, "logs")
	slog.SetDefault(slog.New(h))
	slog.Info("by slog")
	log.Print("by log")
	if err := h.Flush(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	if s := h.Stats(); s.Accepted != 2 || s.Delivered != 2 {
		t.Errorf("the counts are %+v", s)
	}
	if err := app.Close(within(t, 20*time.Second)); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(printed.Name()); err != nil || !strings.Contains(string(text), "api_version") {
		t.Errorf("standard error has %q, %v; want the warning of the app", text, err)
	}
}

// An option that is refused leaves its default.
func TestRefusedOptions(t *testing.T) {
	t.Parallel()
	app := bus.New(bus.Config{})
	for _, id := range []string{"", ":1", "Log:", "Log:x", "Log:0", "Log:-1", "Log:1:2"} {
		h := slogkafka.NewHandler(app, "logs", slogkafka.Fallback(slog.DiscardHandler), slogkafka.SchemaID(id))
		if h.Err() == nil {
			t.Errorf("schema id %q: no error", id)
		}
	}
	if s := app.Schemas(); len(s) != 1 || s[0].ID != "LogRecord" || s[0].Version != 1 {
		t.Errorf("the schemas are %v", s)
	}
	if h := slogkafka.NewHandler(app, "logs", slogkafka.Level(nil)); !h.Enabled(t.Context(), slog.LevelInfo) ||
		h.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("no level is not the default level")
	}
}

func TestErr(t *testing.T) {
	t.Parallel()
	quiet := slogkafka.Fallback(slog.DiscardHandler)
	for name, opt := range map[string]slogkafka.Option{
		"slog's default": slogkafka.Fallback(slog.Default().Handler()), "nil": slogkafka.Fallback(nil),
		"ours":        slogkafka.Fallback(slogkafka.NewHandler(bus.New(bus.Config{}), "x")),
		"small queue": slogkafka.QueueSize(1, 10), "negative": slogkafka.QueueSize(-1, 0), "linger": slogkafka.Linger(-1),
		"schema": slogkafka.SchemaID(":1"), "version": slogkafka.SchemaID("Log:x"), "policy": slogkafka.Overflow(nil),
	} {
		if h := slogkafka.NewHandler(bus.New(bus.Config{}), "logs", quiet, opt); h.Err() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, stream := range []string{"", ".", "a/b", strings.Repeat("a", 250)} {
		err := slogkafka.NewHandler(bus.New(bus.Config{}), stream, quiet).Err()
		routed := slogkafka.NewHandler(bus.New(bus.Config{}), "logs", quiet, slogkafka.StreamOf[signIn](stream)).Err()
		for _, err := range []error{err, routed} {
			if err == nil || !strings.Contains(err.Error(), "its records will be refused") {
				t.Errorf("stream %.10q: error %v", stream, err)
			}
		}
	}
}

// Nobody has to call Err to see that an option is wrong.
func TestWrongOptionsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	fallback := slogkafkatest.NewRecorder(t)
	h := slogkafka.NewHandler(bus.New(bus.Config{}), "logs", slogkafka.Fallback(fallback),
		slogkafka.Linger(-1), slogkafka.Partitions(0))
	h.WithGroup("g")
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
	records := fallback.Records()
	if len(records) != 1 || !strings.Contains(records[0].Message, "options") {
		t.Fatalf("logged: %v", records)
	}
	var text string
	for _, f := range records[0].Fields {
		text += fmt.Sprint(f.Plain())
	}
	for _, want := range []string{"linger -1ns", "0 partitions"} {
		if !strings.Contains(text, want) {
			t.Errorf("the error %s does not say %q", text, want)
		}
	}
}
