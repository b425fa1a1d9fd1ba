//go:build unix

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// command is logtail as a process of its own, which is killed if the test leaves it behind.
func (b *bench) command(args ...string) *exec.Cmd {
	b.t.Helper()
	cmd := testkit.Command(b.t.Context(), b.t, args...)
	cmd.Env = append(cmd.Env, "TZ=UTC", "TERM=xterm", "NO_COLOR=",
		"KAFKAESK_KAFKA_SERVERS="+b.env("KAFKAESK_KAFKA_SERVERS"), "KAFKAESK_TOPIC_PREFIX="+b.env("KAFKAESK_TOPIC_PREFIX"))
	return cmd
}

func TestSignalsEndAFollow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("logs.a", logValue("there", "INFO", 20), time.Now())
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			cmd := b.command("logs.*")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
				t.Errorf("%v; stderr %q", err, stderr.String())
			}
		})
	}
}

// fill publishes more than a pipe holds.
func (b *bench) fill(stream string) {
	b.t.Helper()
	batch := make([]bus.Outgoing, 2000)
	for i := range batch {
		batch[i].Value = []byte(logValue(fmt.Sprint(i, strings.Repeat(" filler", 20)), "INFO", 20))
	}
	if err := b.app.PublishBatch(b.t.Context(), stream, batch); err != nil {
		b.t.Fatal(err)
	}
}

// A reader that does not read keeps logtail from writing, and not from ending by the first signal.
func TestASignalEndsAStuckWrite(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fill("logs.a")
	cmd := b.command("--from=start", "logs.*")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil { // closes our end of the pipe only after the process has ended
		t.Errorf("ended with %v", err)
	}
}

// A reader that goes away ends logtail at once, although nothing comes that could be written.
func TestReaderThatGoesAwayFromAQuietStream(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("logs.a", logValue("one", "INFO", 20), time.Now())
	cmd := b.command("logs.*")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	_ = stdout.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestReaderThatGoesAwayEndsItQuietly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fill("logs.a")
	for _, args := range [][]string{{"--from=start", "logs.*"}, {"--from=start", "--no-follow", "logs.*"}} {
		cmd := b.command(args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		_ = stdout.Close()
		err = cmd.Wait()
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); err != nil &&
			(!status.Signaled() || status.Signal() != syscall.SIGPIPE) {
			t.Errorf("ended with %v", err)
		}
		if stderr.Len() > 0 {
			t.Errorf("stderr %q", stderr.String())
		}
	}
}

// TestExitCodes takes the ten seconds that logtail waits for a broker at the start.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("logs.a", "x", time.Now())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	tests := []struct {
		name string
		args []string
		want int
	}{
		{"the end", []string{"--no-follow", "logs.*"}, exitOK},
		{"usage", []string{"--what"}, exitUsage},
		{"unreachable", []string{"-b", l.Addr().String(), "logs.*"}, exitUnreachable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cmd := b.command(test.args...)
			out, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != test.want {
				t.Errorf("got %d, want %d: %s", got, test.want, out)
			}
		})
	}
}
