// Package rawjson reads and writes JSON as bytes: it walks values without decoding them, and writes texts and numbers
// as encoding/json does.
//
// The functions that walk are for JSON that is known to be valid, because the caller has checked it or made it. They do
// not recurse, whatever the nesting, except where a depth bounds them.
package rawjson

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// Space returns the index of the first byte at or after i that is not white space.
func Space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// SkipString returns the index after the string that starts at i.
func SkipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// Skip returns the index after the value that starts at i.
func Skip(b []byte, i int) int {
	switch b[i] {
	case '"':
		return SkipString(b, i)
	case '{', '[':
		for depth := 0; ; {
			switch b[i] {
			case '"':
				i = SkipString(b, i)
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

// Member is where a member of an object stands: its key, the end of the key, its value.
type Member struct{ Key, KeyEnd, Value int }

// NextMember returns the member at or after i, which is behind the object's opening brace or behind the value of
// another member. It is not ok at the end of the object; then m.Key is the closing brace.
func NextMember(b []byte, i int) (m Member, ok bool) {
	i = Space(b, i)
	if b[i] == ',' {
		i = Space(b, i+1)
	}
	if b[i] == '}' {
		return Member{Key: i}, false
	}
	m.Key, m.KeyEnd = i, SkipString(b, i)
	m.Value = Space(b, Space(b, m.KeyEnd)+1) // over the colon
	return m, true
}

// NextElement returns the index of the element at or after i, which is behind the array's opening bracket or behind
// another element. It is not ok at the end of the array; then the index is that of the closing bracket.
func NextElement(b []byte, i int) (int, bool) {
	i = Space(b, i)
	if b[i] == ',' {
		i = Space(b, i+1)
	}
	return i, b[i] != ']'
}

// Members calls f for each member of the object doc, with its quoted key and its value, until f returns false.
func Members(doc []byte, f func(key, value []byte) bool) {
	for i := Space(doc, 0) + 1; ; {
		m, ok := NextMember(doc, i)
		if !ok {
			return
		}
		i = Skip(doc, m.Value)
		if !f(doc[m.Key:m.KeyEnd], doc[m.Value:i]) {
			return
		}
	}
}

// Elements calls f for each element of the array doc, until f returns false.
func Elements(doc []byte, f func(value []byte) bool) {
	for i := Space(doc, 0) + 1; ; {
		at, ok := NextElement(doc, i)
		if !ok {
			return
		}
		i = Skip(doc, at)
		if !f(doc[at:i]) {
			return
		}
	}
}

// IsNull reports whether the value is null.
func IsNull(value []byte) bool { return len(value) == 4 && value[0] == 'n' }

// Simple reports whether the string literal says what it means: no escapes, all of it UTF-8.
func Simple(quoted []byte) bool { return bytes.IndexByte(quoted, '\\') < 0 && utf8.Valid(quoted) }

// Unquote returns the text of a string literal, with U+FFFD for what is no UTF-8, as encoding/json decodes it.
func Unquote(quoted []byte) string {
	if Simple(quoted) {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // a literal that was found valid
	return s
}
