package logrecord

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// The functions in this file walk JSON that is known to be valid (the caller has checked it, or made it). They do not
// recurse, whatever the nesting, except where a depth bounds them.

// space returns the index of the first byte at or after i that is not white space.
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index after the string that starts at i.
func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skip returns the index after the value that starts at i.
func skip(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		for depth := 0; ; {
			switch b[i] {
			case '"':
				i = skipString(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			i++
			if depth == 0 {
				return i
			}
		}
	}
	for i < len(b) {
		switch b[i] {
		case ',', '}', ']', ' ', '\n', '\t', '\r':
			return i
		}
		i++
	}
	return i
}

// next returns where the object's member that follows i stands: its key, its value, the value's end, and where to look for
// the one after it. It returns key -1 at the end of the object.
func next(doc []byte, i int) (key, val, end, after int) {
	if key = space(doc, i); doc[key] == '}' {
		return -1, 0, 0, 0
	}
	val = space(doc, space(doc, skipString(doc, key))+1) // over the colon
	end = skip(doc, val)
	if after = space(doc, end); doc[after] == ',' {
		after++
	}
	return key, val, end, after
}

// members calls f for each member of the object doc, with its quoted key and its value, until f returns false.
func members(doc []byte, f func(key, value []byte) bool) {
	for i := space(doc, 0) + 1; ; {
		key, val, end, after := next(doc, i)
		if key < 0 || !f(doc[key:skipString(doc, key)], doc[val:end]) {
			return
		}
		i = after
	}
}

// elements calls f for each element of the array doc, until f returns false.
func elements(doc []byte, f func(value []byte) bool) {
	i := space(doc, 0) + 1
	for {
		i = space(doc, i)
		if doc[i] == ']' {
			return
		}
		end := skip(doc, i)
		if !f(doc[i:end]) {
			return
		}
		if i = space(doc, end); doc[i] == ',' {
			i++
		}
	}
}

// simple tells whether the string literal says what it means: no escapes, all of it UTF-8.
func simple(quoted []byte) bool { return bytes.IndexByte(quoted, '\\') < 0 && utf8.Valid(quoted) }

// unquote returns the text of a string literal.
func unquote(quoted []byte) string {
	if simple(quoted) {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // a literal that was found valid
	return s
}

// isNull tells whether the value is null.
func isNull(value []byte) bool { return len(value) == 4 && value[0] == 'n' }
