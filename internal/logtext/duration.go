package logtext

import (
	"strconv"
	"strings"
	"time"
)

// durationFrom is the smallest number that counts as nanoseconds: a smaller one may as well be milliseconds or
// seconds.
const durationFrom = int64(time.Millisecond)

// duration formats a number as a duration if the field's name means one: Go's loggers write a time.Duration as
// nanoseconds. The name of a field with another unit ends with the unit (took_ms) and is not matched.
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
