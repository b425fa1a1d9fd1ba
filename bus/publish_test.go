package bus_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

func TestPublishedRecordFollowsTheWireContract(t *testing.T) {
	app := start(t)
	bus.MustSchema[Content](app, "Content", bus.Version(2))
	span := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5, 6}, TraceFlags: trace.FlagsSampled,
	})
	ctx := trace.ContextWithSpanContext(t.Context(), span)
	at := time.Date(2026, 11, 23, 12, 0, 0, 5_000_000, time.UTC)

	err := app.Publish(ctx, "content.edited", Content{Title: "<a & b>\u2028", N: 1},
		bus.Key([]byte("mykey")), bus.AddHeader("x-first", "1"), bus.AddHeader("x-first", "ü"), bus.Timestamp(at))
	if err != nil {
		t.Fatal(err)
	}

	all := readAll(t, app, "content.*")
	if len(all) != 1 {
		t.Fatalf("%d records, want 1", len(all))
	}
	r := all[0]
	if got, want := string(r.Value),
		"{\"schema\":\"Content:2\",\"data\":{\"title\":\"<a & b>\u2028\",\"n\":1}}"; got != want {
		t.Errorf("value\n got %s\nwant %s", got, want)
	}
	if r.Stream != "content.edited" || !strings.HasSuffix(r.Topic, "content.edited") || r.Topic == r.Stream {
		t.Errorf("stream %q, topic %q", r.Stream, r.Topic)
	}
	if string(r.Key) != "mykey" || r.Partition != 5 { // 5 of 7 is where Python places this key
		t.Errorf("key %q on partition %d, want mykey on 5", r.Key, r.Partition)
	}
	if !r.Time.Equal(at) {
		t.Errorf("time %v, want %v", r.Time, at)
	}
	var names []string
	for _, h := range r.Headers {
		names = append(names, h.Name)
	}
	if got, want := strings.Join(names, " "), "x-first x-first traceparent kafkaesk-id"; got != want {
		t.Errorf("headers %s, want %s", got, want)
	}
	if v, _ := r.Header("traceparent"); string(v) != "00-01020300000000000000000000000000-0405060000000000-01" {
		t.Errorf("traceparent %s", v)
	}
	id, _ := r.Header(bus.IDHeader)
	if u, err := uuid.ParseBytes(id); err != nil || u.Version() != 7 {
		t.Errorf("kafkaesk-id %q: version %v, %v", id, u.Version(), err)
	}
}

func TestCallersHeadersAreNeverOverwritten(t *testing.T) {
	app := start(t)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := trace.ContextWithSpanContext(t.Context(), span)
	err := app.PublishRaw(ctx, "raw", []byte("v"), bus.AddHeader("traceparent", "mine"),
		bus.AddHeader(bus.IDHeader, "my id"))
	if err != nil {
		t.Fatal(err)
	}
	r := readAll(t, app, "raw")[0]
	if len(r.Headers) != 2 || string(r.Headers[0].Value) != "mine" || string(r.Headers[1].Value) != "my id" {
		t.Errorf("headers %q", r.Headers)
	}
}

func TestBinaryHeaderTextIsRefused(t *testing.T) {
	app := start(t)
	err := app.PublishRaw(t.Context(), "raw", []byte("v"), bus.AddHeader("x", "\xff"))
	if err == nil || !strings.Contains(err.Error(), `header "x" is not UTF-8`) {
		t.Fatalf("got %v", err)
	}
}

// The bytes are those Python wrote for the same data.
func TestEnvelopesAreThoseOfPython(t *testing.T) {
	type content struct {
		Foo string `json:"foo"`
		N   *int   `json:"n"`
	}
	type content2 struct {
		Foo string `json:"foo"`
		Bar string `json:"bar"`
	}
	type named struct {
		A int `json:"a"`
	}
	three := 3
	tests := map[string]struct {
		declare func(*bus.App) error
		data    any
	}{
		"content":     {func(a *bus.App) error { return bus.Schema[content](a, "Content") }, content{Foo: "bar"}},
		"content-set": {func(a *bus.App) error { return bus.Schema[content](a, "Content") }, &content{Foo: "bar", N: &three}},
		"version-2": {func(a *bus.App) error { return bus.Schema[content2](a, "Content", bus.Version(2)) },
			content2{"a", "b"}},
		"id-default": {func(a *bus.App) error { return bus.Schema[named](a, "NamedByClass") }, named{1}},
	}
	golden := goldenEnvelopes(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			app := start(t)
			if err := test.declare(app); err != nil {
				t.Fatal(err)
			}
			if err := app.Publish(t.Context(), "golden", test.data); err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, app, "golden")[0].Value; !bytes.Equal(got, golden[name]) {
				t.Errorf("got %s\nwant %s", got, golden[name])
			}
		})
	}
}

