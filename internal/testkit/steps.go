package testkit

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sizeVariable tells a test binary that counts steps which size of input it is to work on.
const sizeVariable = "KAFKAESK_TEST_SIZE"

// StepsAreLinear fails the test when work takes more than twice the steps for twice the input, or more than perByte
// steps for each byte of it. Work makes the input of size n, works on it, and returns how many bytes it was.
//
// A step is one execution of a block of code in one of the packages, a pattern as "go test -coverpkg" takes it. The
// counters are those of Go's coverage: the test is built once more with them and runs in processes of its own, for n,
// 2n and 4n, so that the code that is tested has no counters itself. What a process does whatever the input is cancels
// out. Each block is compared on its own: one that is executed for each pair of bytes shows, however small its part of
// the whole is. Copies and comparisons of memory are single steps.
func StepsAreLinear(t *testing.T, n, perByte int, work func(n int) (bytes int), packages ...string) {
	t.Helper()
	if size, err := strconv.Atoi(os.Getenv(sizeVariable)); err == nil {
		work(size)
		return
	}
	binary := filepath.Join(t.TempDir(), "counting.test")
	build := []string{"test", "-c", "-o", binary, "-covermode=atomic", "-coverpkg=" + strings.Join(packages, ",")}
	if slices.Contains(packages, "math/big") {
		build = append(build, "-tags=math_big_pure_go") // blocks in assembly are not counted
	}
	if out, err := exec.CommandContext(t.Context(), "go", append(build, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(build, " "), err, out)
	}
	once, twice, fourfold := countSteps(t, binary, n), countSteps(t, binary, 2*n), countSteps(t, binary, 4*n)
	total := 0
	for block, steps := range fourfold {
		more, fewer := steps-twice[block], twice[block]-once[block]
		total += more
		if more > 2*fewer+fewer/2+n {
			t.Errorf("%s is executed %d times for n, %d for 2n, %d for 4n", block, once[block], twice[block], steps)
		}
	}
	if size := work(4*n) - work(2*n); total > perByte*size {
		t.Errorf("%d steps are taken for %d bytes, at most %d for each are expected", total, size, perByte)
	}
	if total == 0 {
		t.Error("no steps are counted")
	}
}

// countSteps runs the test in a binary that counts, and returns how often each block was executed.
func countSteps(t *testing.T, binary string, n int) map[string]int {
	t.Helper()
	profile := filepath.Join(t.TempDir(), "profile")
	name := "^" + strings.ReplaceAll(regexp.QuoteMeta(t.Name()), "/", "$/^") + "$"
	args := []string{"-test.run=" + name, "-test.coverprofile=" + profile}
	if end, ok := t.Deadline(); ok { // it must not outlive this process
		args = append(args, fmt.Sprint("-test.timeout=", max(time.Second, time.Until(end.Add(-reserve)))))
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), fmt.Sprint(sizeVariable, "=", n))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the test with its steps counted, size %d: %v\n%s", n, err, out)
	}
	text, err := os.ReadFile(profile)
	if err != nil {
		t.Fatal(err)
	}
	steps := make(map[string]int)
	for line := range bytes.Lines(text) { // file:from,to statements count
		if fields := strings.Fields(string(line)); len(fields) == 3 {
			count, err := strconv.Atoi(fields[2])
			if err != nil {
				t.Fatalf("a line of the coverage profile: %q: %v", line, err)
			}
			steps[fields[0]] += count
		}
	}
	return steps
}
