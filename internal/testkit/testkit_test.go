package testkit_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.Program(func() { fmt.Print("out " + os.Getenv("TESTKIT_WORD")); fmt.Fprint(os.Stderr, "err") })
	testkit.Main(m)
}

// recorder is a test that fails without failing this one.
type recorder struct {
	testing.TB
	deadline time.Time
	failed   bool
	text     strings.Builder
	cleanups []func()
}

func (r *recorder) Deadline() (time.Time, bool)     { return r.deadline, !r.deadline.IsZero() }
func (r *recorder) Helper()                         {}
func (r *recorder) Cleanup(f func())                { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool                    { return r.failed }
func (r *recorder) Logf(format string, args ...any) { fmt.Fprintf(&r.text, format, args...) }
func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = true
	r.Logf(format, args...)
	runtime.Goexit()
}

func TestEventually(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		holdsAfter int           // looks
		left       time.Duration // until the deadline of the binary; 0 = it has none
		text       string        // of the failure; "" = there is none
	}{
		{name: "at once", holdsAfter: 1},
		{name: "at the third look", holdsAfter: 3},
		{name: "never", text: "timed out after 1m0s: three of four"},
		{name: "never, and the binary ends soon", left: 15 * time.Second, text: "timed out after 10s: three of four"},
		{name: "never, and the binary ends at once", left: time.Second, text: "timed out after 0s: three of four"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				r := &recorder{TB: t}
				if tt.left > 0 {
					r.deadline = begin.Add(tt.left)
				}
				looks := 0
				var ended sync.WaitGroup
				ended.Go(func() { // Fatalf ends its goroutine
					testkit.Eventually(r, func() bool { looks++; return looks == tt.holdsAfter },
						func() string { return "three of four" })
				})
				ended.Wait()
				if r.text.String() != tt.text || r.failed != (tt.text != "") {
					t.Errorf("failed %v: %q, want %q", r.failed, &r.text, tt.text)
				}
			})
		})
	}
}

func TestLoggerPrintsWhereATestHasFailed(t *testing.T) {
	t.Parallel()
	for _, failed := range []bool{false, true} {
		r := &recorder{TB: t, failed: failed}
		log := testkit.Logger(r)
		log.Debug("first")
		for range 40_000 { // 3 MB
			log.Info("a line in the middle", "padding", "................................")
		}
		log.Warn("last")
		for _, f := range r.cleanups {
			f()
		}
		text := r.text.String()
		if !failed && text != "" || failed && (!strings.Contains(text, "last") || strings.Contains(text, "first") ||
			len(text) > 1<<20+100) {
			t.Errorf("failed %v: %d bytes are printed: %.200s", failed, len(text), text)
		}
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	if out, errs := testkit.Output(t, "TESTKIT_WORD=word"); out != "out word" || errs != "err" {
		t.Errorf("%q, %q", out, errs)
	}
}
