package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

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

func TestWhatIsPrinted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	base := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i, r := range []struct{ stream, value string }{
		{"logs.a", logValue("a0", "DEBUG", 10)},
		{"logs.b", logValue("b1", "INFO", 20)},
		{"logs.a", logValue("a2", "WARNING", 30)},
		{"logs.b", "no-json"},
		{"audit", logValue("c4", "ERROR", 40)},
		{"content", `{"schema":"Content:1","data":{"message":"d5"}}`},
		{"logs.b", logValue("b6", "CRITICAL", 50)},
	} {
		b.publish(r.stream, r.value, base.Add(time.Duration(i)*time.Minute))
	}
	tests := []struct {
		name   string
		args   string
		want   string
		stderr string
	}{
		{"a pattern", "--from=start logs.*", "a0 a2 b1 b6 no-json", "logtail: records that are no envelopes: 1\n"},
		{"quiet", "-q --from=start logs.*", "a0 a2 b1 b6 no-json", ""},
		{"several patterns, each record once", "--from=start logs.a *.a audit logs.?", "a0 a2 b1 b6 c4 no-json", "logtail: records that are no envelopes: 1\n"},
		{"without some", "--from=start -x *.b -x content *", "a0 a2 c4", ""},
		{"the last of all together", "-n 2 logs.* audit content", "b6 d5", ""},
		{"the last ten are the default", "-q *", "a0 a2 b1 b6 c4 d5 no-json", ""},
		{"none", "-n0 *", "", ""},
		{"from the end", "--from=end *", "", ""},
		{"since a duration", "--since 56m30s -q *", "b6 c4 d5", ""},
		{"since a time", "--since " + base.Add(5*time.Minute).UTC().Format(time.RFC3339) + " *", "b6 d5", ""},
		{"level by name, logs only", "-l warning *", "a2 b6 c4", ""},
		{"level by letter", "-le *", "b6 c4", ""},
		{"level by number", "-l 20 *", "a2 b1 b6 c4", ""},
		{"nothing matches", "nothing.*", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := b.run(append([]string{"--no-follow"}, strings.Fields(test.args)...)...)
			if got := messages(t, stdout); got != test.want {
				t.Errorf("stdout: got %q, want %q", got, test.want)
			}
			if stderr != test.stderr {
				t.Errorf("stderr: got %q, want %q", stderr, test.stderr)
			}
			if code != exitOK {
				t.Errorf("exit code %d", code)
			}
		})
	}
	t.Run("the last ones come in order", func(t *testing.T) {
		t.Parallel()
		stdout, _, _ := b.run("--no-follow", "-n5", "-opretty", "--color=never", "logs.*")
		var got []string
		for line := range strings.Lines(stdout) {
			words := strings.Fields(line)
			got = append(got, words[len(words)-1])
		}
		if want := "[a0 b1 a2 no-json b6]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
	})
	t.Run("raw is the value", func(t *testing.T) {
		t.Parallel()
		stdout, _, _ := b.run("--no-follow", "-oraw", "content")
		if want := `{"schema":"Content:1","data":{"message":"d5"}}` + "\n"; stdout != want {
			t.Errorf("got %q, want %q", stdout, want)
		}
	})
}

