package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// demoProcess is a running `kafkaesk demo`.
type demoProcess struct {
	mu     sync.Mutex
	stderr bytes.Buffer
}

func (d *demoProcess) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stderr.Write(p)
}

func (d *demoProcess) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stderr.String()
}

var (
	demoBroker  = regexp.MustCompile(`broker +(127\S+)`)
	demoMonitor = regexp.MustCompile(`monitor +(http://127\S+/)`)
	demoLogs    = regexp.MustCompile(`logtail: .*(http://127\S+/)`)
)

// address waits until the demo has said an address.
func (d *demoProcess) address(t *testing.T, what *regexp.Regexp) string {
	t.Helper()
	testkit.Eventually(t, func() bool { return what.MatchString(d.String()) }, d.String)
	return what.FindStringSubmatch(d.String())[1]
}

// get returns what a page answers, which it does when it can.
func get(t *testing.T, url string, holds func(status int, body string) bool) {
	t.Helper()
	var body []byte
	var status int
	testkit.Eventually(t, func() bool {
		response, err := http.Get(url)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		status = response.StatusCode
		body, err = io.ReadAll(response.Body)
		return err == nil && holds(status, string(body))
	}, func() string { return url + ": " + string(body) })
}

// The demo is for itself: what the environment says of another Kafka does not matter, and no secret of it is printed.
func TestTheDemoShowsWhatThereIs(t *testing.T) {
	t.Parallel()
	own := os.Getenv(programEnv)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(filepath.Dir(own), executable("logtail")),
		"../logtail")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	demo := new(demoProcess)
	cmd := exec.CommandContext(t.Context(), own, "demo")
	const canary = "c4nary-s3cret"
	cmd.Env = append(os.Environ(), "KAFKAESK_TOPIC_PREFIX=other.", `KAFKAESK_KAFKA_SETTINGS={"security_protocol":`+
		`"SASL_PLAINTEXT","sasl_plain_username":"u","sasl_plain_password":"`+canary+`"}`)
	cmd.Stdout, cmd.Stderr = demo, demo
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	broker, monitor, logs := demo.address(t, demoBroker), demo.address(t, demoMonitor), demo.address(t, demoLogs)
	get(t, monitor+"readyz", func(status int, _ string) bool { return status == http.StatusOK })
	get(t, monitor+"metrics", func(_ int, body string) bool {
		return strings.Contains(body, `kafkaesk_consumed_messages_total{group="billing"`)
	})
	get(t, logs, func(status int, body string) bool { return status == http.StatusOK && strings.Contains(body, "<html") })
	testkit.Eventually(t, func() bool {
		out, err := exec.CommandContext(t.Context(), own, "dead", "-b", broker).CombinedOutput()
		return err == nil && strings.Contains(string(out), "the card is refused")
	}, demo.String)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, demo)
	}
	if strings.Contains(demo.String(), canary) {
		t.Errorf("the demo prints the password: %s", demo)
	}
}
