package main

import (
	"strconv"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/severity"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// A record passes the level that is its own number, whatever number a service made up.
func TestEveryNumberPassesItsOwnLevel(t *testing.T) {
	t.Parallel()
	for n := range 61 {
		level, err := severity.Parse(strconv.Itoa(n))
		if err != nil {
			t.Fatal(err)
		}
		r, err := logrecord.Decode([]byte(`{"level":` + strconv.Itoa(n) + `}`))
		if err != nil || r.Level < level {
			t.Errorf("a record of level %d has %d, -l %d asks for %d (%v)", n, r.Level, n, level, err)
		}
	}
}

func TestParseSince(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 2*3600)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, zone)
	tests := map[string]time.Time{
		"90s":                            now.Add(-90 * time.Second),
		"2h30m":                          now.Add(-150 * time.Minute),
		"0s":                             now,
		"7d":                             now.AddDate(0, 0, -7),
		"1d12h":                          now.Add(-36 * time.Hour),
		"2026-01-31":                     time.Date(2026, 1, 31, 0, 0, 0, 0, zone),
		"2026-01-31 15:04":               time.Date(2026, 1, 31, 15, 4, 0, 0, zone),
		"2026-01-31 15:04:05.25":         time.Date(2026, 1, 31, 15, 4, 5, 250e6, zone),
		"2026-01-31T15:04":               time.Date(2026, 1, 31, 15, 4, 0, 0, zone),
		"2026-01-31T15:04:05":            time.Date(2026, 1, 31, 15, 4, 5, 0, zone),
		"2026-01-31T15:04:05.000000001Z": time.Date(2026, 1, 31, 15, 4, 5, 1, time.UTC),
		"2026-01-31T15:04:05+01:00":      time.Date(2026, 1, 31, 14, 4, 5, 0, time.UTC),
	}
	for text, want := range tests {
		if got, err := parseSince(text, now, zone); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "-5m", "d", "-1d", "1.5d", "99999999d", "1d-1h", "2026-13-01", "10"} {
		if got, err := parseSince(text, now, zone); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func TestUseColor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, flag string
		env        map[string]string
		terminal   bool
		want       bool
	}{
		{"terminal", "auto", nil, true, true},
		{"pipe", "auto", nil, false, false},
		{"dumb terminal", "auto", map[string]string{"TERM": "dumb"}, true, false},
		{"not wanted", "auto", map[string]string{"NO_COLOR": "1"}, true, false},
		{"CLICOLOR off", "auto", map[string]string{"CLICOLOR": "0"}, true, false},
		{"forced", "auto", map[string]string{"CLICOLOR_FORCE": "1"}, false, true},
		{"forced otherwise", "auto", map[string]string{"FORCE_COLOR": "1"}, false, true},
		{"not forced", "auto", map[string]string{"CLICOLOR_FORCE": "0"}, false, false},
		{"NO_COLOR is stronger", "auto", map[string]string{"NO_COLOR": "1", "FORCE_COLOR": "1"}, true, false},
		{"empty is unset", "auto", map[string]string{"NO_COLOR": ""}, true, true},
		{"the flag is strongest: on", "always", map[string]string{"NO_COLOR": "1"}, false, true},
		{"the flag is strongest: off", "never", map[string]string{"FORCE_COLOR": "1"}, true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := useColor(test.flag, test.terminal, func(name string) string { return test.env[name] })
			if err != nil || got != test.want {
				t.Errorf("got %v, %v; want %v", got, err, test.want)
			}
		})
	}
	if _, err := useColor("yes", true, func(string) string { return "" }); err == nil {
		t.Error("yes is taken for a colour mode")
	}
}
