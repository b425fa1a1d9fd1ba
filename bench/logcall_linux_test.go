package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"testing"
	"time"

	phuslu "github.com/phuslu/log"
	"github.com/rs/zerolog"
	slogcommon "github.com/samber/slog-common"
	"github.com/segmentio/kafka-go"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/logrecord"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// logPeer is a logger under comparison. drain waits until what it has queued is gone, outside of the measurement.
type logPeer struct {
	name   string
	logger *slog.Logger
	drain  func()
}

// logShape is a kind of log call.
type logShape struct {
	name  string
	peers []logPeer
	call  func(ctx context.Context, l *slog.Logger)
	ctx   context.Context
	calls int // in a row
}

// BenchmarkLogCall compares the CPU of a log call, in the goroutine that logs, with slog.JSONHandler's to io.Discard:
// ours with everything up to the hand-off to the queue, to a broker that takes the records meanwhile. A figure is the
// time divided by slog.JSONHandler's, the median of rounds in which all take turns; slog-ns is the time of that. It
// reads the thread's clock, so that what else the machine does hardly counts.
func BenchmarkLogCall(b *testing.B) {
	cluster := kafkatest.Start(b)
	app := bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: cluster.Prefix(b),
		Logger: slog.New(slog.DiscardHandler)})
	if err := app.Initialize(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = app.Close(context.Background()) }()
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2},
		TraceFlags: 1})
	traced := trace.ContextWithSpanContext(b.Context(), span)
	for _, shape := range []logShape{
		{"5 attributes", logPeers(b, app, nil), logFive, b.Context(), 2000},
		{"5 attributes, trace ids and source", oursAndSlog(b, app, nil, slogkafka.AddSource()), logFive, traced, 2000},
		{"10 by With", logPeers(b, app, withTen), logNothing, b.Context(), 2000},
		{"10 by With, trace ids and source", oursAndSlog(b, app, withTen, slogkafka.AddSource()), logNothing, traced, 2000},
		{"a model", oursAndSlog(b, app, nil), logModel, b.Context(), 2000},
		{"30000 attributes", oursAndSlog(b, app, nil), logMany(30_000), b.Context(), 3},
		// On its own, because what it leaves behind, garbage and records that are on their way, would cost the others.
		{"5 attributes, slog-kafka", slogKafkaPeers(b, cluster, app, nil), logFive, b.Context(), 2000},
		{"10 by With, slog-kafka", slogKafkaPeers(b, cluster, app, withTen), logNothing, b.Context(), 2000},
	} {
		b.Run(shape.name, func(b *testing.B) { compareLogs(b, shape) })
	}
}

func compareLogs(b *testing.B, shape logShape) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const rounds = 21
	times := map[string][]float64{}
	allocs := map[string]float64{}
	for round := range rounds {
		for _, p := range shape.peers {
			start := threadTime(b)
			for range shape.calls {
				shape.call(shape.ctx, p.logger)
			}
			if round > 0 { // the first one warms up
				times[p.name] = append(times[p.name], float64(threadTime(b)-start)/float64(shape.calls))
			}
			p.drain()
		}
	}
	for _, p := range shape.peers {
		allocs[p.name] = testing.AllocsPerRun(20, func() { shape.call(shape.ctx, p.logger) })
		p.drain()
	}
	for b.Loop() { // the measurement is above; the ratios are what it reports
	}
	base := middle(times["slog"])
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(base, "slog-ns")
	for _, p := range shape.peers {
		if p.name != "slog" {
			b.ReportMetric(middle(times[p.name])/base, p.name+"-x")
			b.ReportMetric(allocs[p.name], p.name+"-allocs")
		}
	}
}

func middle(all []float64) float64 { return slices.Sorted(slices.Values(all))[len(all)/2] }

// threadTime is the CPU time of this thread in nanoseconds.
func threadTime(b *testing.B) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return t.Nano()
}

func logFive(ctx context.Context, l *slog.Logger) {
	l.LogAttrs(ctx, slog.LevelInfo, "request handled", slog.String("user", "ada.lovelace"), slog.Int("status", 200),
		slog.Bool("cached", true), slog.Duration("took", 1500*time.Microsecond), slog.String("path", "/content/articles"))
}

func logNothing(ctx context.Context, l *slog.Logger) {
	l.LogAttrs(ctx, slog.LevelInfo, "request handled")
}

func logMany(n int) func(context.Context, *slog.Logger) {
	attrs := make([]slog.Attr, n)
	for i := range attrs {
		attrs[i] = slog.Int(fmt.Sprint("key", i), i)
	}
	return func(ctx context.Context, l *slog.Logger) {
		l.LogAttrs(ctx, slog.LevelInfo, "request handled", attrs...)
	}
}

// requestLog is a model with six fields and five constraints.
type requestLog struct {
	logrecord.Model
	User   string `json:"user" jsonschema:"minLength=1,maxLength=100"`
	Status int    `json:"status" jsonschema:"minimum=100,maximum=599"`
	Cached bool   `json:"cached"`
	Took   int64  `json:"took" jsonschema:"minimum=0"`
	Path   string `json:"path"`
	Method string `json:"method" jsonschema:"enum=GET,enum=POST"`
}

