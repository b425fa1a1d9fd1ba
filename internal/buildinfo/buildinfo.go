// Package buildinfo reports the versions that a program was built from.
package buildinfo

import (
	"cmp"
	"runtime/debug"
)

const module = "github.com/kafkaesk/kafkaesk"

// Version returns the version of the kafkaesk module in the program; "unknown" for a build in a work tree.
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

// Line returns the output of --version: the program's version when it was installed by version, the commit when it
// was built in a work tree, the version of the kafkaesk module, and the version of Go.
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
			text += " (modified)"
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
