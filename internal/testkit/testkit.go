// Package testkit is what the tests of all packages share: waiting for a state, logs that only a failing test prints,
// the end of a test binary, and a test binary that is the program under test. It knows no Kafka; package kafkatest
// does.
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
	// patience is the longest wait for a state. It is far more than any state takes, also on a busy machine.
	patience = time.Minute
	// reserve is what the wait leaves of the test binary's own time, so that the failure is reported before the binary
	// is ended.
	reserve = 5 * time.Second
	// pollInterval is the pause between two looks at a state.
	pollInterval = 2 * time.Millisecond
)

// Eventually polls until holds returns true. It fails the test with what state returns, which says what was seen
// instead, after a minute or shortly before the deadline of the test binary. Like every Fatal it must be called from
// the test's goroutine.
func Eventually(t testing.TB, holds func() bool, state func() string) {
	t.Helper()
	begin := time.Now()
	end := begin.Add(patience)
	if d, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if last, ok := d.Deadline(); ok && last.Add(-reserve).Before(end) {
			end = last.Add(-reserve)
		}
	}
	for !holds() {
		if !time.Now().Before(end) {
			t.Fatalf("waited %s in vain: %s", time.Since(begin).Round(time.Millisecond), state())
		}
		time.Sleep(pollInterval)
	}
}

// Until is Eventually for a state that has a name and nothing else to show.
func Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	Eventually(t, holds, func() string { return what })
}

// AllocatedBytes returns how many bytes f allocates: the fewest of three calls, as the allocations of all goroutines
// are counted. Pools are emptied before each call. A test that calls it must not run in parallel with others.
func AllocatedBytes(f func()) uint64 {
	fewest := uint64(math.MaxUint64)
	for range 3 {
		runtime.GC()
		runtime.GC() // a pool keeps its contents for one cycle
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		fewest = min(fewest, after.TotalAlloc-before.TotalAlloc)
	}
	return fewest
}

// logBytes is how much of a log is kept: its end.
const logBytes = 1 << 20

// tail keeps the end of what is written to it.
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

// Logger returns a logger whose lines, of all levels, are printed when the test has failed, and by no test that passes.
func Logger(t testing.TB) *slog.Logger {
	log := new(tail)
	t.Cleanup(func() {
		if text := log.String(); t.Failed() && text != "" {
			t.Logf("the log:\n%s", text)
		}
	})
	return slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Main runs a package's tests and ends the process. The binary fails if a test does, if one of the end functions
// does, which are called after the last test, or if a goroutine is left then.
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

// programVariable makes a test binary the program under test.
const programVariable = "KAFKAESK_TEST_PROGRAM_MAIN"

// Program makes the test binary the program under test, where [Command] has started it: it calls main and ends the
// process. TestMain calls it first.
func Program(main func()) {
	if os.Getenv(programVariable) != "" {
		main()
		os.Exit(0)
	}
}

// Command returns the program under test as a process that is yet to be started. Its TestMain must call [Program].
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

// Output runs the program under test, with more variables in its environment, and returns what it prints. The test
// fails if the program does.
func Output(t testing.TB, env ...string) (stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
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
