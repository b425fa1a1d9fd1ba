package rawjson

import "time"

// The times that RFC 3339 has, in seconds since 1970 as the clock of their zone shows them.
const (
	firstSecond = -62_167_219_200 // of the year 0
	lastSecond  = 253_402_300_799 // of the year 9999
	oneDay      = 24 * 60 * 60
)

// ParseTime parses the text of a timestamp: RFC 3339, or Python's forms, which have a space for the T and, without a
// zone, mean UTC. Each may have a fraction of a second.
func ParseTime(text string) (t time.Time, ok bool) {
	for _, layout := range [...]string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00",
		time.DateTime} {
		if t, err := time.Parse(layout, text); err == nil { // it accepts a fraction behind the seconds
			return t, true
		}
	}
	return time.Time{}, false
}

// AppendTime appends a time in quotes as RFC 3339, as encoding/json does. It is not ok for a time that encoding/json
// refuses.
func AppendTime(dst []byte, t time.Time) (out []byte, ok bool) {
	_, offset := t.Zone()
	seconds := t.Unix() + int64(offset)
	if seconds < firstSecond || seconds > lastSecond || offset <= -oneDay || offset >= oneDay {
		return dst, false
	}
	start := len(dst)
	dst = append(dst, `"0000-00-00T00:00:00`...)
	at := dst[start : start+20]
	since := seconds - firstSecond
	day, second := uint32(since/oneDay), uint32(since%oneDay)
	year, month, dayOfMonth := date(day)
	put(at[1:], year/100)
	put(at[3:], year%100)
	put(at[6:], month)
	put(at[9:], dayOfMonth)
	put(at[12:], second/3600)
	put(at[15:], second/60%60)
	put(at[18:], second%60)
	if fraction := t.Nanosecond(); fraction != 0 {
		dst = AppendNine(append(dst, '.'), uint32(fraction))
		for dst[len(dst)-1] == '0' {
			dst = dst[:len(dst)-1]
		}
	}
	if offset == 0 {
		return append(dst, 'Z', '"'), true
	}
	sign, minutes := byte('+'), offset/60
	if minutes < 0 {
		sign, minutes = '-', -minutes
	}
	hour, minute := minutes/60*2, minutes%60*2
	return append(dst, sign, pairs[hour], pairs[hour+1], ':', pairs[minute], pairs[minute+1], '"'), true
}

// put writes two digits.
func put(dst []byte, n uint32) {
	_ = dst[1]
	dst[0], dst[1] = pairs[2*n], pairs[2*n+1]
}

// date returns the date of a day that is so many days after the first one of the year 0. It counts in years that begin
// with March, in which a leap day is the last one.
func date(day uint32) (year, month, dayOfMonth uint32) {
	const cycle = 146_097 // days of 400 years
	day += cycle - 60     // since March of the year -400
	year, day = day/cycle*400, day%cycle
	of := (day - day/1460 + day/36_524 - day/(cycle-1)) / 365
	year, day = year+of-400, day-(365*of+of/4-of/100)
	month = (5*day + 2) / 153
	dayOfMonth = day - (153*month+2)/5 + 1
	if month < 10 {
		return year, month + 3, dayOfMonth
	}
	return year + 1, month - 9, dayOfMonth
}
