package main

import (
	"fmt"
	"hash/fnv"
	"log/slog"
)

// style is an ANSI sequence that begins a style; empty for none.
type style string

const (
	plain   style = ""
	bold    style = "\x1b[1m"
	dim     style = "\x1b[2m"
	red     style = "\x1b[31m"
	green   style = "\x1b[32m"
	yellow  style = "\x1b[33m"
	redBold style = "\x1b[1;31m"
	reset         = "\x1b[0m"
)

// useColor decides by the flag, then the environment (no-color.org, force-color.org, bixense.com/clicolors), then the terminal.
func useColor(flag string, terminal bool, getenv func(string) string) (bool, error) {
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

func levelStyle(l slog.Level) style {
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

// streamStyle gives a stream its colour, the same in every run. Red and yellow are not among them: they mean errors and warnings.
func streamStyle(stream string) style {
	h := fnv.New32a()
	_, _ = h.Write([]byte(stream))
	colors := [...]style{"\x1b[32m", "\x1b[34m", "\x1b[35m", "\x1b[36m", "\x1b[92m", "\x1b[94m", "\x1b[95m", "\x1b[96m"}
	return colors[h.Sum32()%uint32(len(colors))]
}
