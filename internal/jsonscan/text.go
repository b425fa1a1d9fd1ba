package jsonscan

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Is reports whether a string literal's inside, which was found valid, means name. It allocates only for one with
// escapes.
func Is(literal []byte, name string) bool {
	if bytes.IndexByte(literal, '\\') < 0 {
		return string(literal) == name
	}
	return Text(literal) == name
}

// Text returns what a string literal's inside means, which was found valid: escapes are decoded, and what is no
// UTF-8, or half of a surrogate pair, is U+FFFD.
func Text(literal []byte) string {
	if bytes.IndexByte(literal, '\\') < 0 {
		if utf8.Valid(literal) {
			return string(literal)
		}
		return strings.ToValidUTF8(string(literal), "\ufffd")
	}
	return string(AppendText(make([]byte, 0, len(literal)), literal))
}

// AppendText appends what a string literal's inside means, as [Text] returns it.
func AppendText(dst, literal []byte) []byte {
	for i := 0; i < len(literal); {
		c := literal[i]
		if c == '\\' {
			var r rune
			r, i = unescape(literal, i)
			dst = utf8.AppendRune(dst, r)
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(literal[i:])
		dst = utf8.AppendRune(dst, r)
		i += size
	}
	return dst
}

// unescape decodes the escape at i, and returns where it ends.
func unescape(b []byte, i int) (rune, int) {
	switch c := b[i+1]; c {
	case 'b':
		return '\b', i + 2
	case 'f':
		return '\f', i + 2
	case 'n':
		return '\n', i + 2
	case 'r':
		return '\r', i + 2
	case 't':
		return '\t', i + 2
	case 'u':
	default:
		return rune(c), i + 2
	}
	r, _ := unit(b, i)
	if !utf16.IsSurrogate(r) {
		return r, i + 6
	}
	if low, ok := unit(b, i+6); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, i + 12
		}
	}
	return utf8.RuneError, i + 6
}

// Escape returns where the escape at i ends, and whether it is half of a surrogate pair. Of a pair it passes both
// halves.
func Escape(literal []byte, i int) (end int, half bool) {
	r, end := unescape(literal, i)
	return end, r == utf8.RuneError && literal[i+1] == 'u' && !isReplacement(literal, i)
}

// isReplacement reports whether the \u at i is that of U+FFFD itself.
func isReplacement(literal []byte, i int) bool {
	u, _ := unit(literal, i)
	return u == utf8.RuneError
}

// Walk calls f for each member of an object, which was found valid, until f returns false. Its name has no quotes.
func Walk(object []byte, f func(name, value []byte) bool) {
	i := skipSpace(object, 1)
	for object[i] == '"' {
		end := stringEnd(object, i)
		name := object[i+1 : end-1]
		start := skipSpace(object, skipSpace(object, end)+1)
		if i = skip(object, start); !f(name, object[start:i:i]) {
			return
		}
		if i = skipSpace(object, i); object[i] == '}' {
			return
		}
		i = skipSpace(object, i+1)
	}
}

// Find returns the value of an object's member, nil if there is none; of several, the last. The object was found valid.
func Find(object []byte, name string) (value []byte) {
	Walk(object, func(n, v []byte) bool {
		if Is(n, name) {
			value = v
		}
		return true
	})
	return value
}

func skipSpace(b []byte, i int) int {
	for b[i] <= ' ' {
		i++
	}
	return i
}

// stringEnd returns the index after the string that begins at i.
func stringEnd(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skip returns the index after the value that begins at i, which was found valid.
func skip(b []byte, i int) int {
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
	default:
		for i < len(b) && b[i] > ' ' && b[i] != ',' && b[i] != '}' && b[i] != ']' {
			i++
		}
		return i
	}
	for depth := 0; ; {
		switch b[i] {
		case '"':
			i = stringEnd(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
}
