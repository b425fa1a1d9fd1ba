package logtext

import (
	"bytes"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// No text of a record or of a broker reaches the output unescaped: an attacker who can log could otherwise move the
// cursor, change the title of the window, hide text or forge lines in the reader's terminal (compare CVE-2009-4487).

// Active reports whether a rune has an effect on a terminal: controls (C0, DEL, C1), the separators that some
// programs treat as line ends, and format characters, which are invisible or change the direction of text.
func Active(r rune) bool {
	switch {
	case r < 0x20 || r >= 0x7f && r < 0xa0:
		return true
	case r < 0xa0:
		return false
	}
	return r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Cf, r)
}

// ActiveInText is Active for running text, where the two joiners are allowed: Persian and emoji need them.
func ActiveInText(r rune) bool { return r != '\u200c' && r != '\u200d' && Active(r) }

// AppendText appends text for people. Active runes are written as \n, \x1b or \u202e, invalid UTF-8 as \xff.
func AppendText(dst []byte, text string) []byte { return appendEscaped(dst, text, ActiveInText) }

// AppendName is AppendText for names of things, in which nothing may be invisible.
func AppendName(dst []byte, name string) []byte { return appendEscaped(dst, name, Active) }

func appendEscaped(dst []byte, text string, active func(rune) bool) []byte {
	start := 0 // of the part that is not copied yet
	for i := 0; i < len(text); {
		r, size := rune(text[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(text[i:])
		}
		if broken := r == utf8.RuneError && size == 1; broken || active(r) {
			dst = append(dst, text[start:i]...)
			start = i + size
			switch {
			case r == '\n':
				dst = append(dst, `\n`...)
			case r == '\r':
				dst = append(dst, `\r`...)
			case r == '\t':
				dst = append(dst, `\t`...)
			case broken:
				dst = fmt.Appendf(dst, `\x%02x`, text[i])
			case r < utf8.RuneSelf:
				dst = fmt.Appendf(dst, `\x%02x`, r)
			case r > 0xffff:
				dst = fmt.Appendf(dst, `\U%08x`, r)
			default:
				dst = fmt.Appendf(dst, `\u%04x`, r)
			}
		}
		i += size
	}
	return append(dst, text[start:]...)
}

// Writer escapes everything that is written through it, except line ends. Each Write must contain whole characters.
type Writer struct{ W io.Writer }

func (e Writer) Write(p []byte) (int, error) {
	var safe []byte
	for line := range bytes.Lines(p) {
		text, ended := bytes.CutSuffix(line, []byte("\n"))
		if safe = AppendText(safe, string(text)); ended {
			safe = append(safe, '\n')
		}
	}
	if _, err := e.W.Write(safe); err != nil {
		return 0, err
	}
	return len(p), nil
}
