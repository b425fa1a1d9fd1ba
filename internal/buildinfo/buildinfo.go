// Package buildinfo tells which versions a program was built from.
package buildinfo

import (
	"cmp"
	"runtime/debug"
)

const module = "github.com/kafkaesk/kafkaesk"

// Version returns the version of kafkaesk that is part of the program; "unknown" when it was built in a work tree.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == module && m.Version != "" {
			return m.Version
		}
	}
	return "unknown"
}

// Line is what a program prints for --version: its version when it was installed by one, the commit when it was built
// in a work tree, the kafkaesk that is part of it, and the version of Go.
func Line(program string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return line(program, info)
}

func line(program string, info *debug.BuildInfo) string {
	text := program + " " + cmp.Or(info.Main.Version, "(unknown version)")
	settings := make(map[string]string, len(info.Settings))
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if commit := settings["vcs.revision"]; commit != "" {
		text += ", commit " + commit
		if settings["vcs.modified"] == "true" {
			text += " with changes"
		}
	}
	for _, m := range info.Deps {
		if m.Path == module {
			text += ", kafkaesk " + m.Version
		}
	}
	if info.GoVersion != "" {
		text += ", " + info.GoVersion
	}
	return text
}
