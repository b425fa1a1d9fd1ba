package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// sinceForms are the forms of a time. What they leave out is zero; what has no zone is in the local one.
var sinceForms = [...]string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly,
}

// parseSince reads a time, or a duration before now: what time.ParseDuration takes, and days, as in 7d or 1d12h.
func parseSince(text string, now time.Time, zone *time.Location) (time.Time, error) {
	for _, form := range sinceForms {
		if t, err := time.ParseInLocation(form, text, zone); err == nil {
			return t, nil
		}
	}
	if d, ok := parseDuration(text); ok {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q: give a duration such as 90s, 2h30m or 7d, or a time such as 2026-01-31, \"2026-01-31 15:04\" or 2026-01-31T15:04:05Z", text)
}

func parseDuration(text string) (time.Duration, bool) {
	var total time.Duration
	if days, rest, found := strings.Cut(text, "d"); found {
		const most = 36500 // days; a hundred years fit a Duration
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil || n > most {
			return 0, false
		}
		if total = time.Duration(n) * 24 * time.Hour; rest == "" {
			return total, true
		}
		text = rest
	}
	d, err := time.ParseDuration(text)
	return total + d, err == nil && d >= 0
}
