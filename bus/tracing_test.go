package bus_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	otelembedded "go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/kafkaesk/kafkaesk/bus"
)

// tracerProvider stands for an OpenTelemetry SDK: it keeps every span.
type tracerProvider struct {
	otelembedded.TracerProvider
	spans list[*span]
}

func (p *tracerProvider) Tracer(name string, _ ...trace.TracerOption) trace.Tracer {
	return &tracer{provider: p, name: name}
}

// named returns the spans of a name.
func (p *tracerProvider) named(name string) []*span {
	return slices.DeleteFunc(slices.Clone(p.spans.get()), func(s *span) bool { return s.name != name })
}

type tracer struct {
	otelembedded.Tracer
	provider *tracerProvider
	name     string
}

func (t *tracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	parent := trace.SpanContextFromContext(ctx)
	c := trace.SpanContextConfig{TraceID: parent.TraceID(), TraceFlags: trace.FlagsSampled}
	_, _ = rand.Read(c.SpanID[:])
	if !parent.IsValid() {
		_, _ = rand.Read(c.TraceID[:])
	}
	s := &span{tracer: t.name, name: name, parent: parent, context: trace.NewSpanContext(c),
		config: trace.NewSpanStartConfig(opts...)}
	t.provider.spans.add(s)
	return trace.ContextWithSpan(ctx, s), s
}

type span struct {
	noop.Span
	tracer, name    string
	parent, context trace.SpanContext
	config          trace.SpanConfig

	mu     sync.Mutex
	added  []attribute.KeyValue
	status codes.Code
	errs   []error
	ended  bool
}

func (s *span) SpanContext() trace.SpanContext { return s.context }
func (s *span) IsRecording() bool              { return true }

func (s *span) SetStatus(code codes.Code, _ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = code
}

func (s *span) SetAttributes(attributes ...attribute.KeyValue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added = append(s.added, attributes...)
}

func (s *span) RecordError(err error, _ ...trace.EventOption) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, err)
}

func (s *span) End(...trace.SpanEndOption) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

func (s *span) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// producerSpan returns a context as a program has it that traces.
func producerSpan(ctx context.Context, t *testing.T) (context.Context, trace.SpanContext) {
	t.Helper()
	state, err := trace.ParseTraceState("vendor=1")
	if err != nil {
		t.Fatal(err)
	}
	producer := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5, 6}, TraceFlags: trace.FlagsSampled, TraceState: state,
	})
	return trace.ContextWithSpanContext(ctx, producer), producer
}

func TestEachRecordHasASpanLinkedToItsProducers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group := w.group("g")
	provider := new(tracerProvider)
	publisher := w.app(bus.Config{TracerProvider: noop.NewTracerProvider()})
	bus.MustSchema[Content](publisher, "Content")
	app := w.app(bus.Config{TracerProvider: provider})
	ctx, producer := producerSpan(t.Context(), t)
	if err := publisher.Publish(ctx, "s", Content{Title: "t", N: 0}, bus.Key([]byte("k"))); err != nil {
		t.Fatal(err)
	}
	if err := publisher.Publish(t.Context(), "s", Content{Title: "t", N: 1}, bus.Key([]byte("k"))); err != nil {
		t.Fatal(err)
	}
	if err := app.PublishBatch(t.Context(), "s", []bus.Outgoing{{Key: []byte("k")}}); err != nil { // a tombstone
		t.Fatal(err)
	}
	var inside list[trace.SpanContext]
	bus.MustSubscribe(app, "s", func(ctx context.Context, _ Content) error {
		inside.add(trace.SpanContextFromContext(ctx))
		return app.PublishRaw(ctx, "out", []byte("v"))
	}, bus.Group(group), fast(2))
	if _, err := app.ConsumeFor(within(t, 30*time.Second), 3); err != nil {
		t.Fatal(err)
	}
	spans := provider.named("process s")
	if len(spans) != 3 {
		t.Fatalf("%d spans", len(spans))
	}
	first, second, third := spans[0], spans[1], spans[2]
	if first.tracer != "github.com/kafkaesk/kafkaesk/bus" || first.name != "process s" ||
		first.config.SpanKind() != trace.SpanKindConsumer || !first.over() {
		t.Errorf("span %+v", first)
	}
	remote := producer.WithRemote(true)
	if links := first.config.Links(); !first.parent.Equal(remote) || len(links) != 1 ||
		!links[0].SpanContext.Equal(remote) {
		t.Errorf("parent %v, links %v, want %v", first.parent, links, remote)
	}
	if second.parent.IsValid() || len(second.config.Links()) != 0 {
		t.Errorf("a record without a trace has parent %v and links %v", second.parent, second.config.Links())
	}
	all := readAll(t, app, "s")
	i := slices.IndexFunc(all, func(r *bus.Record) bool { return r.Offset == 0 })
	want := []attribute.KeyValue{
		attribute.String("messaging.system", "kafka"),
		attribute.String("messaging.operation.name", "process"),
		attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", w.prefix+"s"),
		attribute.String("messaging.destination.partition.id", fmt.Sprint(all[i].Partition)),
		attribute.String("messaging.consumer.group.name", group),
		attribute.Int64("messaging.kafka.offset", 0),
		attribute.Int("messaging.message.body.size", len(all[i].Value)),
		attribute.String("messaging.message.id", header(all[i], bus.IDHeader)),
	}
	if got := first.config.Attributes(); !slices.Equal(got, want) {
		t.Errorf("attributes\n got %v\nwant %v", got, want)
	}
	if got := third.config.Attributes(); !slices.Contains(got, attribute.Bool("messaging.kafka.message.tombstone", true)) {
		t.Errorf("attributes of a tombstone %v", got)
	}
	if first.status != codes.Unset || third.status != codes.Error || len(third.errs) != 1 {
		t.Errorf("status %v without an error, %v with %v", first.status, third.status, third.errs)
	}
	// What the handler publishes belongs to its span.
	if got := inside.get(); len(got) != 2 || !got[0].Equal(first.context) {
		t.Errorf("handlers saw %v", got)
	}
	for i, r := range readAll(t, app, "out", bus.FromStart()) {
		if parent := header(r, "traceparent"); i == 0 && parent == "" {
			t.Error("what the handler publishes has no trace")
		}
	}
}

