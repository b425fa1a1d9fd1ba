package severity_test

import (
	"log/slog"
	"strconv"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/severity"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]slog.Level{
		"debug": slog.LevelDebug, "D": slog.LevelDebug, "10": slog.LevelDebug,
		"info": slog.LevelInfo, "i": slog.LevelInfo, "20": slog.LevelInfo,
		"warning": slog.LevelWarn, "WARN": slog.LevelWarn, "w": slog.LevelWarn, "30": slog.LevelWarn,
		"error": slog.LevelError, "err": slog.LevelError, "e": slog.LevelError, "40": slog.LevelError,
		"critical": slog.LevelError + 4, "c": slog.LevelError + 4, "50": slog.LevelError + 4, "fatal": slog.LevelError + 4,
		"25": slog.LevelInfo + 2,
	}
	for text, want := range tests {
		if got, err := severity.Parse(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "high", "-5", "2.5", "1e9", "99999999999999999999"} {
		if got, err := severity.Parse(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

// A record that has the number of a level, whichever a service made up, is at that level.
func TestNumbersComeBack(t *testing.T) {
	t.Parallel()
	for l := slog.Level(-40); l <= 40; l++ {
		if got := severity.Numbered(float64(severity.Number(l))); got != l {
			t.Errorf("level %d has the number %d, which is level %d", l, severity.Number(l), got)
		}
	}
	for n := range 61 {
		parsed, err := severity.Parse(strconv.Itoa(n))
		if err != nil || parsed != severity.Numbered(float64(n)) {
			t.Errorf("%d: got %d, %v", n, parsed, err)
		}
	}
}

func TestNamesComeBack(t *testing.T) {
	t.Parallel()
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError, slog.LevelError + 4} {
		if got, ok := severity.Named(severity.Name(l)); !ok || got != l {
			t.Errorf("level %d is %s, which is level %d", l, severity.Name(l), got)
		}
	}
}
