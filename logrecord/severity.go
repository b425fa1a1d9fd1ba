package logrecord

import "log/slog"

// severity is the name of a level, as Python calls it: that of the named level at or below it.
func severity(l slog.Level) string {
	switch {
	case l >= slog.LevelError+4:
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

// number is the level in Python's numbers: slog's -4, 0, 4, 8, 12 are 10, 20, 30, 40, 50.
func number(l slog.Level) int64 { return 20 + 10*int64(l)/4 }

// levelOf is the inverse of number. It rounds away from INFO, because number rounds towards it.
func levelOf(n float64) slog.Level {
	const most = 1 << 20 // far beyond any level, and safe to convert
	d := (max(-most, min(most, n)) - 20) * 4 / 10
	l := slog.Level(d)
	if d > float64(l) {
		l++
	} else if d < float64(l) {
		l--
	}
	return l
}

// levelNamed is the level of a severity's name.
func levelNamed(name string) (slog.Level, bool) {
	switch name {
	case "DEBUG":
		return slog.LevelDebug, true
	case "INFO":
		return slog.LevelInfo, true
	case "WARNING", "WARN":
		return slog.LevelWarn, true
	case "ERROR":
		return slog.LevelError, true
	case "CRITICAL", "FATAL":
		return slog.LevelError + 4, true
	}
	return 0, false
}
