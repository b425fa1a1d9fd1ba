package main

import (
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"
)

// appendSafeJSON appends a JSON value that was found valid and begins with no white space. It leaves white space out, and writes what
// is active, and what is no UTF-8, as escapes. Numbers, and the escapes that are there, stay as they were written. A member of the
// value itself that has a reserved name is renamed.
func appendSafeJSON(dst, value []byte) []byte {
	depth := 0
	name := false // the next string is the name of a member of value itself
	for i := 0; i < len(value); {
		c := value[i]
		switch c {
		case ' ', '\t', '\r', '\n':
			i++
			continue
		case '"':
			end := stringEnd(value, i)
			text := value[i+1 : end-1]
			dst = append(dst, '"')
			if name && isReserved(text) {
				dst = append(dst, "attr_"...)
			}
			dst = appendSafeText(dst, text)
			dst = append(dst, '"')
			name = false
			i = end
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		name = depth == 1 && value[0] == '{' && (c == '{' || c == ',')
		dst = append(dst, c)
		i++
	}
	return dst
}

// stringEnd returns the index after the string that begins at i.
func stringEnd(value []byte, i int) int {
	for i++; value[i] != '"'; i++ {
		if value[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// isReserved tells whether the inside of a string literal is a reserved name, however it is spelled: "\u005ftopic" is _topic too.
func isReserved(text []byte) bool {
	if len(text) == 0 || text[0] != '_' && text[0] != '\\' {
		return false
	}
	var name string
	_ = json.Unmarshal([]byte(`"`+string(text)+`"`), &name) // a literal that was found valid
	return reserved(name)
}

// appendSafeText appends the inside of a string literal.
func appendSafeText(dst, text []byte) []byte {
	start := 0 // of what is not yet copied
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf && c != 0x7f {
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if active(r) || r == utf8.RuneError && size == 1 {
			dst = append(dst, text[start:i]...)
			start = i + size
			if high, low := utf16.EncodeRune(r); r > 0xffff {
				dst = appendUnit(appendUnit(dst, high), low)
			} else {
				dst = appendUnit(dst, r)
			}
		}
		i += size
	}
	return append(dst, text[start:]...)
}

// appendUnit appends one UTF-16 unit as JSON's escape.
func appendUnit(dst []byte, u rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}

// appendString appends text as a JSON string.
func appendString(dst []byte, text string) []byte {
	quoted, _ := json.Marshal(text) // there is no string that cannot be
	return appendSafeJSON(dst, quoted)
}
