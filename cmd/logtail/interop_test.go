package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/form"
	"github.com/kafkaesk/kafkaesk/slogkafka"
)

// kcat runs kcat (Debian's package; librdkafka) against the test's broker.
func (b *bench) kcat(stdin string, args ...string) string {
	b.t.Helper()
	path, err := exec.LookPath("kcat")
	if err != nil {
		b.t.Skip("kcat is not installed (apt-get install kcat)")
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{"-b", strings.Join(b.cluster.Servers(), ",")}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		b.t.Fatalf("kcat: %v: %s", err, stderr.String())
	}
	return stdout.String()
}

func TestRecordOfKcatIsShown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// A topic is there before kcat writes, so that the broker need not create it on the way.
	b.publish("logs.kcat", logValue("first", "INFO", 20), time.Now())
	b.kcat(logValue("written by kcat", "WARNING", 30), "-P", "-t", b.prefix+"logs.kcat", "-k", "key", "-H", "name=value")
	stdout, stderr, code := b.run("-q", "--no-follow", "-l", "warning", "-o", "pretty", "--color", "never", "logs.*")
	if code != exitOK || stderr != "" || !strings.HasSuffix(stdout, " WARNING  logs.kcat  written by kcat  _key=key\n") ||
		strings.Count(stdout, "\n") != 1 {
		t.Errorf("code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// What kafkaesk for Python wrote, byte for byte, lies in Kafka and is shown, each record with all its fields.
func TestPythonsRecordsInKafkaAreShown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("logs.python", logValue("first", "INFO", 20), time.Now()) // creates the topic
	golden, err := os.ReadFile(filepath.Join("..", "..", "logrecord", "testdata", "python", "logs.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var values bytes.Buffer // one a line, as kcat takes them
	want := []string{`{"level":20,"message":"first","severity":"INFO"}`}
	for line := range bytes.Lines(golden) {
		var r struct {
			Value []byte `json:"value_b64"`
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		var envelope struct{ Data map[string]any }
		if err := json.Unmarshal(r.Value, &envelope); err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(envelope.Data) // in the order of its keys
		want = append(want, string(text))
		values.Write(append(r.Value, '\n'))
	}
	b.kcat(values.String(), "-P", "-t", b.prefix+"logs.python")
	stdout, stderr, code := b.run("--no-follow", "--from=start", "logs.*")
	if code != exitOK || stderr != "" {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	var got []string
	for line := range strings.Lines(stdout) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		maps.DeleteFunc(fields, func(name string, _ any) bool { return form.Reserved(name) })
		text, _ := json.Marshal(fields)
		got = append(got, string(text))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoggedRecordIsReadByKcat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handler := slogkafka.NewHandler(b.app, "logs.shop")
	slog.New(handler).With("shop", "north").Warn("sold out", slog.Group("item", "id", 42, "name", "<größe> 7\u2028"))
	if err := handler.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := b.kcat("", "-C", "-e", "-q", "-o", "beginning", "-t", b.prefix+"logs.shop", "-f", "%k|%s\n")
	line, ok := strings.CutPrefix(strings.TrimSuffix(got, "\n"), "|")
	if !ok || strings.Contains(line, "\n") || !strings.HasPrefix(line, `{"schema":"LogRecord:1","data":{`) {
		t.Fatalf("got %q", got)
	}
	if !strings.Contains(line, `"name":"<größe> 7`+"\u2028"+`"`) {
		t.Errorf("text is not UTF-8 as it is: %s", line)
	}
	var envelope struct{ Data map[string]any }
	if err := json.Unmarshal([]byte(line), &envelope); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("timestamp logger severity level message exception trace stack hostname service " +
		"namespace cluster") {
		if _, ok := envelope.Data[name]; !ok {
			t.Errorf("no %s in %s", name, line)
		}
	}
	want := map[string]any{"severity": "WARNING", "level": 30.0, "message": "sold out", "shop": "north"}
	for name, value := range want {
		if envelope.Data[name] != value {
			t.Errorf("%s: got %v, want %v", name, envelope.Data[name], value)
		}
	}
	if stdout, _, code := b.run("--no-follow", "logs.*"); code != exitOK || messages(t, stdout) != "sold out" {
		t.Errorf("logtail: code %d, %s", code, stdout)
	}
}
