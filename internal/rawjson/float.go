package rawjson

import (
	"math"
	"strconv"
)

// AppendFloat appends a number as JavaScript writes it, the shortest that reads back as f. It is not ok for infinities
// and NaN.
func AppendFloat(dst []byte, f float64, bits int) (out []byte, ok bool) {
	if bits == 64 {
		if out, ok = appendShort(dst, f); ok {
			return out, true
		}
	}
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

// appendShort appends a number of at most nine digits before the point and six behind it, as most are: strconv takes
// five times as long to find out how many digits it has. It is not ok for others.
func appendShort(dst []byte, f float64) (out []byte, ok bool) {
	const most, scale = 1e9, 1_000_000
	size := math.Abs(f)
	if !(size < most) { // NaN too
		return dst, false
	}
	// A quotient is the float that is nearest to its true value. So f is what the decimal of the scaled number reads back
	// as, and no shorter one does: two different decimals of up to 15 digits never are the same float.
	scaled := uint64(size*scale + 0.5)
	if float64(scaled)/scale != size {
		return dst, false
	}
	if math.Signbit(f) {
		dst = append(dst, '-')
	}
	whole, rest := scaled/scale, uint32(scaled%scale)
	dst = AppendUint(dst, whole)
	if rest == 0 {
		return dst, true
	}
	a, b, c := rest/10_000*2, rest/100%100*2, rest%100*2
	dst = append(dst, '.', pairs[a], pairs[a+1], pairs[b], pairs[b+1], pairs[c], pairs[c+1])
	n := len(dst)
	for dst[n-1] == '0' {
		n--
	}
	return dst[:n], true
}
