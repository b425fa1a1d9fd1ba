package logtext

import (
	"bytes"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// Nothing that comes from a record, or from a broker, reaches the output as it is: who can log could otherwise move
// the cursor, retitle the window, hide text or forge lines in the terminal of whoever reads (CVE-2009-4487 is of this
// class).

// Active tells whether a rune does something other than stand for itself: controls (C0, DEL, C1), the separators that
// some programs take for the end of a line, and format characters, which turn the direction of text around or cannot
// be seen.
func Active(r rune) bool {
	switch {
	case r < 0x20 || r >= 0x7f && r < 0xa0:
		return true
	case r < 0xa0:
		return false
	}
	return r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Cf, r)
}

// ActiveInText is Active for running text, in which the two joiners have their place: in Persian, and in emoji.
func ActiveInText(r rune) bool { return r != '\u200c' && r != '\u200d' && Active(r) }

// AppendText appends text for people: as it is, with what is active as \n, \x1b, \u202e, and bytes that are no UTF-8
// as \xff.
func AppendText(dst []byte, text string) []byte { return appendEscaped(dst, text, ActiveInText) }

// AppendName is AppendText for names of things, in which nothing may hide.
func AppendName(dst []byte, name string) []byte { return appendEscaped(dst, name, Active) }

func appendEscaped(dst []byte, text string, active func(rune) bool) []byte {
	start := 0 // of what is not yet copied
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

// Writer escapes what is written through it but for the ends of lines. A Write is taken for whole characters.
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
