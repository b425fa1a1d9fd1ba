package rawjson

import (
	"encoding/binary"
	"math/bits"
	"slices"
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

// plain returns a word in which the highest bit of each byte is set whose byte in w, eight bytes of a text, stands for
// itself. From the lowest byte on that does not, other bits may be wrong.
func plain(w uint64) uint64 {
	// Without its second bit a quote is a space, so that what is left below '!' is all that is not allowed but a
	// backslash.
	return (w ^ ones*2 + ones*(0x80-'!')) & (w ^ ones*'\\' + ones*0x7f) &^ w & highs
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
// each byte stands for itself: they are copied, and looked at eight at a time, some of the last ones twice.
func AppendText(dst []byte, text, broken string) []byte {
	start, n := len(dst), len(text)
	if cap(dst)-start < n+2 {
		dst = slices.Grow(dst, n+2)
	}
	dst = dst[:start+n+2]
	dst[start], dst[start+n+1] = '"', '"'
	out := dst[start+1:]
	right := uint64(highs)
	switch {
	case n > 16:
		copy(out, text)
		right = plain(eight(text, n-8))
		rest := text
		for ; len(rest) > 32; rest = rest[32:] {
			right &= plain(eight(rest, 0)) & plain(eight(rest, 8)) & plain(eight(rest, 16)) & plain(eight(rest, 24))
		}
		for ; len(rest) > 8; rest = rest[8:] {
			right &= plain(eight(rest, 0))
		}
	case n >= 8:
		first, last := eight(text, 0), eight(text, n-8)
		right = plain(first) & plain(last)
		binary.LittleEndian.PutUint64(out, first)
		binary.LittleEndian.PutUint64(out[n-8:], last)
	case n >= 4:
		first, last := four(text, 0), four(text, n-4)
		right = plain(first | last<<32)
		binary.LittleEndian.PutUint32(out, uint32(first))
		binary.LittleEndian.PutUint32(out[n-4:], uint32(last))
	case n > 0:
		first, middle, last := text[0], text[n/2], text[n-1]
		if !stands[first] || !stands[middle] || !stands[last] {
			right = 0
		}
		out[0], out[n/2], out[n-1] = first, middle, last
	}
	if right != highs {
		return append(appendWithEscapes(dst[:start+1], text, broken), '"')
	}
	return dst
}

// appendWithEscapes appends a whole text in which some byte does not stand for itself, without the quotes. It writes
// broken for each byte that is no UTF-8.
func appendWithEscapes(dst []byte, text, broken string) []byte {
	done := 0 // what is before it has been appended
	for i := 0; i < len(text); {
		b := text[i]
		if stands[b] {
			if i++; i+8 <= len(text) {
				i += bits.TrailingZeros64(^plain(eight(text, i))&highs) / 8
			}
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
