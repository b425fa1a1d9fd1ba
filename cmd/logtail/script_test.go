package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kafkaesk/kafkaesk/cmd/internal/cmdtest"
)

// TestScripts runs the scripts of testdata/scripts, each on streams of its own. Beside testscript's commands they have:
//
//	publish STREAM FILE [key=K] [header=NAME=VALUE] [time=RFC3339]   each line of FILE is a record
//	logtail ARGUMENTS                                                in the process, --no-follow
//	code N                                                           the exit code of the last logtail
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "scripts"),
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			b := setup(env.T().(testing.TB))
			cmdtest.SetKafka(env, b.cluster.Servers(), b.prefix)
			env.Values["bench"] = b
			env.Values["code"] = new(int)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"publish": publishLines, "logtail": runLogtail,
			"code": func(ts *testscript.TestScript, _ bool, args []string) {
				cmdtest.CheckCode(ts, *ts.Value("code").(*int), args)
			},
		},
	})
}

func publishLines(ts *testscript.TestScript, _ bool, args []string) {
	b := ts.Value("bench").(*bench)
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	cmdtest.Publish(ctx, ts, b.app, args)
}

func runLogtail(ts *testscript.TestScript, neg bool, args []string) {
	b := ts.Value("bench").(*bench)
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	o := newOptions(streams{&out, &errs, ts.Getenv})
	o.zone = time.UTC
	code := o.main(ctx, args)
	*ts.Value("code").(*int) = code
	// Where the records are, and when, is another in each run.
	stdout := strings.ReplaceAll(out.String(), b.prefix, "")
	fmt.Fprint(ts.Stdout(), stdout)
	fmt.Fprint(ts.Stderr(), strings.ReplaceAll(errs.String(), b.prefix, ""))
	if neg != (code != exitOK) {
		ts.Fatalf("exit code %d", code)
	}
}

// TestReferencePages holds the documentation to what --help says, and the help to 100 columns.
func TestReferencePages(t *testing.T) {
	t.Parallel()
	for file, page := range map[string]string{
		"logtail.md": reference(newOptions(streams{})), "logtail.1": manual(newOptions(streams{})),
	} {
		path := filepath.Join("..", "..", "docs", file)
		if *update {
			if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != page {
			t.Errorf("docs/%s is not what the program says (%v): run go test ./cmd/logtail -run TestReferencePages -update",
				file, err)
		}
	}
	for line := range strings.Lines(newOptions(streams{}).help() + newOptions(streams{}).serveHelp()) {
		if len(strings.TrimSuffix(line, "\n")) > helpWidth {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
}
