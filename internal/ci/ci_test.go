package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCollect(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		events string
		want   []result
		tested int
		prints []string
	}{
		{
			name: "passed and skipped",
			events: `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- PASS: TestA (0.00s)\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:4: first a log\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:5: needs a moon: full\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"run","Package":"p","Test":"TestC"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"pass","Package":"p","Elapsed":1.5}
`,
			want: []result{
				{Package: "p", Test: "TestA", Status: passed},
				{Package: "p", Test: "TestB", Status: skipped, Reason: "needs a moon: full"},
				{Package: "p", Test: "TestC", Status: skipped, Reason: "no reason"},
			},
			tested: 1,
			prints: []string{"ok    p  1.5s  (1 passed, 0 failed, 2 skipped)"},
		},
		{
			name: "a failed test shows what it said",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:4: got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}
`,
			want:   []result{{Package: "p", Test: "TestA", Status: failed}},
			tested: 1,
			prints: []string{"--- FAIL p TestA", "got 1, want 2", "FAIL  p"},
		},
		{
			name: "a package that does not build",
			events: `{"ImportPath":"p","Action":"build-output","Output":"p.go:3: undefined: x\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p"}
`,
			want:   []result{{Package: "p", Status: failed}},
			tested: 1,
			prints: []string{"undefined: x", "build failed"},
		},
		{
			name: "goroutines that leak after tests that passed",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"found unexpected goroutines\n"}
{"Action":"fail","Package":"p"}
`,
			want:   []result{{Package: "p", Test: "TestA", Status: passed}, {Package: "p", Status: failed}},
			tested: 1,
			prints: []string{"unexpected goroutines"},
		},
		{
			name: "a test that was running at the time limit",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"p"}
`,
			want:   []result{{Package: "p", Test: "TestA", Status: failed}},
			tested: 1,
			prints: []string{"timed out"},
		},
		{
			name: "figures that a test tells",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"attr","Package":"p","Test":"TestA","Key":"figures","Value":"3 kills, lost 0"}
{"Action":"attr","Package":"p","Test":"TestA","Key":"other","Value":"not for us"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
`,
			want:   []result{{Package: "p", Test: "TestA", Status: passed}},
			tested: 1,
			prints: []string{"  figures: TestA: 3 kills, lost 0\n"},
		},
		{
			name:   "output that is cut off",
			events: `{"Action":"run","Package":"p","Test":"TestA"}` + "\n",
			want:   []result{{Package: "p", Test: "TestA", Status: failed}},
			tested: 1,
		},
		{
			name: "a package without tests, and words of the go command",
			events: `go: downloading x
{"Action":"output","Package":"p","Output":"?   \tp\t[no test files]\n"}
{"Action":"skip","Package":"p"}
`,
			prints: []string{"go: downloading x"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			got, tested, err := collect(strings.NewReader(tt.events), &out)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
			if tested != tt.tested {
				t.Errorf("%d packages, want %d", tested, tt.tested)
			}
			for _, want := range tt.prints {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not in the output:\n%s", want, out.String())
				}
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	pass := result{Package: "p", Test: "TestA", Status: passed}
	fail := result{Package: "p", Test: "TestA", Status: failed}
	skip := result{Package: "p", Test: "TestA", Status: skipped, Reason: "run with KAFKA=apache"}
	docker := result{Package: "p", Test: "TestA", Status: skipped, Reason: "no Docker daemon: refused"}
	tests := []struct {
		name   string
		suites [][]result
		checks string
		want   string // the last line
		fails  bool
	}{
		{name: "passed in both", suites: [][]result{{pass}, {pass}}, want: "1 passed, 0 failed, 0 skipped"},
		{name: "passed in one", suites: [][]result{{skip}, {pass}}, want: "1 passed, 0 failed, 0 skipped"},
		{name: "failed in one", suites: [][]result{{pass}, {fail}, {pass}}, want: "0 passed, 1 failed, 0 skipped",
			fails: true},
		{name: "skipped in both", suites: [][]result{{skip}, {skip}}, want: "0 passed, 1 failed, 0 skipped", fails: true},
		{name: "skipped for what is not here", suites: [][]result{{docker}, {docker}}, want: "0 passed, 0 failed, 1 skipped"},
		{name: "checks", suites: [][]result{{pass}}, checks: "ok gofmt\nok go vet\n", want: "3 passed, 0 failed, 0 skipped"},
		{name: "a check that failed", suites: [][]result{{pass}}, checks: "ok gofmt\nFAIL go vet\n",
			want: "2 passed, 1 failed, 0 skipped", fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			args := []string{"verdict"}
			if tt.checks != "" {
				args = append(args, "-checks", filepath.Join(dir, "checks"))
				write(t, filepath.Join(dir, "checks"), []byte(tt.checks))
			}
			for i, s := range tt.suites {
				data, err := json.Marshal(results{Suite: "s", Packages: 1, Tests: s})
				if err != nil {
					t.Fatal(err)
				}
				file := filepath.Join(dir, string(rune('a'+i))+".json")
				write(t, file, data)
				args = append(args, file)
			}
			var out, stderr strings.Builder
			code := run(t.Context(), args, &out, &stderr)
			if (code != 0) != tt.fails {
				t.Errorf("exit code %d, want failure: %v; %s", code, tt.fails, stderr.String())
			}
			if !strings.HasSuffix(out.String(), "\n"+tt.want+"\n") {
				t.Errorf("the output does not end in %q:\n%s", tt.want, out.String())
			}
		})
	}
}

func TestASuiteThatDidNotRunFails(t *testing.T) {
	t.Parallel()
	var out, stderr strings.Builder
	if code := run(t.Context(), []string{"verdict", filepath.Join(t.TempDir(), "missing.json")}, &out,
		&stderr); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if !strings.Contains(out.String(), "no results") || !strings.HasSuffix(out.String(), "\n0 passed, 1 failed, 0 "+
		"skipped\n") {
		t.Errorf("the output does not say what is missing:\n%s", out.String())
	}
}

// The real go command, on a module of two tests.
func TestSuite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), []byte("module example.org/m\n\ngo 1.26\n"))
	write(t, filepath.Join(dir, "m_test.go"), []byte(`package m

import (
	"os"
	"testing"
)

func TestKafkaIsTheSuites(t *testing.T) {
	if got := os.Getenv("KAFKA"); got != "host:1" {
		t.Errorf("KAFKA=%q", got)
	}
}

func TestSkips(t *testing.T) { t.Skip("for a reason") }
`))
	out := filepath.Join(t.TempDir(), "out.json")
	var stdout, stderr strings.Builder
	if code := run(t.Context(), []string{"suite", "-name", "s", "-kafka", "host:1", "-dir", dir, "-out", out, "--",
		"./..."}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
	want := `suite "s": 1 packages, 1 tests passed, 0 failed, 1 skipped
  skipped: example.org/m TestSkips: for a reason
`
	if !strings.HasSuffix(stdout.String(), want) {
		t.Errorf("output:\n%s\nwant at its end:\n%s", stdout.String(), want)
	}
	if code := run(t.Context(), []string{"verdict", out}, &stdout, &stderr); code != 1 {
		t.Errorf("the verdict's exit code is %d, want 1 for a test that no suite ran", code)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"dance"}, {"suite", "-nonsense"}} {
		var out, stderr strings.Builder
		if code := run(t.Context(), args, &out, &stderr); code != 2 || stderr.Len() == 0 {
			t.Errorf("%q: exit code %d, stderr %q; want 2 and a word", args, code, stderr.String())
		}
	}
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
