package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kafkaesk/kafkaesk/internal/kafkatest"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.Program(main)
	kafkatest.Main(m)
}

// what the example reads back, without the times.
const readBackText = `4 records read back from Kafka:
INFO     shop opens
    shop    north
    doors   2
INFO     order placed
    shop    north
    order   A-17
    amount  3
WARNING  stock is low
    shop    north
    item    {"id":42,"left":1}
ERROR    payment failed
    shop    north
    err     charge the card: unexpected EOF
    order   A-17
    amount  3
`

func check(t *testing.T, stdout, stderr string) {
	t.Helper()
	var text strings.Builder
	for line := range strings.Lines(stdout) {
		if _, rest, ok := strings.Cut(line, "  "); ok && !strings.HasPrefix(line, " ") {
			line = rest // behind the time
		}
		text.WriteString(line)
	}
	if diff := cmp.Diff(readBackText, text.String()); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	var local []string
	for line := range strings.Lines(stderr) {
		var r struct{ Message string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Errorf("%v in the local line %q", err, line)
		}
		local = append(local, r.Message)
	}
	if diff := cmp.Diff([]string{"shop opens", "order placed", "stock is low", "payment failed"}, local); diff != "" {
		t.Errorf("local lines (-want +got):\n%s", diff)
	}
}

func TestWithNothingButGo(t *testing.T) {
	t.Parallel()
	stdout, stderr := testkit.Output(t, "KAFKAESK_KAFKA_SERVERS="+"")
	check(t, stdout, stderr)
}

// A Kafka that stays has the records of earlier runs too.
func TestOnAKafkaThatStays(t *testing.T) {
	t.Parallel()
	cluster := kafkatest.Start(t, kafkatest.Own()) // the streams of the example have no prefix
	servers := strings.Join(cluster.Servers(), ",")
	for range 2 {
		stdout, stderr := testkit.Output(t, "KAFKAESK_KAFKA_SERVERS="+servers)
		check(t, stdout, stderr)
	}
	t.Run("kcat reads the envelopes", func(t *testing.T) {
		kcat, err := exec.LookPath("kcat")
		if err != nil {
			t.Skip("kcat is not installed (apt-get install kcat)")
		}
		out, err := exec.CommandContext(t.Context(), kcat, "-b", servers, "-C", "-e", "-q", "-o", "beginning", "-t",
			"logs.example").Output()
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(out), "\n"); n != 8 {
			t.Errorf("%d records, want those of two runs: %s", n, out)
		}
		for line := range strings.Lines(string(out)) {
			var envelope struct {
				Schema string
				Data   struct{ Severity, Message, Shop string }
			}
			if err := json.Unmarshal([]byte(line), &envelope); err != nil || envelope.Schema != "LogRecord:1" ||
				envelope.Data.Shop != "north" {
				t.Errorf("%v in %s", err, line)
			}
		}
	})
}
