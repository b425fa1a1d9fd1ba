package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
)

// TestMain builds the program, once, for the tests that run it as a process.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "kafkaesk-cmd-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	build := exec.Command("go", "build", "-o", program(dir), ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building kafkaesk:", err)
		os.Exit(1)
	}
	if err := os.Setenv(programEnv, program(dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	kafkatest.Main(m, func() error { return os.RemoveAll(dir) })
}

// programEnv tells the tests where TestMain has put the program.
const programEnv = "KAFKAESK_TEST_PROGRAM"

func program(dir string) string { return filepath.Join(dir, "kafkaesk.exe") }

// process is a running `kafkaesk broker`.
type process struct {
	cmd    *exec.Cmd
	addr   string
	stderr *strings.Builder
	read   chan struct{} // closed when stderr has ended
}

var brokerLine = regexp.MustCompile(`development broker on (\S+), data in (.*)`)

// startBroker runs `kafkaesk broker` and returns when it has said where it is.
func startBroker(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{
		cmd: exec.CommandContext(t.Context(), os.Getenv(programEnv), append([]string{"broker", "--addr", "127.0.0.1:0"},
			args...)...),
		stderr: new(strings.Builder),
		read:   make(chan struct{}),
	}
	pipe, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(pipe)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("the broker said %q and ended: %v", line, p.cmd.Wait())
	}
	p.stderr.WriteString(line)
	go func() {
		defer close(p.read)
		_, _ = io.Copy(p.stderr, lines)
	}()
	match := brokerLine.FindStringSubmatch(line)
	if match == nil {
		t.Fatalf("the broker's first line %q says no address", line)
	}
	p.addr = match[1]
	return p
}

// end sends a signal and fails unless the process ends with exit code 0.
func (p *process) end(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	<-p.read
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("after %v: %v\n%s", signal, err, p.stderr)
	}
}

func (p *process) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(p.addr), kgo.AllowAutoTopicCreation())...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBrokerKeepsItsDataBetweenRuns(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	want := 0
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt, syscall.SIGTERM} {
		p := startBroker(t, "--data-dir", dir)
		producer := p.client(t)
		for range 100 {
			want++
			r := &kgo.Record{Topic: "kept", Value: fmt.Append(nil, want)}
			if err := producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		producer.Close()
		consumer := p.client(t, kgo.ConsumeTopics("kept"))
		seen := make(map[string]bool)
		for len(seen) < want {
			fetches := consumer.PollFetches(t.Context())
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Value)] = true })
		}
		consumer.Close()
		p.end(t, signal)
		for _, hint := range []string{"logtail -b " + p.addr, `Servers: []string{"` + p.addr, dir} {
			if !strings.Contains(p.stderr.String(), hint) {
				t.Errorf("%q is not in what the broker said:\n%s", hint, p.stderr)
			}
		}
	}
}

func TestEphemeralBrokerLeavesNothing(t *testing.T) {
	t.Parallel()
	temp, home := t.TempDir(), t.TempDir()
	t.Run("run", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), os.Getenv(programEnv), "broker", "--addr", "127.0.0.1:0", "--ephemeral")
		cmd.Env = append(os.Environ(), "TMPDIR="+temp, "HOME="+home, "XDG_DATA_HOME="+home)
		pipe, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(pipe).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, pipe)
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	})
	for _, dir := range []string{temp, home} {
		left, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(left) > 0 {
			t.Errorf("%v is left in %s", left, dir)
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string // part of it
		stderr string
	}{
		{name: "no arguments is help", stdout: "Available Commands"},
		{name: "help", args: []string{"broker", "--help"}, stdout: "--data-dir"},
		{name: "version", args: []string{"version"}, stdout: "kafkaesk "},
		{name: "unknown command", args: []string{"brker"}, code: 2, stderr: `unknown command "brker": is it broker?`},
		{name: "no command", args: []string{"orders"}, code: 2, stderr: "a directory with an app begins with ./\nTry " +
			"'kafkaesk --help'."},
		{name: "arguments of a command", args: []string{"dead", "show"}, code: 2, stderr: "Try 'kafkaesk dead show --help'."},
		{name: "arguments are named", args: []string{"dead", "replay", "orders"}, code: 2,
			stderr: "1 instead of 2 arguments: want kafkaesk dead replay STREAM GROUP [flags]\n"},
		{name: "a monitor without a port", args: []string{"demo", "--listen", "9100"}, code: 2,
			stderr: "--listen: want [host]:port"},
		{name: "logs without a port", args: []string{"demo", "--logs-listen", "9100"}, code: 2,
			stderr: "--logs-listen: want [host]:port"},
		{name: "unknown flag", args: []string{"broker", "--nonsense"}, code: 2, stderr: "--nonsense"},
		{name: "argument too many", args: []string{"version", "extra"}, code: 2, stderr: "extra"},
		{name: "flags that exclude each other", args: []string{"broker", "--ephemeral", "--data-dir", "x"}, code: 2,
			stderr: "one of them"},
		{name: "no partitions", args: []string{"broker", "--ephemeral", "--partitions", "0"}, code: 2,
			stderr: "at least one"},
		{name: "remote address", args: []string{"broker", "--ephemeral", "--addr", "192.0.2.1:9092"}, code: 1,
			stderr: "not on loopback"},
		{name: "data directory that is a file", args: []string{"broker", "--addr", "127.0.0.1:0", "--data-dir", "run.go"},
			code: 1, stderr: "data directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr strings.Builder
			code := Run(t.Context(), tt.args, Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr})
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(stdout.String(), tt.stdout) || (tt.stdout == "") != (stdout.Len() == 0) {
				t.Errorf("stdout %q, want %q in it", stdout.String(), tt.stdout)
			}
			if !strings.Contains(stderr.String(), tt.stderr) || (tt.stderr == "") != (stderr.Len() == 0) {
				t.Errorf("stderr %q, want %q in it", stderr.String(), tt.stderr)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, arg := range []string{"version", "--version"} {
		var out strings.Builder
		if code := Run(t.Context(), []string{arg}, Streams{Out: &out, Err: &out}); code != 0 ||
			!strings.HasPrefix(out.String(), "kafkaesk (") {
			t.Errorf("%s: exit code %d, %s", arg, code, out.String())
		}
	}
}

// Not parallel: it sets the environment.
func TestUserDataDir(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	if got, err := userDataDir(); got != dir || err != nil {
		t.Errorf("with XDG_DATA_HOME: %q, %v; want %q", got, err, dir)
	}
	t.Setenv("XDG_DATA_HOME", "relative") // the specification has it ignored
	t.Setenv("HOME", dir)
	o := brokerOptions{partitions: 1}
	if err := o.complete(); err != nil || !strings.HasPrefix(o.dataDir, dir) || filepath.Base(o.dataDir) != "broker" {
		t.Errorf("with HOME: %q, %v; want a directory under %q", o.dataDir, err, dir)
	}
}

// The broker must answer the end of its context quickly, whatever clients are doing.
func TestBrokerEndsWhileClientsAreConnected(t *testing.T) {
	t.Parallel()
	p := startBroker(t, "--ephemeral")
	c := p.client(t, kgo.ConsumeTopics("nothing"), kgo.ConsumerGroup("g"))
	defer c.Close()
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	p.end(t, syscall.SIGTERM)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the broker took %v to end", took)
	}
}
