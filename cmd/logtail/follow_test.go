package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestNoBrokerAtTheStart(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	var stdout, stderr bytes.Buffer
	o := newOptions(streams{&stdout, &stderr, func(string) string { return "" }})
	o.reach = 300 * time.Millisecond
	if code := o.main(t.Context(), []string{"-b", address, "logs.*"}); code != exitUnreachable {
		t.Errorf("exit code %d, want %d", code, exitUnreachable)
	}
	if !strings.Contains(stderr.String(), "no broker could be reached within 300ms") ||
		!strings.Contains(stderr.String(), address) {
		t.Errorf("stderr %q does not say what and where", stderr.String())
	}
	if stdout.Len() > 0 {
		t.Errorf("stdout %q", stdout.String())
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("logs.old", logValue("before", "INFO", 20), time.Now())
	f := b.follow("logs.*")
	if got := f.next(); got != "before" {
		t.Fatalf("got %q", got)
	}
	for _, stream := range []string{"logs.old", "logs.new"} {
		b.publish(stream, logValue(stream, "INFO", 20), time.Now())
		if got := f.next(); got != stream {
			t.Fatalf("got %q, want %q", got, stream)
		}
	}
	if code := f.interrupt(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if s := f.stderr.String(); s != "logtail: logs.new: new topic (partitions 7)\n" {
		t.Errorf("stderr %q", s)
	}
}

func TestPatternThatMatchesNothingWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("other", logValue("other", "INFO", 20), time.Now())
	f := b.follow("logs.*")
	testkit.Eventually(t, func() bool {
		return strings.HasPrefix(f.stderr.String(), "logtail: no stream matches \"logs.*\"; waiting for one")
	}, f.stderr.String)
	b.publish("logs.late", logValue("late", "INFO", 20), time.Now())
	if got := f.next(); got != "late" {
		t.Errorf("got %q", got)
	}
	if code := f.interrupt(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestBrokerThatIsLostIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := setup(t, kafkatest.Own())
	b.publish("logs.a", logValue("before", "INFO", 20), time.Now())
	f := b.follow("logs.*")
	if got := f.next(); got != "before" {
		t.Fatalf("got %q", got)
	}
	b.cluster.Kill(0)
	testkit.Eventually(t, func() bool { return strings.Contains(f.stderr.String(), "does not answer") }, f.stderr.String)
	b.cluster.Restart(0)
	b.publish("logs.a", logValue("after", "INFO", 20), time.Now())
	if got := f.next(); got != "after" {
		t.Errorf("got %q", got)
	}
	// One line says that the broker is away, and one that it is back.
	if lines := strings.Split(strings.TrimSpace(f.stderr.String()), "\n"); len(lines) != 2 ||
		!strings.Contains(lines[1], "answers again") {
		t.Errorf("standard error: %q", lines)
	}
	if code := f.interrupt(); code != exitOK {
		t.Errorf("exit code %d; stderr: %s", code, f.stderr.String())
	}
}

func TestInterruptedBeforeTheEndIsAnError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr bytes.Buffer
	if code := Run(ctx, []string{"--no-follow", "*"}, streams{io.Discard, &stderr, b.env}); code != exitFailed {
		t.Errorf("exit code %d; %s", code, stderr.String())
	}
}

// An interrupt before a broker has answered is the end of a follow like any other.
func TestInterruptBeforeABrokerAnswers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // it accepts nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, test := range []struct {
		args []string
		want int
	}{{[]string{"logs.*"}, exitOK}, {[]string{"--no-follow", "logs.*"}, exitFailed}} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		var stderr bytes.Buffer
		code := Run(ctx, append(test.args, "-b", l.Addr().String()), streams{io.Discard, &stderr, func(string) string {
			return ""
		}})
		if code != test.want || test.want == exitOK && stderr.Len() > 0 {
			t.Errorf("%q: exit code %d, want %d; %s", test.args, code, test.want, stderr.String())
		}
	}
}
