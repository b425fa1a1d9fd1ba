package logrecord

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"
)

func TestSeverity(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		level    slog.Level
		severity string
		number   int64
	}{
		{-1000, "DEBUG", -2480}, {-8, "DEBUG", 0}, {-5, "DEBUG", 8}, {-4, "DEBUG", 10}, {-1, "DEBUG", 18}, {0, "INFO", 20},
		{1, "INFO", 22}, {2, "INFO", 25},
		{3, "INFO", 27}, {4, "WARNING", 30}, {7, "WARNING", 37}, {8, "ERROR", 40}, {11, "ERROR", 47}, {12, "CRITICAL", 50},
		{40, "CRITICAL", 120},
	} {
		text, _ := NewEncoder(Options{Base: fixedBase()}).Append(nil, context.Background(),
			slog.NewRecord(at, test.level, "", 0))
		want := fmt.Sprintf(`"severity":"%s","level":%d,`, test.severity, test.number)
		if r := parse(t, string(text)); r["severity"] != test.severity || fmt.Sprint(r["level"]) != fmt.Sprint(test.number) {
			t.Errorf("level %d is %s, want %s", test.level, text, want)
		}
		if r, err := Decode(text); err != nil || r.Level != test.level || r.Severity != test.severity {
			t.Errorf("level %d comes back as %v %s, %v", test.level, int(r.Level), r.Severity, err)
		}
	}
}

func TestTimestamp(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		time time.Time
		want any
	}{
		{at, "2026-11-23T15:39:52.245858001Z"},
		{time.Unix(0, 0), "1970-01-01T00:00:00.000000000Z"},
		{time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), "9999-12-31T23:59:59.999999999Z"},
		{time.Time{}, nil},
		{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), nil},
		{time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), nil},
	} {
		text, _ := NewEncoder(Options{}).Append(nil, context.Background(), slog.NewRecord(test.time, 0, "", 0))
		if got := parse(t, string(text))["timestamp"]; got != test.want {
			t.Errorf("%v is %v, want %v", test.time, got, test.want)
		}
	}
}

func TestServiceOf(t *testing.T) {
	t.Parallel()
	for hostname, want := range map[string]string{
		"web": "unknown", "web-0": "web", "web-api-0": "web", "web-api-7c9d-x2x": "web-api", "web-api.example.com": "web",
		"-": "", "": "unknown",
	} {
		if got := serviceOf(hostname); got != want {
			t.Errorf("%q runs %q, want %q", hostname, got, want)
		}
	}
}

func TestBaseIsFoundOnce(t *testing.T) {
	t.Setenv("CLUSTER", "")
	e := NewEncoder(Options{Base: Base{Logger: new("app"), Hostname: new("web-api-1-2")}})
	t.Setenv("CLUSTER", "later")
	text, _ := e.Append(nil, context.Background(), slog.NewRecord(at, 0, "", 0))
	if r := parse(t, string(text)); r["cluster"] != "" || r["logger"] != "app" || r["service"] != "web-api" {
		t.Errorf("the base is %s", text)
	}
}
