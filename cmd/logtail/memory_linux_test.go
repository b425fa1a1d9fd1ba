//go:build linux && !race

// The race detector takes memory of its own.

package main

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A record of 30 million headers, in a batch of 6.5 kB, is passed over: logtail stays small, and prints what is behind
// it.
func TestThirtyMillionHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("logs.a", "first", time.Now()) // makes the topic
	b.cluster.PutManyHeaders(t, b.prefix+"logs.a", 30_000_000)
	for _, output := range []string{"json", "pretty"} {
		cmd := b.command("--no-follow", "--from=start", "--headers", "-o", output, "logs.*")
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != exitFailed {
			t.Errorf("%s: %v: a record that was passed over is told by the exit code", output, err)
		}
		if lines := strings.Count(stdout.String(), "\n"); lines != 2 || !strings.Contains(stdout.String(), "behind") {
			t.Errorf("%s: %q", output, &stdout)
		}
		if n := strings.Count(stderr.String(), "takes more than"); n != 1 {
			t.Errorf("%s: %d lines of the record that was passed over: %s", output, n, &stderr)
		}
		usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			t.Fatal("the system tells no memory")
		}
		t.Attr("resident-"+output, fmt.Sprintf("%d MB", usage.Maxrss>>10))
		if resident := usage.Maxrss << 10; resident > 150_000_000 {
			t.Errorf("%s: %d bytes resident", output, resident)
		}
	}
}
