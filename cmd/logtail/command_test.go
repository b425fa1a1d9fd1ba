package main

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A shell is told the streams that there are, and the values that flags take.
func TestCompletion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("logs.a", "x", time.Now())
	b.publish("logs.b", "x", time.Now())
	b.publish("other", "x", time.Now())
	for _, test := range []struct{ args, want string }{
		{"lo", "logs.a\nlogs.b\n"}, {"-x o", "other\n"}, {"-b 127.0.0.1:99999 lo", ""},
		{"--level ", "debug\ninfo\nwarning\nerror\ncritical\n"}, {"--color ", "auto\nalways\nnever\n"},
	} {
		stdout, _, code := b.run(append([]string{"__complete"}, strings.Split(test.args, " ")...)...)
		got, _, _ := strings.Cut(stdout, ":4\n") // no names of files
		if code != exitOK || got != test.want {
			t.Errorf("%s: code %d, got %q", test.args, code, stdout)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if stdout, _, code := b.run("completion", shell); code != exitOK || !strings.Contains(stdout, "__complete") {
			t.Errorf("%s: code %d, got %q", shell, code, stdout)
		}
	}
	if _, stderr, code := b.run("completion", "csh"); code != exitUsage {
		t.Errorf("csh: code %d, %s", code, stderr)
	}
}

func TestPagesAndVersion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stdout, stderr, code := b.run("--version")
	if code != exitOK || stderr != "" || !strings.HasPrefix(stdout, "logtail ") {
		t.Errorf("code %d, %q", code, stdout)
	}
	if stdout, stderr, code = b.run("--help"); code != exitOK || stderr != "" || stdout != newOptions(streams{}).help() {
		t.Errorf("code %d, %q", code, stdout)
	}
	if stdout, _, code = b.run("man"); code != exitOK || !strings.HasPrefix(stdout, ".TH LOGTAIL 1\n") {
		t.Errorf("code %d, %q", code, stdout)
	}
	mandoc, err := exec.LookPath("groff")
	if err != nil {
		return // the page is what TestReferencePages has; here it is tried where there is a groff
	}
	cmd := exec.CommandContext(t.Context(), mandoc, "-man", "-ww", "-z")
	cmd.Stdin = strings.NewReader(stdout)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v: %s", err, out)
	}
}
