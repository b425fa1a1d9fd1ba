package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// openTerminal returns the two ends of a new terminal: ours, and that of the program in it.
func openTerminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this machine has no terminals to give: %v", err)
	}
	t.Cleanup(func() { _ = ours.Close() })
	if err := unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() })
	return ours, theirs
}

// onTerminal runs logtail in a terminal until want has come out, and returns all that has.
func (b *bench) onTerminal(t *testing.T, want string, args ...string) string {
	t.Helper()
	ours, theirs := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(ours.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100}); err != nil {
		t.Fatal(err)
	}
	cmd := b.command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	_ = theirs.Close() // so that reading ends with the process
	var shown strings.Builder
	interrupted := false
	buf := make([]byte, 4096)
	for {
		n, err := ours.Read(buf)
		shown.Write(buf[:n])
		if !interrupted && strings.Contains(shown.String(), want) {
			interrupted = true
			_ = cmd.Process.Signal(os.Interrupt)
		}
		if err != nil { // EIO: the other end is closed
			break
		}
	}
	if err := cmd.Wait(); err != nil || !interrupted {
		t.Errorf("%v; %q has not come out: %q", err, want, shown.String())
	}
	return strings.ReplaceAll(shown.String(), "\r\n", "\n")
}

func TestOnATerminal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hostile := "\u202eevil\u009b2J\x7f"
	at := time.Date(2026, 11, 23, 17, 14, 11, 495e6, time.UTC)
	value := `{"schema":"LogRecord:1","data":{"message":"\u001b[2J` + hostile + `","severity":"ERROR","level":40,"n":1}}`
	err := b.app.PublishRaw(t.Context(), "logs.a", []byte(value), bus.Timestamp(at), bus.Key([]byte("\x1b]0;key\a")))
	if err != nil {
		t.Fatal(err)
	}
	const waiting = "logtail: waiting for new records\n"
	t.Run("pretty, with colour and a notice", func(t *testing.T) {
		t.Parallel()
		const want = "logtail: times are in UTC\n\x1b[2m2026-11-23 17:14:11.495\x1b[0m \x1b[31mERROR   \x1b[0m " +
			"%slogs.a\x1b[0m  \x1b[1m\\x1b[2J\\u202eevil\\u009b2J\\x7f\x1b[0m  \x1b[2m_key=\x1b[0m\"\\x1b]0;key\\a\" " +
			"\x1b[2mn=\x1b[0m1\n"
		got := b.onTerminal(t, "waiting", "logs.a")
		if got != fmt.Sprintf(want, logtext.StreamStyle("logs.a"))+waiting {
			t.Errorf("got %q", got)
		}
	})
	t.Run("raw is escaped", func(t *testing.T) {
		t.Parallel()
		got := b.onTerminal(t, "waiting", "-o", "raw", "logs.a")
		if want := `{"schema":"LogRecord:1","data":{"message":"\u001b[2J\u202eevil\u009b2J\x7f","severity":"ERROR",` +
			`"level":40,"n":1}}` + "\n" + waiting; got != want {
			t.Errorf("got %q", got)
		}
	})
	t.Run("JSON on request, and quiet", func(t *testing.T) {
		t.Parallel()
		got := b.onTerminal(t, `"_time":"2026-11-23T17:14:11.495Z"`, "-q", "-o", "json", "logs.a")
		if !strings.HasPrefix(got, `{"message":"\u001b[2J\u202eevil\u009b2J\u007f"`) || strings.Count(got, "\n") != 1 {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a long value is cut to two lines", func(t *testing.T) {
		t.Parallel()
		b.publish("logs.long", `{"schema":"L:1","data":{"message":"m","long":"`+strings.Repeat("x", 300_000)+`","n":1}}`, at)
		got := b.onTerminal(t, "n=", "-q", "--color", "never", "logs.long")
		if want := "2026-11-23 17:14:11.495 -        logs.long  m  long=" + strings.Repeat("x", 200) +
			"…(300 kB) n=1\n"; got != want {
			t.Errorf("got %q", got)
		}
	})
}
