// Package when parses times on a command line.
package when

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Help describes the formats.
const Help = `a duration ago (90s, 2h30m, 7d, 2w), a time (2026-01-31, "2026-01-31 15:04", RFC 3339),
a time of day (15:04), now, today, yesterday, "yesterday 15:04", or seconds since 1970`

// forms are the layouts of a time with its day. Omitted parts are zero; a time without a zone is in the given one.
var forms = [...]string{
	time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04Z0700",
	"2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly,
}

var clocks = [...]string{"15:04", "15:04:05"}

var errForm = errors.New("want " + strings.ReplaceAll(Help, "\n", " "))

// Parse parses a time. Durations count back from now; a time of day is today's.
func Parse(text string, now time.Time, zone *time.Location) (time.Time, error) {
	text = strings.TrimSpace(text)
	now = now.In(zone)
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, zone)
	word, rest, _ := strings.Cut(strings.ToLower(text), " ")
	switch word {
	case "":
		return time.Time{}, errForm
	case "now":
		if rest == "" {
			return now, nil
		}
	case "today":
		return clock(day, rest)
	case "yesterday":
		return clock(day.AddDate(0, 0, -1), rest)
	}
	if d, ok := duration(text); ok {
		return now.Add(-d), nil
	}
	if t, ok := epoch(text); ok {
		return t, nil
	}
	if t, err := clock(day, text); err == nil {
		return t, nil
	}
	// A blank may replace the T, and one may precede the zone.
	dated := strings.Replace(text, " ", "T", 1)
	if at := strings.IndexByte(dated, ' '); at > 0 {
		dated = dated[:at] + strings.TrimLeft(dated[at:], " ")
	}
	for _, form := range forms {
		if t, err := time.ParseInLocation(form, dated, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errForm
}

// clock returns a time of day on a day; its beginning for an empty text.
func clock(day time.Time, text string) (time.Time, error) {
	if text = strings.TrimSpace(text); text == "" {
		return day, nil
	}
	for _, form := range clocks {
		if t, err := time.Parse(form, text); err == nil {
			return time.Date(day.Year(), day.Month(), day.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(),
				day.Location()), nil
		}
	}
	return time.Time{}, errForm
}

// epoch parses seconds since 1970 with a fraction, or milliseconds, which have 13 digits.
func epoch(text string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	if len(whole) < 9 || len(whole) > 13 {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < 0 {
		return time.Time{}, false
	}
	if len(whole) == 13 && fraction == "" {
		return time.UnixMilli(n), true
	}
	if len(whole) > 11 {
		return time.Time{}, false
	}
	nanos := int64(0)
	if fraction != "" {
		if nanos, err = strconv.ParseInt((fraction + "000000000")[:9], 10, 64); err != nil || len(fraction) > 9 ||
			nanos < 0 {
			return time.Time{}, false
		}
	}
	return time.Unix(n, nanos), true
}

// duration parses the format of time.ParseDuration with optional weeks and days in front: 2w, 1d12h.
func duration(text string) (total time.Duration, ok bool) {
	for _, unit := range [...]struct {
		name string
		day  time.Duration
	}{{"w", 7}, {"d", 1}} {
		number, rest, found := strings.Cut(text, unit.name)
		if !found {
			continue
		}
		const most = 36500 // days; a hundred years fit a Duration
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || time.Duration(n)*unit.day > most {
			return 0, false
		}
		if total += time.Duration(n) * unit.day * 24 * time.Hour; rest == "" {
			return total, true
		}
		text = rest
	}
	d, err := time.ParseDuration(text)
	return total + d, err == nil && d >= 0
}
