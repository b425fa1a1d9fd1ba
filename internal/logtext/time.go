package logtext

import (
	"time"

	"github.com/kafkaesk/kafkaesk/internal/jsonscan"
	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// Timestamp parses the JSON of a log record's timestamp.
func Timestamp(value []byte) (t time.Time, ok bool) {
	if len(value) < 2 || value[0] != '"' {
		return time.Time{}, false
	}
	text := value[1 : len(value)-1]
	if nanos, ok := usual(text); ok {
		return time.Unix(0, nanos), true
	}
	return rawjson.ParseTime(jsonscan.Text(text))
}

// Nanos parses the JSON of a log record's timestamp as nanoseconds since 1970. A time outside of their range becomes
// the first or the last one in it.
func Nanos(value []byte) (nanos int64, ok bool) {
	if t, ok := Timestamp(value); ok {
		return clamped(t), true
	}
	return 0, false
}

func clamped(t time.Time) int64 {
	first, last := time.Unix(0, -1<<63), time.Unix(0, 1<<63-1)
	switch {
	case t.Before(first):
		return -1 << 63
	case t.After(last):
		return 1<<63 - 1
	}
	return t.UnixNano()
}

// usual parses 2006-01-02T15:04:05 with an optional fraction and Z, the forms of kafkaesk for Go and for Python.
func usual(b []byte) (nanos int64, ok bool) {
	const shape = "0000-00-00T00:00:00"
	if len(b) < len(shape) {
		return 0, false
	}
	for i := range len(shape) {
		if c := b[i]; shape[i] == '0' && (c < '0' || c > '9') || shape[i] != '0' && c != shape[i] {
			return 0, false
		}
	}
	two := func(i int) int { return int(b[i]-'0')*10 + int(b[i+1]-'0') }
	year, month, day, hour, minute, second := two(0)*100+two(2), two(5), two(8), two(11), two(14), two(17)
	if year < 1900 || year > 2200 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 ||
		minute > 59 || second > 59 {
		return 0, false
	}
	i, fraction, scale := len(shape), 0, 1_000_000_000
	if i < len(b) && b[i] == '.' {
		for i++; i < len(b) && b[i] >= '0' && b[i] <= '9' && scale > 1; i++ {
			fraction, scale = fraction*10+int(b[i]-'0'), scale/10
		}
		if scale == 1_000_000_000 {
			return 0, false
		}
	}
	if i < len(b) && string(b[i:]) != "Z" {
		return 0, false
	}
	return (days(year, month, day)*86400+int64(hour*3600+minute*60+second))*1e9 + int64(fraction*scale), true
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// days returns the number of days since 1970-01-01, by Howard Hinnant's days_from_civil.
func days(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era, ofEra := year/400, year%400
	ofYear := (153*(month-3)+2)/5 + day - 1
	return int64(era*146097+ofEra*365+ofEra/4-ofEra/100+ofYear) - 719468
}