// Nothing of the application's needs an SDK for a trace to go through it.
func TestWithoutAnSDKTheProducersContextGoesOn(t *testing.T) {
	t.Parallel()
	for name, provider := range map[string]trace.TracerProvider{"global": nil, "none": noop.NewTracerProvider()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			app := w.app(bus.Config{TracerProvider: provider})
			ctx, _ := producerSpan(t.Context(), t)
			if err := app.PublishRaw(ctx, "in", []byte("v")); err != nil {
				t.Fatal(err)
			}
			bus.MustSubscribe(app, "in", func(ctx context.Context, v []byte) error { return app.PublishRaw(ctx, "out", v) },
				bus.Group(w.group("g")))
			if _, err := app.ConsumeFor(within(t, 30*time.Second), 1); err != nil {
				t.Fatal(err)
			}
			in, out := readAll(t, app, "in"), readAll(t, app, "out")
			if len(in) != 1 || len(out) != 1 {
				t.Fatal(len(in), len(out))
			}
			for _, h := range []string{"traceparent", "tracestate"} {
				if got, want := header(out[0], h), header(in[0], h); got != want || want == "" {
					t.Errorf("%s is %q, was %q", h, got, want)
				}
			}
		})
	}
}

// A publish has a span, child of the caller's, which its record names as its parent. It ends with the outcome.
func TestEachPublishHasASpan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stream("s", 1)
	provider := new(tracerProvider)
	app := w.app(bus.Config{TracerProvider: provider})
	bus.MustSchema[Content](app, "Content")
	ctx, caller := producerSpan(t.Context(), t)
	if err := app.Publish(ctx, "s", Content{Title: "t"}); err != nil {
		t.Fatal(err)
	}
	if err := app.PublishRaw(t.Context(), "s", []byte("v")); err != nil { // a trace begins here
		t.Fatal(err)
	}
	if err := app.PublishAsync(ctx, "s", Content{Title: "t"}).Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if err := app.PublishRaw(ctx, "s", make([]byte, 2<<20)); err == nil {
		t.Fatal("a record larger than max_request_size was published")
	}
	if err := app.Publish(ctx, "s", Content{}); err == nil { // never sent: no span
		t.Fatal("published against its schema")
	}
	spans := provider.named("send s")
	if len(spans) != 4 {
		t.Fatalf("%d spans", len(spans))
	}
	for i, parent := range []trace.SpanContext{caller, {}, caller, caller} {
		s := spans[i]
		eventually(t, s.over, func() string { return fmt.Sprintf("span %d has not ended", i) })
		if s.config.SpanKind() != trace.SpanKindProducer || !s.parent.Equal(parent) {
			t.Errorf("span %d is %v of %v", i, s.config.SpanKind(), s.parent)
		}
	}
	records := readAll(t, app, "s")
	for i, r := range records {
		if want := spans[i].context.SpanID().String(); len(records) != 3 ||
			!strings.Contains(header(r, "traceparent"), want) {
			t.Errorf("record %d of %d names %s, want %s", i, len(records), header(r, "traceparent"), want)
		}
		want := []attribute.KeyValue{
			attribute.String("messaging.destination.partition.id", "0"), attribute.Int64("messaging.kafka.offset", int64(i)),
		}
		if !slices.Equal(spans[i].added, want) || spans[i].status != codes.Unset {
			t.Errorf("span %d has %v, want %v", i, spans[i].added, want)
		}
	}
	if s := spans[3]; s.status != codes.Error || len(s.errs) != 1 {
		t.Errorf("the span of a failure: %v, %v", s.status, s.errs)
	}
}

// A batch is one span, and only in a trace: pumps publish without end.
func TestABatchHasASpanInATrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	provider := new(tracerProvider)
	app := w.app(bus.Config{TracerProvider: provider})
	ctx, caller := producerSpan(t.Context(), t)
	for _, ctx := range []context.Context{t.Context(), ctx} {
		if err := app.PublishBatch(ctx, "s", make([]bus.Outgoing, 3)); err != nil {
			t.Fatal(err)
		}
	}
	spans := provider.named("send s")
	if len(spans) != 1 || !spans[0].parent.Equal(caller) || !spans[0].over() ||
		!slices.Contains(spans[0].config.Attributes(), attribute.Int("messaging.batch.message_count", 3)) {
		t.Errorf("spans %+v", spans)
	}
}
