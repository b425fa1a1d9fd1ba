// Package testkit contains what the tests of all packages share: waiting for a state, logs that only a failing test
// prints, the end of a test binary, listeners, requests, and running the test binary as the program under test. It
// does not use Kafka; package kafkatest does.
package testkit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	// waitTimeout is the longest wait for a state. It is longer than any state takes on a busy machine.
	waitTimeout = time.Minute
	// reserve is the part of the test binary's own timeout that a wait leaves, so that the wait fails first and is
	// reported.
	reserve = 5 * time.Second
	// pollInterval is the pause between two polls of a state.
	pollInterval = 2 * time.Millisecond
)

// Eventually polls until holds returns true. It fails the test after a minute, or shortly before the deadline of the
// test binary, with the text of state, which describes the state instead. Like Fatal it must be called from the
// test's goroutine.
func Eventually(t testing.TB, holds func() bool, state func() string) {
	t.Helper()
	start := time.Now()
	end := start.Add(waitTimeout)
	if d, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if last, ok := d.Deadline(); ok && last.Add(-reserve).Before(end) {
			end = last.Add(-reserve)
		}
	}
	for !holds() {
		if !time.Now().Before(end) {
			t.Fatalf("timed out after %s: %s", time.Since(start).Round(time.Millisecond), state())
		}
		time.Sleep(pollInterval)
	}
}

// Until is Eventually for a state that its name describes.
func Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	Eventually(t, holds, func() string { return what })
}

// AllocatedBytes returns how many bytes f allocates: the minimum of three calls, because the allocations of all
// goroutines are counted. Pools are emptied before each call. A test that calls it must not run in parallel with
// others.
func AllocatedBytes(f func()) uint64 {
	fewest := uint64(math.MaxUint64)
	for range 3 {
		runtime.GC()
		runtime.GC() // a pool keeps its contents for one GC cycle
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		fewest = min(fewest, after.TotalAlloc-before.TotalAlloc)
	}
	return fewest
}

// logBytes bounds the kept end of a log.
const logBytes = 1 << 20

// tail is a writer that keeps the end of its input.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b = append(l.b, p...); len(l.b) > 2*logBytes {
		l.b = append(l.b[:0], l.b[len(l.b)-logBytes:]...)
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b[max(0, len(l.b)-logBytes):])
}

// Logger returns a logger whose lines, of all levels, are printed only if the test fails.
func Logger(t testing.TB) *slog.Logger {
	log := new(tail)
	t.Cleanup(func() {
		if text := log.String(); t.Failed() && text != "" {
			t.Logf("the log:\n%s", text)
		}
	})
	return slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Main runs a package's tests and exits. The binary fails if a test fails, if one of the end functions, which run
// after the last test, returns an error, or if a goroutine still runs then.
func Main(m *testing.M, end ...func() error) {
	code := m.Run()
	fail := func(what string, err error) {
		if err != nil {
			fmt.Fprintf(os.Stderr, "testkit: %s: %v\n", what, err)
			code = max(code, 1)
		}
	}
	for _, f := range end {
		fail("ending the tests", f())
	}
	if code == 0 {
		fail("goroutines are left behind", goleak.Find())
	}
	os.Exit(code)
}

// programVariable makes a test binary run the program under test.
const programVariable = "KAFKAESK_TEST_PROGRAM_MAIN"

// Program runs main and exits if [Command] has started the process. TestMain calls it first.
func Program(main func()) {
	if os.Getenv(programVariable) != "" {
		main()
		os.Exit(0)
	}
}

// Command returns the program under test as a command that is not started. Its TestMain must call [Program].
func Command(ctx context.Context, t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), programVariable+"=1")
	return cmd
}

// Output runs the program under test, with further variables in its environment, and returns its output. The test
// fails if the program fails.
func Output(t testing.TB, env ...string) (stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	cmd := Command(ctx, t)
	cmd.Env = append(cmd.Env, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	return out.String(), errs.String()
}
