package when

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 2*3600)
	now := time.Date(2026, 11, 23, 12, 30, 0, 0, zone)
	day := time.Date(2026, 11, 23, 0, 0, 0, 0, zone)
	for text, want := range map[string]time.Time{
		"90s": now.Add(-90 * time.Second), "2h30m": now.Add(-150 * time.Minute), "0s": now,
		"7d":    now.Add(-7 * 24 * time.Hour),
		"1d12h": now.Add(-36 * time.Hour), "2w": now.Add(-14 * 24 * time.Hour), "1w1d1h": now.Add(-193 * time.Hour),
		"2026-01-31":       time.Date(2026, 1, 31, 0, 0, 0, 0, zone),
		"2026-01-31 15:04": time.Date(2026, 1, 31, 15, 4, 0, 0, zone), "2026-01-31T15:04": time.Date(2026, 1, 31, 15,
			4, 0, 0, zone),
		"2026-01-31 15:04:05.25":         time.Date(2026, 1, 31, 15, 4, 5, 250e6, zone),
		"2026-01-31T15:04:05.000000001Z": time.Date(2026, 1, 31, 15, 4, 5, 1, time.UTC),
		"2026-01-31T15:04:05+01:00":      time.Date(2026, 1, 31, 14, 4, 5, 0, time.UTC),
		"2026-01-31 15:04:05+0100":       time.Date(2026, 1, 31, 14, 4, 5, 0, time.UTC),
		"2026-01-31 15:04:05 Z":          time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC),
		"2026-01-31 15:04 +0100":         time.Date(2026, 1, 31, 14, 4, 0, 0, time.UTC),
		"15:04":                          day.Add(15*time.Hour + 4*time.Minute),
		"15:04:05":                       day.Add(15*time.Hour + 4*time.Minute + 5*time.Second),
		"now":                            now, "today": day, "Today": day, "yesterday": day.AddDate(0, 0, -1),
		"yesterday 15:04": day.Add(-9*time.Hour + 4*time.Minute),
		"today 08:00":     day.Add(8 * time.Hour), " 1h ": now.Add(-time.Hour),
		"1700000000": time.Unix(1700000000, 0), "1700000000.25": time.Unix(1700000000, 250e6),
		"1700000000123": time.UnixMilli(1700000000123),
	} {
		if got, err := Parse(text, now, zone); err != nil || !got.Equal(want) {
			t.Errorf("%s: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "tomorrow", "-5m", "d", "-1d", "1.5d", "99999999d", "1d-1h", "2026-13-01", "10", "25:00", "yesterday noon",
		"now 15:04", "9999w",
		"1700000000.-5", "123456789012345", "12345678901234", "1700000000.1234567890",
	} {
		if got, err := Parse(text, now, zone); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}
