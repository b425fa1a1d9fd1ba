package main

import "strings"

// splitGoFlags splits $GOFLAGS as the go command does: at blanks that are not in quotes. The go command itself
// refuses an unterminated quote.
func splitGoFlags(s string) []string {
	var flags []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		end, quote := strings.IndexAny(s, " \t\r\n"), 0
		if s[0] == '"' || s[0] == '\'' {
			end, quote = strings.IndexByte(s[1:], s[0]), 1
		}
		if end < 0 {
			return append(flags, s[quote:])
		}
		flags = append(flags, s[quote:quote+end])
		s = s[end+2*quote:]
	}
	return flags
}

// stringFlag returns the value of the last flag with this name, given as -name=value or as -name value; "" without
// one.
func stringFlag(flags []string, name string) (value string) {
	for i, flag := range flags {
		given, v, ok := strings.Cut(flag, "=")
		if given != "-"+name && given != "--"+name {
			continue
		}
		if !ok && i+1 < len(flags) {
			v = flags[i+1]
		}
		value = v
	}
	return value
}

// boolFlag reports whether the last boolean flag with this name is true.
func boolFlag(flags []string, name string) (on bool) {
	for _, flag := range flags {
		given, v, ok := strings.Cut(flag, "=")
		if given == "-"+name || given == "--"+name {
			on = !ok || v == "true" || v == "1"
		}
	}
	return on
}