func goldenEnvelopes(t *testing.T) map[string][]byte {
	t.Helper()
	lines, err := os.ReadFile("testdata/python/envelopes.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]byte)
	for line := range bytes.Lines(lines) {
		var l struct {
			Case  string `json:"case"`
			Value string `json:"value_b64"`
		}
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		if all[l.Case], err = base64.StdEncoding.DecodeString(l.Value); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestKeysLieWherePythonPlacesThem(t *testing.T) {
	lines, err := os.ReadFile("testdata/python/partitions.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	app := start(t)
	bus.MustSchema[Content](app, "")
	for line := range bytes.Lines(lines) {
		var l struct {
			Key        []byte         `json:"key_b64"`
			Partitions map[string]int `json:"partitions"`
		}
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		if l.Key == nil {
			l.Key = []byte{} // an empty key is a key
		}
		receipt := app.PublishAsync(t.Context(), "keys", Content{Title: "a"}, bus.Key(l.Key))
		if err := receipt.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := receipt.Record(); r.Partition != l.Partitions["7"] {
			t.Errorf("key %q on partition %d, Python's on %d", l.Key, r.Partition, l.Partitions["7"])
		}
	}
	for _, r := range readAll(t, app, "keys") {
		if r.Key == nil {
			t.Errorf("offset %d of partition %d: a null key", r.Offset, r.Partition)
		}
	}
}

func TestDataThatBreaksItsSchemaNeverLeaves(t *testing.T) {
	app := start(t)
	bus.MustSchema[Content](app, "")
	tests := []struct {
		name        string
		data        Content
		field, rule string
	}{
		{"too short", Content{Title: "", N: 1}, "title", "minLength"},
		{"too small", Content{Title: "a", N: -1}, "n", "minimum"},
		{"too many", Content{Title: "a", Tags: []string{"1", "2", "3", "4"}}, "tags", "maxItems"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := app.Publish(t.Context(), "content", test.data)
			var invalid *bus.ValidationError
			if !errors.As(err, &invalid) {
				t.Fatalf("got %v", err)
			}
			if invalid.Schema != "Content:1" || invalid.Field != test.field || invalid.Rule != test.rule {
				t.Errorf("got %s, field %q, rule %q", invalid.Schema, invalid.Field, invalid.Rule)
			}
			for _, part := range []string{`publish "content"`, "Content:1", test.field, test.rule} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not name %s", err, part)
				}
			}
		})
	}
	if all := readAll(t, app, "content"); len(all) != 0 {
		t.Errorf("%d records were sent", len(all))
	}
}

func TestAStreamCarriesOneSchemaID(t *testing.T) {
	type other struct{ A int }
	type content2 struct{ B int }
	app := start(t)
	bus.MustSchema[Content](app, "Content", bus.Streams("content"))
	bus.MustSchema[content2](app, "Content", bus.Version(2))
	bus.MustSchema[other](app, "Other")

	if err := app.Publish(t.Context(), "content", content2{1}); err != nil {
		t.Errorf("a version that follows: %v", err)
	}
	var conflict *bus.SchemaConflictError
	if err := app.Publish(t.Context(), "content", other{1}); !errors.As(err, &conflict) || conflict.Stream != "content" {
		t.Errorf("another id: %v", err)
	}
	if err := app.Publish(t.Context(), "undeclared", other{1}); err != nil {
		t.Errorf("a stream nobody declared: %v", err)
	}
	if err := app.Publish(t.Context(), "undeclared", Content{Title: "a"}); !errors.As(err, &conflict) {
		t.Errorf("another id on a stream that carries one by use: %v", err)
	}
}

func TestPublishNamesWhatIsMissing(t *testing.T) {
	app := start(t)
	type unknown struct{ A int }
	for _, data := range []any{unknown{1}, &unknown{1}, nil, map[string]any{"a": 1}} {
		if err := app.Publish(t.Context(), "s", data); err == nil || !strings.Contains(err.Error(), "no schema") {
			t.Errorf("%T: %v", data, err)
		}
	}
	for _, stream := range []string{"", "no spaces allowed"} {
		if err := app.PublishRaw(t.Context(), stream, nil); err == nil {
			t.Errorf("%q, which cannot be a topic, was published to", stream)
		}
	}
}

func TestTooLargeIsRefusedBeforeItIsQueued(t *testing.T) {
	app := start(t)
	receipt := app.PublishAsync(t.Context(), "s", Content{})
	<-receipt.Done() // no schema: resolved at once
	if receipt.Record() != nil {
		t.Error("a failed receipt has a record")
	}
	err := app.PublishRaw(t.Context(), "s", make([]byte, 2<<20))
	if !errors.Is(err, bus.ErrTooLarge) {
		t.Fatalf("got %v", err)
	}
	batch := []bus.Outgoing{{Value: []byte("a")}, {Value: make([]byte, 2<<20)}, {Value: []byte("b")}}
	err = app.PublishBatch(t.Context(), "s", batch)
	if !errors.Is(err, bus.ErrTooLarge) || !errors.Is(batch[1].Err, bus.ErrTooLarge) {
		t.Errorf("batch: %v, its record: %v", err, batch[1].Err)
	}
	if batch[0].Err != nil || batch[2].Err != nil {
		t.Errorf("its neighbours: %v, %v", batch[0].Err, batch[2].Err)
	}
	if all := readAll(t, app, "s"); len(all) != 2 {
		t.Errorf("%d records, want the two neighbours", len(all))
	}
}

func TestPublishBatchKeepsTheOrderOfAKey(t *testing.T) {
	app := start(t)
	const keys, each = 20, 200
	var batch []bus.Outgoing
	for n := range each {
		for k := range keys {
			batch = append(batch, bus.Outgoing{Key: fmt.Appendf(nil, "key-%d", k), Value: fmt.Appendf(nil, "%d", n)})
		}
	}
	if err := app.PublishBatch(t.Context(), "ordered", batch); err != nil {
		t.Fatal(err)
	}
	next := make(map[string]int)
	for _, r := range readAll(t, app, "ordered") {
		if want := fmt.Sprint(next[string(r.Key)]); string(r.Value) != want {
			t.Fatalf("key %s: got %s, want %s", r.Key, r.Value, want)
		}
		next[string(r.Key)]++
	}
	for k := range keys {
		if n := next[fmt.Sprintf("key-%d", k)]; n != each {
			t.Errorf("key-%d: %d records", k, n)
		}
	}
}

func TestReceiptTellsWhereTheRecordLies(t *testing.T) {
	app := start(t)
	bus.MustSchema[Content](app, "")
	receipts := make([]*bus.Receipt, 500)
	for i := range receipts {
		receipts[i] = app.PublishAsync(t.Context(), "content", Content{Title: fmt.Sprint(i)})
	}
	if err := app.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	type place struct {
		partition int
		offset    int64
	}
	titles := make(map[place]string)
	for _, r := range readAll(t, app, "content") {
		var e struct{ Data Content }
		if err := json.Unmarshal(r.Value, &e); err != nil {
			t.Fatal(err)
		}
		titles[place{r.Partition, r.Offset}] = e.Data.Title
	}
	for i, receipt := range receipts {
		select {
		case <-receipt.Done():
		default:
			t.Fatalf("receipt %d is not resolved after Flush", i)
		}
		if err := receipt.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := receipt.Record()
		if got := titles[place{r.Partition, r.Offset}]; got != fmt.Sprint(i) {
			t.Fatalf("receipt %d: at %d/%d lies %q", i, r.Partition, r.Offset, got)
		}
	}
}

func TestPublishWaitsForABrokerThatIsAway(t *testing.T) {
	cluster := kafkatest.Start(t)
	gate := newGate(t, cluster.Servers()[0])
	app := bus.New(bus.Config{Servers: []string{gate.addr}, TopicPrefix: cluster.Prefix(t)})
	t.Cleanup(func() { closeApp(t, app) })

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := app.PublishRaw(ctx, "s", []byte("too early")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("no broker: %v", err)
	}
	outcome := make(chan error, 1)
	go func() { outcome <- app.PublishRaw(t.Context(), "s", []byte("patient")) }()
	gate.waitForCaller(t)
	gate.open()
	if err := <-outcome; err != nil {
		t.Fatalf("the broker came: %v", err)
	}
}
