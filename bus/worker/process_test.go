package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// programVariable makes the test binary one of the programs below.
const programVariable = "WORKER_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if name := os.Getenv(programVariable); name != "" {
		if name == "own default" {
			slog.SetDefault(slog.New(slog.NewTextHandler(os.Stdout, nil)).With("own", true))
			name = "slog"
		}
		Main(programs()[name])
	}
	kafkatest.Main(m)
}

const group = "workers"

// programs are the Apps of the programs, by what their handlers do.
func programs() map[string]*bus.App {
	of := func(handler func(context.Context, []byte) error) *bus.App {
		app := bus.New(bus.Config{})
		bus.MustSubscribe(app, "work", func(ctx context.Context, value []byte) error {
			fmt.Println("begun")
			return handler(ctx, value)
		}, bus.Group(os.Getenv("KAFKAESK_TOPIC_PREFIX")+group))
		return app
	}
	return map[string]*bus.App{
		"nil": nil,
		// wait handles a record until a line comes from standard input.
		"wait": of(func(context.Context, []byte) error {
			_, err := bufio.NewReader(os.Stdin).ReadString('\n')
			fmt.Println("done")
			return err
		}),
		// debug logs twice for each line from standard input, three times.
		"debug": of(func(context.Context, []byte) error {
			in := bufio.NewReader(os.Stdin)
			for n := range 3 {
				if _, err := in.ReadString('\n'); err != nil {
					return err
				}
				slog.Debug(fmt.Sprint("details ", n+1))
				slog.Info(fmt.Sprint("handled ", n+1))
			}
			return bus.ErrStop
		}),
		"abort": of(func(context.Context, []byte) error { return bus.Abort(errors.New("the disk is full")) }),
		"stop":  of(func(context.Context, []byte) error { return bus.ErrStop }),
		"slog": of(func(ctx context.Context, _ []byte) error {
			slog.Debug("details")
			slog.With("own", 1).InfoContext(ctx, "with its record")
			slog.Info("handled")
			log.Print("by package log")
			return bus.ErrStop
		}),
	}
}

// child is a program that runs.
type child struct {
	cmd            *exec.Cmd
	stdin          io.WriteCloser
	stdout, stderr *bufio.Scanner
	said           strings.Builder // what has been read of both
}

// spawn runs a program. The environment configures it.
func spawn(t *testing.T, program string, env ...string) *child {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	c := &child{cmd: exec.CommandContext(ctx, os.Args[0])}
	c.cmd.Env = append(append(os.Environ(), programVariable+"="+program), env...)
	stdin, err1 := c.cmd.StdinPipe()
	stdout, err2 := c.cmd.StdoutPipe()
	stderr, err3 := c.cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3, c.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	c.stdin, c.stdout, c.stderr = stdin, bufio.NewScanner(stdout), bufio.NewScanner(stderr)
	return c
}

// await reads lines until one holds the text.
func (c *child) await(t *testing.T, from *bufio.Scanner, text string) {
	t.Helper()
	for from.Scan() {
		fmt.Fprintln(&c.said, from.Text())
		if strings.Contains(from.Text(), text) {
			return
		}
	}
	t.Fatalf("the program ended without saying %q: %v\n%s", text, c.cmd.Wait(), &c.said)
}

func (c *child) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// end waits for the end of the program and returns its exit code.
func (c *child) end(t *testing.T) int {
	t.Helper()
	for _, s := range []*bufio.Scanner{c.stdout, c.stderr} {
		for s.Scan() {
			fmt.Fprintln(&c.said, s.Text())
		}
	}
	var exit *exec.ExitError
	if err := c.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.cmd.ProcessState.ExitCode()
}

// work is a topic with one record in it.
type work struct {
	env    []string // for a program that is to handle it
	client *kgo.Client
	group  string
	topic  string
}

func newWork(t *testing.T) *work {
	t.Helper()
	cluster := kafkatest.Start(t)
	prefix, servers := cluster.Prefix(t), cluster.Servers()
	app := bus.New(bus.Config{Servers: servers, TopicPrefix: prefix})
	if err := errors.Join(app.PublishRaw(t.Context(), "work", []byte("one")), app.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(servers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &work{
		env:    []string{"KAFKAESK_KAFKA_SERVERS=" + strings.Join(servers, ","), "KAFKAESK_TOPIC_PREFIX=" + prefix},
		client: client, group: prefix + group, topic: prefix + "work",
	}
}

// committed returns how many records the group has committed.
func (w *work) committed(t *testing.T) (n int64) {
	t.Helper()
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group = w.group
	request.Topics = nil // all
	response, err := request.RequestWith(t.Context(), w.client)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range response.Groups {
		for _, topic := range g.Topics {
			for _, p := range topic.Partitions {
				n += max(0, p.Offset)
			}
		}
	}
	return n
}

func TestASignalDrains(t *testing.T) {
	t.Parallel()
	for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			w := newWork(t)
			c := spawn(t, "wait", w.env...)
			c.await(t, c.stdout, "begun")
			c.signal(t, s)
			c.await(t, c.stderr, "worker: ending")
			if _, err := io.WriteString(c.stdin, "finish\n"); err != nil {
				t.Fatal(err)
			}
			if code := c.end(t); code != exitOK || !strings.Contains(c.said.String(), "done") {
				t.Fatalf("exit code %d\n%s", code, &c.said)
			}
			if n := w.committed(t); n != 1 {
				t.Errorf("%d records are committed, want 1\n%s", n, &c.said)
			}
		})
	}
}