func TestUsage(t *testing.T) {
	t.Parallel()
	servers := "-b=127.0.0.1:1"
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no pattern", []string{servers}, "which streams?"},
		{"an empty pattern", []string{servers, ""}, "a pattern is empty"},
		{"no servers", []string{"a"}, "KAFKAESK_KAFKA_SERVERS"},
		{"a server without a port", []string{"-b", "localhost", "a"}, "--kafka-servers: server 1: want host:port"},
		{"an unknown flag", []string{"--frobnicate", "a"}, "unknown flag: --frobnicate"},
		{"an unknown output", []string{servers, "-o", "xml", "a"}, `--output: "xml"`},
		{"an unknown color", []string{servers, "--color", "red", "a"}, `--color: "red"`},
		{"an unknown level", []string{servers, "-l", "high", "a"}, `--level: "high"`},
		{"an unknown start", []string{servers, "--from", "middle", "a"}, `--from: "middle"`},
		{"a time that is none", []string{servers, "--since", "yesterday", "a"}, `--since: "yesterday"`},
		{"lines below zero", []string{servers, "-n", "-1", "a"}, "--lines: -1"},
		{"lines that are no number", []string{servers, "-n", "x", "a"}, `"x" for "-n, --lines"`},
		{"two places to begin", []string{servers, "-n", "1", "--from", "end", "a"}, "--lines and --from"},
		{"settings that are no JSON", []string{servers, "--kafka-settings", "acks=1", "a"}, "--kafka-settings"},
		{"a setting that nobody knows", []string{servers, "--kafka-settings", `{"security_protocl":"SSL"}`, "a"}, "security_protocol"},
		{"a setting of the wrong type", []string{servers, "--kafka-settings", `{"request_timeout_ms":"soon"}`, "a"}, "request_timeout_ms"},
		{"a pattern that is too long", []string{servers, strings.Repeat("*a", 500)}, "pattern"},
		{"what an argument hides", []string{servers, "--from", "\x1b[2J", "a"}, `\x1b[2J`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			code := Run(t.Context(), test.args, streams{&stdout, &stderr, func(string) string { return "" }})
			if code != exitUsage || stdout.Len() > 0 {
				t.Errorf("code %d, stdout %q", code, stdout.String())
			}
			if !strings.Contains(stderr.String(), test.want) || strings.Contains(stderr.String(), "\x1b") {
				t.Errorf("stderr %q, want %q in it", stderr.String(), test.want)
			}
		})
	}
	t.Run("help", func(t *testing.T) {
		t.Parallel()
		var stdout, stderr bytes.Buffer
		code := Run(t.Context(), []string{"--help"}, streams{&stdout, &stderr, func(string) string { return "" }})
		for _, want := range []string{"commits nothing", "--since", "$KAFKAESK_KAFKA_SERVERS", "Exit codes:", "within 10 seconds"} {
			if !strings.Contains(stdout.String(), want) {
				t.Errorf("no %q in the help", want)
			}
		}
		if code != exitOK || stderr.Len() > 0 {
			t.Errorf("code %d, stderr %q", code, stderr.String())
		}
	})
}

func TestNoBrokerAtTheStart(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	var stdout, stderr bytes.Buffer
	o := newOptions(streams{&stdout, &stderr, func(string) string { return "" }})
	o.reach = 300 * time.Millisecond
	if code := o.main(t.Context(), []string{"-b", address, "logs.*"}); code != exitUnreachable {
		t.Errorf("exit code %d, want %d", code, exitUnreachable)
	}
	if !strings.Contains(stderr.String(), "no broker could be reached within 300ms") || !strings.Contains(stderr.String(), address) {
		t.Errorf("stderr %q does not say what and where", stderr.String())
	}
	if stdout.Len() > 0 {
		t.Errorf("stdout %q", stdout.String())
	}
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

func TestFollow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("logs.old", logValue("before", "INFO", 20), time.Now())
	f := b.follow("logs.*")
	if got := f.next(); got != "before" {
		t.Fatalf("got %q", got)
	}
	for _, stream := range []string{"logs.old", "logs.new"} {
		b.publish(stream, logValue(stream, "INFO", 20), time.Now())
		if got := f.next(); got != stream {
			t.Fatalf("got %q, want %q", got, stream)
		}
	}
	if code := f.interrupt(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if s := f.stderr.String(); s != "" {
		t.Errorf("stderr %q", s)
	}
}

func TestPatternThatMatchesNothingWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("other", logValue("other", "INFO", 20), time.Now())
	f := b.follow("logs.*")
	b.publish("logs.late", logValue("late", "INFO", 20), time.Now())
	if got := f.next(); got != "late" {
		t.Errorf("got %q", got)
	}
	if code := f.interrupt(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestBrokerThatIsLostIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Own())
	b.publish("logs.a", logValue("before", "INFO", 20), time.Now())
	f := b.follow("logs.*")
	if got := f.next(); got != "before" {
		t.Fatalf("got %q", got)
	}
	b.cluster.Kill(0)
	testkit.Eventually(t, func() bool { return strings.Contains(f.stderr.String(), "level=WARN") }, f.stderr.String)
	b.cluster.Restart(0)
	b.publish("logs.a", logValue("after", "INFO", 20), time.Now())
	if got := f.next(); got != "after" {
		t.Errorf("got %q", got)
	}
	if code := f.interrupt(); code != exitOK {
		t.Errorf("exit code %d; stderr: %s", code, f.stderr.String())
	}
}

func TestInterruptedBeforeTheEndIsAnError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr bytes.Buffer
	if code := Run(ctx, []string{"--no-follow", "*"}, streams{io.Discard, &stderr, b.env}); code != exitFailed {
		t.Errorf("exit code %d; %s", code, stderr.String())
	}
}
