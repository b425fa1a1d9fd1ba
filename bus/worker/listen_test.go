package worker

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// monitorURL is what the worker's log says of its monitor.
var monitorURL = regexp.MustCompile(`url=(http://[^ ]+/)`)

// listening waits until a program has said where its monitor listens.
func (c *child) listening(t *testing.T) string {
	t.Helper()
	c.await(t, c.stderr, "worker: the monitor listens")
	found := monitorURL.FindStringSubmatch(c.said.String())
	if found == nil {
		t.Fatalf("no URL in\n%s", &c.said)
	}
	return found[1]
}

// The flag, and its variable, serve the monitor from the start until the handlers are done.
func TestAProcessServesItsMonitor(t *testing.T) {
	t.Parallel()
	w := newWork(t)
	c := spawn(t, "wait", append(w.env, "KAFKAESK_LISTEN=:0")...)
	url := c.listening(t)
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Errorf("without a host the monitor listens at %s", url)
	}
	c.await(t, c.stdout, "begun")
	for path, want := range map[string]string{
		"livez": `"ok": true`, "readyz": `"ok": true`,
		"metrics": fmt.Sprintf("kafkaesk_consumer_running_handlers{group=%q} 1\n", w.group),
	} {
		if code, body := testkit.Fetch(t, url+path, ""); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("/%s: %d, want %q in\n%s", path, code, want, body)
		}
	}
	c.signal(t, syscall.SIGTERM)
	c.await(t, c.stderr, "worker: ending")
	if code, _ := testkit.Fetch(t, url+"livez", ""); code != http.StatusOK {
		t.Errorf("/livez while handlers finish: %d", code)
	}
	if _, err := io.WriteString(c.stdin, "finish\n"); err != nil {
		t.Fatal(err)
	}
	if code := c.end(t); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &c.said)
	}
}

// An address that is taken is said before the App runs.
func TestAnAddressThatIsTaken(t *testing.T) {
	t.Parallel()
	w := newWork(t)
	c := spawn(t, "wait", append(w.env, "KAFKAESK_LISTEN=:0")...)
	url := strings.TrimSuffix(strings.TrimPrefix(c.listening(t), "http://"), "/")
	other := spawn(t, "wait", append(w.env, "KAFKAESK_LISTEN="+url)...)
	if code := other.end(t); code != exitFailed ||
		!strings.Contains(other.said.String(), "listen for the monitor: listen tcp "+url) {
		t.Errorf("exit code %d\n%s", code, &other.said)
	}
	c.signal(t, syscall.SIGTERM)
	if _, err := io.WriteString(c.stdin, "finish\n"); err != nil {
		t.Fatal(err)
	}
	if code := c.end(t); code != exitOK {
		t.Errorf("exit code %d\n%s", code, &c.said)
	}
}