// The second signal of a stop changes nothing; the first one that comes later than that ends the process.
func TestALaterSignalEndsTheProcessAtOnce(t *testing.T) {
	t.Parallel()
	w := newWork(t)
	c := spawn(t, "wait", w.env...)
	c.await(t, c.stdout, "begun")
	c.signal(t, os.Interrupt)
	c.await(t, c.stderr, "worker: ending")
	c.signal(t, syscall.SIGTERM)
	c.await(t, c.stderr, "the same stop")
	var signals sync.WaitGroup
	signals.Go(func() {
		for c.cmd.Process.Signal(syscall.SIGTERM) == nil { // until it has ended
			time.Sleep(50 * time.Millisecond)
		}
	})
	code := c.end(t)
	signals.Wait()
	if code != 143 || strings.Contains(c.said.String(), "done") || !strings.Contains(c.said.String(), "ending at once") {
		t.Errorf("exit code %d\n%s", code, &c.said)
	}
	if n := w.committed(t); n != 0 {
		t.Errorf("%d records are committed, and none was finished", n)
	}
}

func TestHowAProcessEnds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		program string
		code    int
		stderr  string
		errors  int
	}{
		{program: "abort", code: exitFailed, stderr: "the disk is full", errors: 1},
		{program: "stop", code: exitOK, stderr: "worker: ended"},
	}
	for _, tt := range tests {
		t.Run(tt.program, func(t *testing.T) {
			t.Parallel()
			w := newWork(t)
			c := spawn(t, tt.program, w.env...)
			if code := c.end(t); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			said := c.said.String()
			if !strings.Contains(said, tt.stderr) || strings.Count(said, "level=ERROR") != tt.errors ||
				strings.Contains(said, "goroutine ") {
				t.Errorf("the program said\n%s\nwant %q, %d errors and no stack", said, tt.stderr, tt.errors)
			}
			if n := w.committed(t); n != 0 {
				t.Errorf("%d records are committed, and none was finished", n)
			}
		})
	}
}

func TestAProcessThatCannotBegin(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, program, stderr string }{
		{name: "nil App", program: "nil", stderr: "the App is nil"},
		{name: "no servers", program: "wait", stderr: "--kafka-servers"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := spawn(t, tt.program, "KAFKAESK_KAFKA_SERVERS=")
			if code := c.end(t); code != exitUsage || !strings.Contains(c.said.String(), tt.stderr) {
				t.Errorf("exit code %d\n%s", code, &c.said)
			}
		})
	}
}

// A worker that waits for a broker has nothing to drain.
func TestASignalEndsTheWaitForABroker(t *testing.T) {
	t.Parallel()
	c := spawn(t, "wait", "KAFKAESK_KAFKA_SERVERS=127.0.0.1:1")
	c.await(t, c.stderr, "worker: starting")
	c.signal(t, syscall.SIGTERM)
	if code := c.end(t); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &c.said)
	}
}

// What handlers log by slog has the form and the level of the worker's log, unless the program has a default logger
// of its own.
func TestHandlersLogAsTheWorkerDoes(t *testing.T) {
	t.Parallel()
	const ownLines = "level=INFO msg=handled own=true"
	tests := []struct {
		name, program string
		env           []string
		has, hasNot   []string
	}{
		{name: "by itself", program: "slog", has: []string{"level=INFO msg=handled\n",
			`msg="with its record" own=1 stream=work partition=`, `level=INFO msg="by package log"`},
			hasNot: []string{"details"}},
		{name: "json, in detail", program: "slog", env: []string{"KAFKAESK_LOG_FORMAT=json", "KAFKAESK_LOG_LEVEL=debug"},
			has: []string{`"level":"INFO","msg":"handled"}`, `"own":1,"stream":"work","partition":`,
				`"level":"DEBUG","msg":"details"}`}, hasNot: []string{"msg=handled"}},
		{name: "errors only", program: "slog", env: []string{"KAFKAESK_LOG_LEVEL=error"},
			hasNot: []string{"handled", "details", "by package log"}},
		{name: "its own default", program: "own default", has: []string{ownLines, "worker: ended"}},
		{name: "its own default stays with a flag", program: "own default", env: []string{"KAFKAESK_LOG_FORMAT=json"},
			has: []string{ownLines}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWork(t)
			c := spawn(t, tt.program, append(w.env, tt.env...)...)
			if code := c.end(t); code != exitOK {
				t.Errorf("exit code %d", code)
			}
			for _, text := range tt.has {
				if !strings.Contains(c.said.String(), text) {
					t.Errorf("want %q", text)
				}
			}
			for _, text := range tt.hasNot {
				if strings.Contains(c.said.String(), text) {
					t.Errorf("do not want %q", text)
				}
			}
			if t.Failed() {
				t.Log(&c.said)
			}
		})
	}
}
