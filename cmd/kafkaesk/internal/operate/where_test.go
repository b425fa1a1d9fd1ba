package operate

import (
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
)

func TestWhere(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	d := &bus.DeadLetterRecord{Error: "rejected: timeout", ErrorType: "*net.OpError", Attempts: 3,
		FailedTime: now.Add(-time.Hour),
		State:      bus.DeadLetterOpen, Record: &bus.Record{Key: []byte("7"), Value: []byte(`{"a":"x=y"}`),
			Headers: []bus.Header{{Name: "tenant", Value: []byte("blue")}}}}
	for text, want := range map[string]bool{
		"error~timeout": true, "error!~timeout": false, "error~^timeout": false, "type=*net.OpError": true, "type!=x": true,
		"key=7": true, "value~x=y": true, "header.tenant=blue": true, "header.missing=": true, "state=open": true,
		"attempts=3": true, "attempts!=3": false, "attempts>2": true, "attempts>=3": true, "attempts<3": false,
		"attempts<=3":                 true,
		"failed<2026-01-02T00:00:00Z": true, "failed<2026-01-01T23:00:00Z": false, "failed=2026-01-01T23:00:00Z": true,
		"age>30m": true, "age>2h": false, "age<=1h": true,
	} {
		holds, err := parseWhere([]string{text}, now)
		if err != nil || holds(d) != want {
			t.Errorf("%s: want %v; %v", text, want, err)
		}
	}
	if both, err := parseWhere([]string{"key=7", "attempts>5"}, now); err != nil || both(d) {
		t.Errorf("both must hold: %v", err)
	}
	for text, want := range map[string]string{
		"error": "want a condition", "colour=red": `no field "colour"`, "error~(": "missing closing",
		"attempts=many": "a number",
		"attempts~3":    "numbers and times", "error<3": "texts are compared", "failed=soon": `"soon" is not a time`,
		"age>soon": "not a duration",
		"error!x":  "want one of the operators",
	} {
		if _, err := parseWhere([]string{text}, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestErrorKind(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]bus.DeadLetterRecord{
		"*net.OpError":               {ErrorType: "*net.OpError", Error: "dial"},
		"order #: timeout after #.#": {ErrorType: "*fmt.wrapError", Error: "rejected: order 12: timeout after 3.25\nstack"},
		"without an error":           {},
		strings.Repeat("x", 60):      {ErrorType: "*errors.errorString", Error: strings.Repeat("x", 1000)},
	} {
		if got := errorKind(&d); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
