package rawjson

import (
	"encoding/binary"
	"strconv"
)

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

// AppendNine appends a number below 1e9 with nine digits.
func AppendNine(dst []byte, n uint32) []byte {
	high, low := n/100_000, n%100_000 // two short chains of divisions take less time than a long one
	a, b, c, d := high/100*2, high%100*2, low/1000*2, low/10%100*2
	return append(dst, pairs[a], pairs[a+1], pairs[b], pairs[b+1], pairs[c], pairs[c+1], pairs[d], pairs[d+1],
		'0'+byte(low%10))
}

// AppendInt appends a number.
func AppendInt(dst []byte, n int64) []byte {
	if n < 0 {
		return AppendUint(append(dst, '-'), -uint64(n))
	}
	return AppendUint(dst, uint64(n))
}

// AppendHex appends bytes as hexadecimal digits, four of them at a time.
func AppendHex(dst, b []byte) []byte {
	for ; len(b) >= 4; b = b[4:] {
		w := uint64(binary.BigEndian.Uint32(b))
		w = (w<<16 | w) & 0x0000ffff0000ffff
		w = (w<<8 | w) & 0x00ff00ff00ff00ff
		w = (w<<4 | w) & 0x0f0f0f0f0f0f0f0f // one digit in each byte
		letters := (w + 6*ones) >> 4 & ones
		dst = binary.BigEndian.AppendUint64(dst, w+'0'*ones+letters*('a'-'0'-10))
	}
	const digits = "0123456789abcdef"
	for _, c := range b {
		dst = append(dst, digits[c>>4], digits[c&0xf])
	}
	return dst
}
