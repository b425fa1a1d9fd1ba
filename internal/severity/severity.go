// Package severity converts between slog's levels and Python's names and numbers, in log records and on the command
// lines of the programs.
package severity

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"
)

// critical is the level of CRITICAL; slog has no name for it.
const critical = slog.LevelError + 4

// Name returns the name of the highest named level that is not above l.
func Name(l slog.Level) string {
	switch {
	case l >= critical:
		return "CRITICAL"
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARNING"
	case l >= slog.LevelInfo:
		return "INFO"
	default:
		return "DEBUG"
	}
}

// Number returns Python's number of a level: slog's -4, 0, 4, 8, 12 are 10, 20, 30, 40, 50.
func Number(l slog.Level) int64 { return 20 + 10*int64(l)/4 }

// Numbered returns the level of Python's number. It rounds away from INFO, because [Number] rounds towards it.
func Numbered(n float64) slog.Level {
	const most = 1 << 20 // far beyond any level, and convertible to an int
	d := (max(-most, min(most, n)) - 20) * 4 / 10
	l := slog.Level(d)
	if d > float64(l) {
		l++
	} else if d < float64(l) {
		l--
	}
	return l
}

// Named returns the level of a severity's name, ignoring case; false for any other text.
func Named(name string) (slog.Level, bool) {
	switch strings.ToUpper(name) {
	case "DEBUG":
		return slog.LevelDebug, true
	case "INFO":
		return slog.LevelInfo, true
	case "WARNING", "WARN":
		return slog.LevelWarn, true
	case "ERROR":
		return slog.LevelError, true
	case "CRITICAL", "FATAL":
		return critical, true
	}
	return 0, false
}

// Word is Named for level names of other loggers too: those of zap, zerolog and syslog, and slog's "INFO+2".
func Word(name string) (slog.Level, bool) {
	if l, ok := Named(name); ok {
		return l, true
	}
	switch strings.ToUpper(name) {
	case "TRACE", "VERBOSE", "FINE":
		return slog.LevelDebug - 4, true
	case "NOTICE", "INFORMATION", "INFORMATIONAL":
		return slog.LevelInfo, true
	case "ERR", "SEVERE":
		return slog.LevelError, true
	case "CRIT", "PANIC", "DPANIC", "ALERT", "EMERG", "EMERGENCY":
		return critical, true
	}
	var l slog.Level
	err := l.UnmarshalText([]byte(name))
	return l, err == nil
}

// Parse parses a level on a command line: a severity's name or a prefix of it, or Python's number (10 DEBUG to 50
// CRITICAL). The error does not contain the text.
func Parse(text string) (slog.Level, error) {
	if l, ok := Named(text); ok {
		return l, nil
	}
	switch strings.ToLower(text) {
	case "d":
		return slog.LevelDebug, nil
	case "i":
		return slog.LevelInfo, nil
	case "w":
		return slog.LevelWarn, nil
	case "err", "e":
		return slog.LevelError, nil
	case "crit", "c", "f":
		return critical, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 1000 {
		return 0, errors.New("want debug, info, warning, error, critical, a first letter of these, or a number such as 30")
	}
	return Numbered(float64(n)), nil
}
