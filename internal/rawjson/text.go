package rawjson

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// What AppendText writes for bytes that are no UTF-8.
const (
	// Escaped is encoding/json's form.
	Escaped = `\ufffd`
	// Plain gives every text exactly one form, so that keys can be compared as they are written.
	Plain = "\uFFFD"
)

// stands tells of each byte whether it stands for itself in a JSON text.
var stands = func() (table [256]bool) {
	for b := ' '; b < utf8.RuneSelf; b++ {
		table[b] = b != '"' && b != '\\'
	}
	return table
}()

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special tells whether one of eight bytes of a text does not stand for itself.
func special(w uint64) bool {
	quote, backslash := w^ones*'"', w^ones*'\\'
	// the highest bit of a byte is set for one that is not ASCII, is below a space, or is zero in quote or backslash
	return (w|(w-ones*' ')&^w|(quote-ones)&^quote|(backslash-ones)&^backslash)&highs != 0
}

// four and eight return the bytes of a text from i on.
func four(text string, i int) uint64 {
	at := text[i : i+4]
	return uint64(at[0]) | uint64(at[1])<<8 | uint64(at[2])<<16 | uint64(at[3])<<24
}

func eight(text string, i int) uint64 {
	at := text[i : i+8]
	return uint64(at[0]) | uint64(at[1])<<8 | uint64(at[2])<<16 | uint64(at[3])<<24 |
		uint64(at[4])<<32 | uint64(at[5])<<40 | uint64(at[6])<<48 | uint64(at[7])<<56
}

// AppendText appends a text in quotes, without escapes for HTML and with broken for each byte that is no UTF-8. Mostly
// each byte stands for itself: it looks at eight at a time, or four, and copies them, some of the last ones twice.
func AppendText(dst []byte, text, broken string) []byte {
	start, n := len(dst), len(text)
	dst = slices.Grow(dst, n+2)[:start+n+2]
	out := dst[start : start+n+2]
	out[0], out[n+1] = '"', '"'
	out = out[1:]
	i := 0
	switch {
	case n >= 8:
		for ; i < n-8; i += 8 {
			w := eight(text, i)
			if special(w) {
				return finishText(dst[:start+1+i], text[i:], broken)
			}
			binary.LittleEndian.PutUint64(out[i:], w)
		}
		w := eight(text, n-8)
		if special(w) {
			break
		}
		binary.LittleEndian.PutUint64(out[n-8:], w)
		return dst
	case n >= 4:
		low, high := four(text, 0), four(text, n-4)
		if special(low | high<<32) {
			break
		}
		binary.LittleEndian.PutUint32(out, uint32(low))
		binary.LittleEndian.PutUint32(out[n-4:], uint32(high))
		return dst
	case n > 0:
		first, middle, last := text[0], text[n/2], text[n-1]
		if !stands[first] || !stands[middle] || !stands[last] {
			break
		}
		out[0], out[n/2], out[n-1] = first, middle, last
		return dst
	default:
		return dst
	}
	return finishText(dst[:start+1+i], text[i:], broken)
}

// finishText appends the rest of a text, from its first bytes on that may need an escape, and the quote.
func finishText(dst []byte, text, broken string) []byte {
	return append(appendRest(dst, text, broken), '"')
}

// appendRest appends a text from its first byte on that may need an escape.
func appendRest(dst []byte, text, broken string) []byte {
	done := 0 // what is before it has been appended
	for i := 0; i < len(text); {
		b := text[i]
		if stands[b] {
			i++
			continue
		}
		if b >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(text[i:])
			if i += size; r == utf8.RuneError && size == 1 {
				dst = append(append(dst, text[done:i-1]...), broken...)
				done = i
			}
			continue
		}
		dst = append(dst, text[done:i]...)
		i++
		done = i
		dst = appendEscape(dst, b)
	}
	return append(dst, text[done:]...)
}

// appendEscape appends a quote, a backslash or a control character.
func appendEscape(dst []byte, b byte) []byte {
	switch b {
	case '"', '\\':
		return append(dst, '\\', b)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	default:
		const hex = "0123456789abcdef"
		return append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&0xf])
	}
}

// AppendFloat appends a number as JavaScript writes it, the shortest that reads back as f. It is not ok for infinities
// and NaN.
func AppendFloat(dst []byte, f float64, bits int) (out []byte, ok bool) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return dst, false
	}
	format := byte('f')
	small, large := math.Abs(f) < 1e-6, math.Abs(f) >= 1e21
	if bits == 32 {
		small, large = math.Abs(f) < float64(float32(1e-6)), math.Abs(f) >= float64(float32(1e21))
	}
	if f != 0 && (small || large) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, bits)
	if n := len(dst); format == 'e' && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' { // e-09 is e-9
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst, true
}
