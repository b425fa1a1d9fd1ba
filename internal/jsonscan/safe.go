package jsonscan

import (
	"unicode/utf8"
)

// AppendSafe appends a JSON value that was found valid so that every strict parser takes it and nothing in it acts on a
// terminal: white space is left out, active characters, bytes that are no UTF-8 and halves of surrogate pairs become
// escapes, objects and arrays deeper than levels become strings that hold their JSON, and of a key that an object has
// twice the last value stays, in the place of the first. Numbers stay as they were written.
func AppendSafe(dst, value []byte, levels int, active func(rune) bool) []byte {
	switch value[0] {
	case '"':
		dst = append(dst, '"')
		dst = AppendSafeText(dst, value[1:len(value)-1], active)
		return append(dst, '"')
	case '{', '[':
	default:
		return append(dst, value...)
	}
	if levels == 0 {
		return AppendString(dst, string(compact(value)), active)
	}
	if value[0] == '[' {
		return appendSafeArray(dst, value, levels, active)
	}
	dst = append(dst, '{')
	for i, m := range unique(value) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = AppendSafeText(dst, m.name, active)
		dst = append(dst, `":`...)
		dst = AppendSafe(dst, m.value, levels-1, active)
	}
	return append(dst, '}')
}

func appendSafeArray(dst, value []byte, levels int, active func(rune) bool) []byte {
	dst = append(dst, '[')
	for i := skipSpace(value, 1); value[i] != ']'; {
		if value[i] == ',' {
			dst = append(dst, ',')
			i = skipSpace(value, i+1)
		}
		end := skip(value, i)
		dst = AppendSafe(dst, value[i:end], levels-1, active)
		i = skipSpace(value, end)
	}
	return append(dst, ']')
}

type namedValue struct{ name, value []byte }

// unique returns the members of an object, each name once with its last value.
func unique(object []byte) []namedValue {
	var members []namedValue
	Walk(object, func(name, value []byte) bool {
		members = append(members, namedValue{name, value})
		return true
	})
	if len(members) < 2 {
		return members
	}
	index := make(map[string]int, len(members))
	kept := members[:0]
	for _, m := range members {
		text := Text(m.name)
		if i, ok := index[text]; ok {
			kept[i].value = m.value
			continue
		}
		index[text] = len(kept)
		kept = append(kept, m)
	}
	return kept
}

// Unique calls f for each member of an object that was found valid, each name once with its last value.
func Unique(object []byte, f func(name, value []byte)) {
	for _, m := range unique(object) {
		f(m.name, m.value)
	}
}

// compact returns a value without the white space between its tokens.
func compact(value []byte) []byte {
	out := make([]byte, 0, len(value))
	for i := 0; i < len(value); {
		switch c := value[i]; {
		case c == '"':
			end := stringEnd(value, i)
			out = append(out, value[i:end]...)
			i = end
		case c <= ' ':
			i++
		default:
			out = append(out, c)
			i++
		}
	}
	return out
}

// AppendSafeText appends the inside of a string literal that was found valid: see [AppendSafe].
func AppendSafeText(dst, text []byte, active func(rune) bool) []byte {
	start := 0 // of what is not yet copied
	for i := 0; i < len(text); {
		c := text[i]
		if c == '\\' {
			end, half := Escape(text, i)
			if half {
				dst = append(append(dst, text[start:i]...), `\ufffd`...)
				start = end
			}
			i = end
			continue
		}
		if c < utf8.RuneSelf && c != 0x7f {
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 || active(r) {
			dst = appendUnits(append(dst, text[start:i]...), r)
			start = i + size
		}
		i += size
	}
	return append(dst, text[start:]...)
}

// IsInert reports whether [AppendSafe] has nothing to change in the strings of a value that was found valid.
func IsInert(value []byte, active func(rune) bool) bool {
	for i := 0; i < len(value); {
		c := value[i]
		if c == '\\' {
			end, half := Escape(value, i)
			if half {
				return false
			}
			i = end
			continue
		}
		if c < 0x7f {
			i++
			continue
		}
		r, size := utf8.DecodeRune(value[i:])
		if r == utf8.RuneError && size == 1 || active(r) {
			return false
		}
		i += size
	}
	return true
}

// AppendString appends text as a JSON string. Bytes that are no UTF-8 become \ufffd, active characters escapes.
func AppendString(dst []byte, text string, active func(rune) bool) []byte {
	dst = append(dst, '"')
	start := 0 // of what is not yet copied
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		if r != '"' && r != '\\' && (r >= ' ' && r < 0x7f || r >= 0x80 && !active(r) && (r != utf8.RuneError ||
			size > 1)) {
			i += size
			continue
		}
		dst = append(dst, text[start:i]...)
		switch r {
		case '"', '\\':
			dst = append(dst, '\\', byte(r))
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = appendUnits(dst, r)
		}
		i += size
		start = i
	}
	dst = append(dst, text[start:]...)
	return append(dst, '"')
}

// appendUnits appends a rune as the escapes of its UTF-16 units.
func appendUnits(dst []byte, r rune) []byte {
	if r <= 0xffff {
		return appendUnit(dst, r)
	}
	r -= 0x10000
	return appendUnit(appendUnit(dst, 0xd800+r>>10), 0xdc00+r&0x3ff)
}

func appendUnit(dst []byte, u rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}
