package logtext

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// appendWord appends a text value or name: unquoted if it is one plain word, else in Go's quotes, so that no part of
// it looks like another field.
func appendWord(dst []byte, text string) []byte {
	if text == "" || strings.ContainsAny(text, " =\"\\") || !printable(text) {
		return strconv.AppendQuote(dst, text)
	}
	return append(dst, text...)
}

// appendMessage appends a message: with active runes escaped, or in Go's quotes if it contains the syntax of fields.
func appendMessage(dst []byte, text string) []byte {
	if strings.ContainsAny(text, "=\"\\") {
		return strconv.AppendQuote(dst, text)
	}
	return AppendText(dst, text)
}

// printable reports whether the text has only visible characters.
func printable(text string) bool {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f {
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 || !strconv.IsPrint(r) {
			return false
		}
		i += size
	}
	return true
}

// cut returns the first bytes of a text, at most most, and whether it left out any.
func cut(text string, most int) (string, bool) {
	if most <= 0 || len(text) <= most {
		return text, false
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most], true
}

// appendSize appends the mark of a cut value: its full size.
func appendSize(dst []byte, n int) []byte { return fmt.Appendf(dst, "…(%s)", Size(n)) }

// Size formats a number of bytes for people: 812 B, 300 kB, 1.2 MB.
func Size(n int) string {
	switch {
	case n < 1000:
		return strconv.Itoa(n) + " B"
	case n < 10_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	case n < 999_500:
		return fmt.Sprintf("%.0f kB", float64(n)/1000)
	case n < 10_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	default:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	}
}

// pad appends blanks up to a width in columns.
func pad(text []byte, width int) []byte {
	return append(text, bytes.Repeat([]byte{' '}, max(0, width-columns(string(text))))...)
}

// columns returns the width of a text in columns of a terminal: East Asian letters and emoji are two wide, combining
// marks zero.
func columns(text string) (n int) {
	for _, r := range text {
		switch {
		case r < 0x300:
			n++
		case r < 0x370 || r == 0x200d || r >= 0xfe00 && r <= 0xfe0f:
		case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 &&
			r <= 0xfaff,
			r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 &&
				r <= 0x1faff,
			r >= 0x20000 && r <= 0x3fffd:
			n += 2
		default:
			n++
		}
	}
	return n
}
