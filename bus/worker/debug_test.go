//go:build unix

package worker

import (
	"io"
	"strings"
	"syscall"
	"testing"
)

// SIGUSR1 switches the log to debug, and back.
func TestSIGUSR1SwitchesToDebug(t *testing.T) {
	t.Parallel()
	w := newWork(t)
	c := spawn(t, "debug", w.env...)
	c.await(t, c.stdout, "begun")
	say := func() {
		if _, err := io.WriteString(c.stdin, "go on\n"); err != nil {
			t.Fatal(err)
		}
	}
	say()
	c.await(t, c.stderr, "handled 1")
	c.signal(t, syscall.SIGUSR1)
	c.await(t, c.stderr, "SIGUSR1 has changed the level of the log")
	say()
	c.await(t, c.stderr, "details 2")
	c.await(t, c.stderr, "handled 2")
	c.signal(t, syscall.SIGUSR1)
	c.await(t, c.stderr, "SIGUSR1 has changed the level of the log")
	say()
	c.await(t, c.stderr, "handled 3")
	if code := c.end(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if said := c.said.String(); strings.Contains(said, "details 1") || strings.Contains(said, "details 3") {
		t.Errorf("the program said\n%s", said)
	}
}
