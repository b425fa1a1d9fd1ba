package rawjson

import (
	"bytes"
	"strconv"
)

// Decimal is the exact value of a JSON number: Digits times 10 to the power of Exp. Digits begin and end with another
// digit than 0, and are empty for zero, so that equal numbers have equal decimals. It costs what reading the number
// costs, whatever its exponent.
type Decimal struct {
	Negative bool
	Digits   []byte
	Exp      int64
}

// farthest bounds exponents: no number that fits into memory has so many digits that one beyond it could matter.
const farthest = 1 << 60

// ParseDecimal reads a JSON number that is known to be valid.
func ParseDecimal(number []byte) Decimal {
	var d Decimal
	d.Negative = number[0] == '-'
	if d.Negative {
		number = number[1:]
	}
	if e := bytes.IndexAny(number, "eE"); e >= 0 {
		exp, err := strconv.ParseInt(string(number[e+1:]), 10, 64)
		if err != nil || exp > farthest || exp < -farthest {
			exp = farthest
			if number[e+1] == '-' {
				exp = -farthest
			}
		}
		d.Exp, number = exp, number[:e]
	}
	if point := bytes.IndexByte(number, '.'); point >= 0 {
		d.Exp -= int64(len(number) - point - 1)
		number = append(bytes.Clone(number[:point]), number[point+1:]...)
	}
	significant := bytes.TrimRight(number, "0")
	d.Exp += int64(len(number) - len(significant))
	if d.Digits = bytes.TrimLeft(significant, "0"); len(d.Digits) == 0 {
		return Decimal{}
	}
	return d
}

// IsInteger reports whether the number is whole.
func (d Decimal) IsInteger() bool { return d.Exp >= 0 }

// Compare returns -1, 0 or 1 for a number that is less than other, the same, or more.
func (d Decimal) Compare(other Decimal) int {
	sign := 1
	switch {
	case len(d.Digits) == 0 && len(other.Digits) == 0:
		return 0
	case len(d.Digits) == 0:
		if other.Negative {
			return 1
		}
		return -1
	case len(other.Digits) == 0 || d.Negative != other.Negative:
		if d.Negative {
			return -1
		}
		return 1
	case d.Negative:
		sign = -1
	}
	mine, others := int64(len(d.Digits))+d.Exp, int64(len(other.Digits))+other.Exp
	switch {
	case mine < others:
		return -sign
	case mine > others:
		return sign
	}
	return sign * bytes.Compare(d.Digits, other.Digits)
}

// Append appends the number in the one form that all equal numbers have.
func (d Decimal) Append(dst []byte) []byte {
	if len(d.Digits) == 0 {
		return append(dst, '0')
	}
	if d.Negative {
		dst = append(dst, '-')
	}
	return strconv.AppendInt(append(append(dst, d.Digits...), 'e'), d.Exp, 10)
}
