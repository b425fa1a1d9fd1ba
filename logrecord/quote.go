package logrecord

import (
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// appendString appends s as a JSON string, without HTML escaping. A byte that is not UTF-8 becomes U+FFFD. A text has exactly
// one form, so that keys can be compared in it.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	i := 0
	for i < len(s) && s[i] >= ' ' && s[i] < utf8.RuneSelf && s[i] != '"' && s[i] != '\\' {
		i++
	}
	if i == len(s) { // as nearly every text
		return append(append(dst, s...), '"')
	}
	start := 0 // of what is not yet copied
	for i < len(s) {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\uFFFD"...)
			start = i + 1
		}
		i += n
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// appendFloat appends f as encoding/json does, or a note in its place: JSON has no NaN and no infinity.
func appendFloat(dst []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return appendString(dst, errorNote+"json: unsupported value: "+strconv.FormatFloat(f, 'g', -1, bits))
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 {
		if bits == 64 && (a < 1e-6 || a >= 1e21) || bits == 32 && (float32(a) < 1e-6 || float32(a) >= 1e21) {
			format = 'e'
		}
	}
	dst = strconv.AppendFloat(dst, f, format, -1, bits)
	if n := len(dst); format == 'e' && n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1] // e-09 is written e-9
		dst = dst[:n-1]
	}
	return dst
}

// appendRaw appends JSON that somebody else made, in the form that all of ours has: valid (else an error note stands for
// it), compact, UTF-8, no key twice in an object (the last one stays), no deeper than the levels left.
func appendRaw(dst, doc []byte, levels int) []byte {
	if !json.Valid(doc) {
		return appendString(dst, errorNote+"json: a MarshalJSON method returned what is not JSON")
	}
	return appendValid(dst, doc[space(doc, 0):], levels)
}

func appendValid(dst, value []byte, levels int) []byte {
	switch value[0] {
	case '"':
		if simple(value) {
			return append(dst, value[:skipString(value, 0)]...)
		}
		return appendString(dst, unquote(value[:skipString(value, 0)]))
	case '[':
		if levels <= 0 {
			return appendString(dst, tooDeep)
		}
		dst = append(dst, '[')
		elements(value, func(e []byte) bool {
			dst = append(appendValid(dst, e, levels-1), ',')
			return true
		})
		return closeWith(dst, ']')
	case '{':
		if levels <= 0 {
			return appendString(dst, tooDeep)
		}
		last := lastOfEach(value)
		dst = append(dst, '{')
		i := 0
		members(value, func(key, v []byte) bool {
			name := unquote(key)
			if last[string(appendString(nil, name))] == i {
				dst = append(appendString(dst, name), ':')
				dst = append(appendValid(dst, v, levels-1), ',')
			}
			i++
			return true
		})
		return closeWith(dst, '}')
	default:
		return append(dst, value[:skip(value, 0)]...)
	}
}

// lastOfEach returns, for each key of the object in its written form, the index of its last member.
func lastOfEach(doc []byte) map[string]int {
	last := make(map[string]int)
	i := 0
	members(doc, func(key, _ []byte) bool {
		last[string(appendString(nil, unquote(key)))] = i
		i++
		return true
	})
	return last
}

// closeWith ends an object or array whose parts are each followed by a comma.
func closeWith(dst []byte, bracket byte) []byte {
	if last := len(dst) - 1; dst[last] == ',' {
		dst[last] = bracket
		return dst
	}
	return append(dst, bracket)
}
