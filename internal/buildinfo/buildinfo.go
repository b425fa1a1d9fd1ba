// Package buildinfo tells which versions a program was built from.
package buildinfo

import "runtime/debug"

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