func logModel(ctx context.Context, l *slog.Logger) {
	l.LogAttrs(ctx, slog.LevelInfo, "request handled", slog.Any("request", requestLog{
		User: "ada.lovelace", Status: 200, Cached: true, Took: 1500, Path: "/content/articles", Method: "GET",
	}))
}

func withTen(h slog.Handler) slog.Handler {
	return slog.New(h).With("a", "one", "b", 2, "c", true, "d", "four", "e", 5, "f", "six", "g", 7.5, "h", "eight", "i", 9,
		"j", "ten").Handler()
}

// baseFields are what every record of ours has besides time, level and message.
func baseFields() []slog.Attr {
	return []slog.Attr{
		slog.Any("logger", nil), slog.String("hostname", "web-api-7c9d-x2x"), slog.String("service", "web-api"),
		slog.String("namespace", "prod"),
		slog.String("cluster", "eu-1"), slog.Any("exception", nil), slog.Any("trace", nil), slog.Any("stack", nil),
	}
}

func oursAndSlog(b *testing.B, app *bus.App, with func(slog.Handler) slog.Handler,
	opts ...slogkafka.RecordOption,
) []logPeer {
	shared := slogkafka.Shared(append([]slogkafka.RecordOption{
		slogkafka.Hostname("web-api-7c9d-x2x"), slogkafka.Service("web-api"), slogkafka.Namespace("prod"),
		slogkafka.Cluster("eu-1"),
	}, opts...)...)
	ours := slogkafka.NewHandler(app, "logs", shared, slogkafka.QueueSize(100_000, 256<<20))
	flush := func() {
		if err := ours.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	peers := []logPeer{
		//nolint:sloglint // what the JSON costs is measured
		{"slog", slog.New(slog.NewJSONHandler(io.Discard, nil).WithAttrs(baseFields())), func() {}},
		{"kafkaesk", slog.New(ours), flush},
		{"stream", slog.New(slogkafka.NewStreamHandler(io.Discard, shared)), func() {}},
	}
	return derived(peers, with)
}

func derived(peers []logPeer, with func(slog.Handler) slog.Handler) []logPeer {
	for i := range peers {
		if with != nil {
			peers[i].logger = slog.New(with(peers[i].logger.Handler()))
		}
	}
	return peers
}

func logPeers(b *testing.B, app *bus.App, with func(slog.Handler) slog.Handler) []logPeer {
	zero := zerolog.NewSlogHandler(zerolog.New(io.Discard).With().Timestamp().Logger()).WithAttrs(baseFields())
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard),
		zap.InfoLevel)
	peers := []logPeer{
		{"zerolog", slog.New(zero), func() {}},
		{"zap", slog.New(zapslog.NewHandler(core).WithAttrs(baseFields())), func() {}},
		{"phuslu", slog.New(phuslu.SlogNewJSONHandler(io.Discard, nil).WithAttrs(baseFields())), func() {}},
	}
	return append(oursAndSlog(b, app, with), derived(peers, with)...)
}

func slogKafkaPeers(b *testing.B, cluster *kafkatest.Cluster, app *bus.App,
	with func(slog.Handler) slog.Handler) []logPeer {
	name := cluster.Prefix(b) + "slog-kafka"
	topic(b, cluster.Servers(), name)
	transport := &kafka.Transport{}
	writer := &kafka.Writer{Transport: transport, Addr: kafka.TCP(cluster.Servers()...), Topic: name, Async: true,
		MaxAttempts: 3, BatchTimeout: time.Millisecond}
	b.Cleanup(func() { _ = writer.Close(); transport.CloseIdleConnections() })
	pause := func() { time.Sleep(20 * time.Millisecond) } // it has no way to wait for what it has queued
	peers := []logPeer{
		{"slog-kafka", slog.New(mapHandler{writer: writer, attrs: baseFields()}), pause},
	}
	return append(oursAndSlog(b, app, with), derived(peers, with)...)
}

// mapHandler logs as samber/slog-kafka does: it makes a map of the attributes with slog-common, marshals it, and hands
// it to a kafka-go Writer. (The module itself cannot be had from the proxy that this was measured behind.)
type mapHandler struct {
	writer *kafka.Writer
	attrs  []slog.Attr
}

func (h mapHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h mapHandler) WithGroup(string) slog.Handler            { return h }
func (h mapHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = append(slices.Clip(h.attrs), attrs...)
	return h
}

func (h mapHandler) Handle(ctx context.Context, r slog.Record) error {
	attrs := slogcommon.AppendRecordAttrsToAttrs(h.attrs, nil, &r)
	attrs = slogcommon.RemoveEmptyAttrs(slogcommon.ReplaceError(attrs, "error", "err"))
	key, keyErr := r.Time.MarshalBinary()
	value, err := json.Marshal(map[string]any{
		"logger.name": "bench", "timestamp": r.Time.UTC(), "level": r.Level.String(), "message": r.Message,
		"extra": slogcommon.AttrsToMap(attrs...),
	})
	if err := cmp.Or(keyErr, err); err != nil {
		return err
	}
	return h.writer.WriteMessages(ctx, kafka.Message{Key: key, Value: value})
}
