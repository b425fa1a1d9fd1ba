package logtext

import (
	"fmt"
	"hash/fnv"
	"log/slog"
)

// Style is the ANSI sequence that begins a style; empty for none.
type Style string

const (
	plain   Style = ""
	bold    Style = "\x1b[1m"
	dim     Style = "\x1b[2m"
	red     Style = "\x1b[31m"
	green   Style = "\x1b[32m"
	yellow  Style = "\x1b[33m"
	redBold Style = "\x1b[1;31m"
	reverse Style = "\x1b[7m"
	reset         = "\x1b[0m"
)

// UseColor decides from the flag, then from the environment (no-color.org, force-color.org, bixense.com/clicolors),
// then from whether the output is a terminal.
func UseColor(flag string, terminal bool, getenv func(string) string) (bool, error) {
	switch flag {
	case "always":
		return true, nil
	case "never":
		return false, nil
	case "auto":
	default:
		return false, fmt.Errorf("%q: give auto, always or never", flag)
	}
	forced := func(name string) bool { v := getenv(name); return v != "" && v != "0" }
	switch {
	case getenv("NO_COLOR") != "":
		return false, nil
	case forced("FORCE_COLOR"), forced("CLICOLOR_FORCE"):
		return true, nil
	}
	return terminal && getenv("TERM") != "dumb" && getenv("CLICOLOR") != "0", nil
}

// LevelStyle returns the color of a level.
func LevelStyle(l slog.Level) Style {
	switch {
	case l > slog.LevelError:
		return redBold
	case l == slog.LevelError:
		return red
	case l >= slog.LevelWarn:
		return yellow
	case l >= slog.LevelInfo:
		return green
	default:
		return dim
	}
}

// StreamStyle returns the color of a stream, which is the same in every run. Red and yellow are reserved for errors
// and warnings.
func StreamStyle(stream string) Style {
	h := fnv.New32a()
	_, _ = h.Write([]byte(stream))
	colors := [...]Style{"\x1b[32m", "\x1b[34m", "\x1b[35m", "\x1b[36m", "\x1b[92m", "\x1b[94m", "\x1b[95m", "\x1b[96m"}
	return colors[h.Sum32()%uint32(len(colors))]
}
