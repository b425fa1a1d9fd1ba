package envelope

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// text skips a string, eight bytes at a time while they are plain.
func text(b []byte, i int) (int, error) {
	start := i
	var seen uint64 // every byte so far, or'ed together: its high bits show whether any was not ASCII
	var err error
	for i++; i < len(b); {
		if i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			seen |= w
			found := stops(w)
			if found == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(found) / 8
		}
		switch c := b[i]; {
		case c == '"':
			if seen&high != 0 && !utf8.Valid(b[start:i]) {
				return 0, notUTF8(b, start, i)
			}
			return i + 1, nil
		case c == '\\':
			if i, err = escape(b, i); err != nil {
				return 0, err
			}
		case c < ' ':
			return 0, fmt.Errorf("not JSON at byte %d: control character %#02x in a string, where it must be escaped", i, c)
		default:
			seen |= uint64(c)
			i++
		}
	}
	return 0, unexpected(b, i, `'"' at the end of a string`)
}

const (
	ones = 0x0101010101010101
	high = 0x80 * ones
)

// stops sets the high bit of the lowest byte in w that ends a run of plain characters: a quote, a backslash or a
// control character. Bytes above it may be set wrongly. The result is zero when there is no such byte.
func stops(w uint64) uint64 {
	quote, backslash := w^'"'*ones, w^'\\'*ones
	return ((w-' '*ones)&^w | (quote-ones)&^quote | (backslash-ones)&^backslash) & high
}

// escape skips an escape sequence; of a surrogate pair, both halves.
func escape(b []byte, i int) (int, error) {
	if i+1 == len(b) {
		return 0, unexpected(b, i+1, "an escape")
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, nil
	case 'u':
	default:
		return 0, unexpected(b, i+1, "an escape")
	}
	r, err := unit(b, i)
	if err != nil {
		return 0, err
	}
	switch {
	case r < 0xd800 || r > 0xdfff:
		return i + 6, nil
	case r < 0xdc00 && i+7 < len(b) && b[i+6] == '\\' && b[i+7] == 'u':
		low, err := unit(b, i+6)
		if err != nil {
			return 0, err
		}
		if 0xdc00 <= low && low <= 0xdfff {
			return i + 12, nil
		}
	}
	return 0, fmt.Errorf("not Unicode at byte %d: half a surrogate pair, %s", i, b[i:i+6])
}

// unit decodes the four digits of the \u at i.
func unit(b []byte, i int) (rune, error) {
	var r rune
	for i, end := i+2, i+6; i < end; i++ {
		if i == len(b) {
			return 0, unexpected(b, i, "a hexadecimal digit")
		}
		switch c := b[i]; {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, unexpected(b, i, "a hexadecimal digit")
		}
	}
	return r, nil
}

// number skips a number.
func number(b []byte, i int) (int, error) {
	if b[i] == '-' {
		i++
	}
	var err error
	if i < len(b) && b[i] == '0' {
		i++
	} else if i, err = digits(b, i); err != nil {
		return 0, err
	}
	if i < len(b) && b[i] == '.' {
		if i, err = digits(b, i+1); err != nil {
			return 0, err
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return digits(b, i)
	}
	return i, nil
}

// digits skips one or more decimal digits.
func digits(b []byte, i int) (int, error) {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i == start {
		return 0, unexpected(b, i, "a digit")
	}
	return i, nil
}

// word skips true, false or null.
func word(b []byte, i int, want string) (int, error) {
	if end := i + len(want); end <= len(b) && string(b[i:end]) == want {
		return end, nil
	}
	return 0, unexpected(b, i, "a value")
}

func unexpected(b []byte, i int, want string) error {
	if i == len(b) {
		return fmt.Errorf("not JSON at byte %d: the value ends where %s should be", i, want)
	}
	return fmt.Errorf("not JSON at byte %d: %s where %s should be", i, character(b[i:]), want)
}

// character formats the first character of b, or its first byte when it is not UTF-8.
func character(b []byte) string {
	if r, n := utf8.DecodeRune(b); r != utf8.RuneError || n > 1 {
		return fmt.Sprintf("%q", r)
	}
	return fmt.Sprintf("the byte %#02x", b[0])
}

func notUTF8(b []byte, i, end int) error {
	for i < end {
		r, n := utf8.DecodeRune(b[i:end])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	return fmt.Errorf("not UTF-8 at byte %d: the byte %#02x", i, b[i])
}

func tooDeep(i int) error {
	return fmt.Errorf("too deep at byte %d: more than %d nested objects and arrays", i, MaxDepth)
}
