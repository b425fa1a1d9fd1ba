package slogkafka_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/devkafka"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/logrecord"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// Handlers that take log records get those of a stream, ours and those that kafkaesk for Python wrote.
func TestHandlersOfLogRecordsGetTheRecordsOfAStream(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t)
	app := newApp(t, cluster)
	t.Cleanup(func() { _ = app.Close(within(t, 20*time.Second)) })
	ctx := within(t, 60*time.Second)
	values := pythonLogs(t)
	for _, v := range values {
		if err := app.PublishRaw(ctx, "logs.py", v); err != nil {
			t.Fatal(err)
		}
	}
	h := slogkafka.NewHandler(app, "logs.go")
	slog.New(h).Warn("signed in", slog.Int("try", 2))
	if err := h.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	for _, r := range tail(t, app, "logs.go") {
		values = append(values, r.Value)
	}
	n := len(values)
	want := make(map[string]logrecord.Record, n)
	for _, v := range values {
		record, err := logrecord.Decode(v)
		if err != nil {
			t.Fatal(err)
		}
		want[string(v)] = record
	}
	var mu sync.Mutex
	seen := make(map[string]int)
	check := func(ctx context.Context, kind string, got logrecord.Record) {
		value := bus.Records(ctx)[0].Value
		if diff := cmp.Diff(want[string(value)], got); diff != "" {
			t.Errorf("%s of %s: -want +got\n%s", kind, value, diff)
		}
		mu.Lock()
		defer mu.Unlock()
		seen[kind]++
	}
	group := func(name string) bus.SubscribeOption { return bus.Group(cluster.Prefix(t) + name) }
	bus.MustSubscribe(app, "logs.*", func(ctx context.Context, r logrecord.Record) error {
		check(ctx, "record", r)
		return nil
	}, group("record"))
	bus.MustSubscribe(app, "logs.*", func(ctx context.Context, r *logrecord.Record) error {
		check(ctx, "pointer", *r)
		return nil
	}, group("pointer"))
	bus.MustSubscribe(app, "logs.*", func(ctx context.Context, m *bus.Message[logrecord.Record]) error {
		if m.Schema != m.Data.Schema {
			t.Errorf("the schema of the message is %q, that of its record %q", m.Schema, m.Data.Schema)
		}
		check(ctx, "message", m.Data)
		return nil
	}, group("message"))
	if _, err := app.ConsumeFor(ctx, 3*n); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"record": n, "pointer": n, "message": n}, seen); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// pythonLogs returns the values that the handlers of kafkaesk for Python wrote.
func pythonLogs(t *testing.T) (values [][]byte) {
	t.Helper()
	file, err := os.ReadFile("../logrecord/testdata/python/logs.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(file))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var golden struct {
			Value []byte `json:"value_b64"`
		}
		if err := json.Unmarshal(lines.Bytes(), &golden); err != nil {
			t.Fatal(err)
		}
		if len(golden.Value) > 0 {
			values = append(values, golden.Value)
		}
	}
	if len(values) == 0 || lines.Err() != nil {
		t.Fatalf("%d values, %v", len(values), lines.Err())
	}
	return values
}

func TestWhatIsNoLogRecordIsRejected(t *testing.T) {
	t.Parallel()
	for _, value := range []string{`{"schema":"A:1","data":[1]}`, `{"schema":"A:1","data":null}`, `[]`, `no JSON`, ``} {
		if r, err := bus.Decode[logrecord.Record](&bus.Record{Value: []byte(value)}); err == nil {
			t.Errorf("%s became %+v", value, r)
		}
	}
	if r, err := bus.Decode[*logrecord.Record](&bus.Record{Value: []byte(`{"data":null}`)}); r != nil || err != nil {
		t.Errorf("null is %v, %v, want nil", r, err)
	}
	err := bus.Subscribe(bus.NewRouter(), "logs", func(context.Context, logrecord.Record) error { return nil },
		bus.Group("g"), bus.Validate())
	if err == nil || !strings.Contains(err.Error(), "option Validate has nothing to check in logrecord.Record") {
		t.Errorf("got %v", err)
	}
}

// A subscription to log records, of services in Go and in Python.
func ExampleNewHandler_subscribe() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	broker, err := devkafka.Start(devkafka.Options{Addr: "127.0.0.1:0"}) // there has to be a Kafka
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = broker.Close() }()

	app := bus.New(bus.Config{Servers: broker.Addrs()})
	logger := slog.New(slogkafka.NewHandler(app, "logs.web"))
	logger.Error("cannot sign in", "user", "ada")

	bus.MustSubscribe(app, "logs.*", func(_ context.Context, r logrecord.Record) error {
		fmt.Println(r.Severity, r.Message)
		for _, f := range r.Fields {
			fmt.Printf("%s=%s\n", f.Name, f.Value)
		}
		return nil
	}, bus.Group("alerts"))
	if _, err := app.ConsumeFor(ctx, 1); err != nil {
		fmt.Println(err)
	}
	if err := app.Close(ctx); err != nil { // closes the handler too
		fmt.Println(err)
	}
	// Output:
	// ERROR cannot sign in
	// user="ada"
}
