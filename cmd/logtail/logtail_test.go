package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

var update = flag.Bool("update", false, "write what comes out to the golden files")

func TestMain(m *testing.M) {
	testkit.Program(main)
	kafkatest.Main(m)
}

// bench is a broker with a topic prefix of the test's own, and an App to publish with.
type bench struct {
	t       testing.TB
	cluster *kafkatest.Cluster
	prefix  string
	app     *bus.App
}

func setup(t testing.TB, opts ...kafkatest.Option) *bench {
	t.Helper()
	cluster := kafkatest.Start(t, opts...)
	b := &bench{t: t, cluster: cluster, prefix: cluster.Prefix(t)}
	b.app = bus.New(bus.Config{Servers: cluster.Servers(), TopicPrefix: b.prefix})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.app.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

// publish writes one value, whose record has that time.
func (b *bench) publish(stream, value string, at time.Time) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	if err := b.app.PublishRaw(ctx, stream, []byte(value), bus.Timestamp(at)); err != nil {
		b.t.Fatal(err)
	}
}

// env is the environment that names the broker.
func (b *bench) env(name string) string {
	return map[string]string{
		"KAFKAESK_KAFKA_SERVERS": strings.Join(b.cluster.Servers(), ","),
		"KAFKAESK_TOPIC_PREFIX":  b.prefix,
	}[name]
}

// run runs logtail in the process until it ends.
func (b *bench) run(args ...string) (stdout, stderr string, code int) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	var out, err bytes.Buffer
	code = Run(ctx, args, streams{out: &out, err: &err, getenv: b.env})
	return out.String(), err.String(), code
}

// logValue is a log record in its envelope.
func logValue(message, severity string, level int) string {
	return fmt.Sprintf(`{"schema":"LogRecord:1","data":{"message":%q,"severity":%q,"level":%d}}`, message, severity, level)
}

// messages returns what the JSON lines say, sorted, as there is no order between partitions.
func messages(t testing.TB, stdout string) string {
	t.Helper()
	var all []string
	for line := range strings.Lines(stdout) {
		var r struct {
			Message string
			Value   any `json:"_value"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if r.Value != nil {
			r.Message = fmt.Sprint(r.Value)
		}
		all = append(all, r.Message)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// follower is a logtail that runs in the process and follows.
type follower struct {
	t      testing.TB
	lines  *bufio.Scanner
	stderr lockedBuffer
	stop   context.CancelFunc
	code   chan int
}

func (b *bench) follow(args ...string) *follower {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	read, write := io.Pipe()
	f := &follower{t: b.t, lines: bufio.NewScanner(read), stop: cancel, code: make(chan int, 1)}
	go func() {
		code := Run(ctx, args, streams{out: write, err: &f.stderr, getenv: b.env})
		_ = write.Close()
		f.code <- code
	}()
	b.t.Cleanup(func() {
		cancel()
		_ = read.Close()
	})
	return f
}

// next returns the next record's message.
func (f *follower) next() string {
	f.t.Helper()
	if !f.lines.Scan() {
		f.t.Fatalf("the output ended (%v); stderr: %s", f.lines.Err(), f.stderr.String())
	}
	return messages(f.t, f.lines.Text()+"\n")
}

// interrupt ends the follow and returns the exit code.
func (f *follower) interrupt() int {
	f.stop()
	for f.lines.Scan() { // whatever was on its way
		continue
	}
	return <-f.code
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
