package rawjson

import "strconv"

// pairs are the numbers from 00 to 99.
const pairs = "00010203040506070809" + "10111213141516171819" + "20212223242526272829" + "30313233343536373839" +
	"40414243444546474849" + "50515253545556575859" + "60616263646566676869" + "70717273747576777879" +
	"80818283848586878889" + "90919293949596979899"

// AppendUint appends a number. For those of less than ten digits, as most are, it is faster than strconv's.
func AppendUint(dst []byte, n uint64) []byte {
	switch {
	case n < 10:
		return append(dst, '0'+byte(n))
	case n >= 1e9:
		return strconv.AppendUint(dst, n, 10)
	}
	rest, length := uint32(n), 2
	for power := uint32(100); power <= rest && length < 9; power *= 10 {
		length++
	}
	dst = append(dst, pairs[:length]...) // to have room
	i := len(dst)
	for ; rest >= 10; rest /= 100 {
		two := rest % 100 * 2
		i -= 2
		dst[i], dst[i+1] = pairs[two], pairs[two+1]
	}
	if length&1 == 1 {
		dst[i-1] = '0' + byte(rest)
	}
	return dst
}

// AppendInt appends a number.
func AppendInt(dst []byte, n int64) []byte {
	if n < 0 {
		return AppendUint(append(dst, '-'), -uint64(n))
	}
	return AppendUint(dst, uint64(n))
}
