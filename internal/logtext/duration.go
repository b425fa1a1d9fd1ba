package logtext

import (
	"strconv"
	"strings"
	"time"
)

// durationFrom is the number from which on a duration's field is taken for nanoseconds: below a millisecond it may as
// well count milliseconds or seconds.
const durationFrom = int64(time.Millisecond)

// duration returns the text of a number that is a time.Duration by the name of its field: Go's loggers write
// durations as nanoseconds. Fields whose name has another unit in it (took_ms) end otherwise.
func duration(name string, value []byte) (text string, ok bool) {
	if len(value) < 7 || len(value) > 20 || !isDuration(name) {
		return "", false
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < durationFrom && n > -durationFrom {
		return "", false
	}
	d := time.Duration(n)
	switch size := max(d, -d); {
	case size >= time.Hour:
		d = d.Round(time.Second)
	case size >= time.Second:
		d = d.Round(time.Millisecond)
	default:
		d = d.Round(10 * time.Microsecond)
	}
	return d.String(), true
}

func isDuration(name string) bool {
	name = name[strings.LastIndexByte(name, '.')+1:]
	name = strings.ToLower(name[strings.LastIndexByte(name, '_')+1:])
	switch name {
	case "took", "duration", "elapsed", "latency":
		return true
	}
	return false
}
