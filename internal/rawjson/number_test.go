package rawjson

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// Numbers are written as strconv writes them: all lengths, both sides of each power of ten and of two, and random ones.
func TestNumbersAreStrconvs(t *testing.T) {
	var all []uint64
	for p := uint64(1); p <= 1e18; p *= 10 {
		all = append(all, p-1, p, p+1)
	}
	for shift := range 64 {
		all = append(all, 1<<shift-1, 1<<shift, 1<<shift+1)
	}
	all = append(all, math.MaxUint64, math.MaxInt64, 1<<63)
	for range 10_000 {
		all = append(all, rand.Uint64()>>rand.IntN(64)) //nolint:gosec // no secret
	}
	for _, n := range all {
		if got, want := string(AppendUint([]byte("x"), n)), "x"+strconv.FormatUint(n, 10); got != want {
			t.Errorf("%s is written %s", want, got)
		}
		if got, want := string(AppendInt([]byte("x"), int64(n))), "x"+strconv.FormatInt(int64(n), 10); got != want {
			t.Errorf("%s is written %s", want, got)
		}
	}
}

func TestNineDigits(t *testing.T) {
	for n := uint32(0); n < 1e9; n += 1 + n/7 + n%13 {
		if got, want := string(AppendNine([]byte("x"), n)), fmt.Sprintf("x%09d", n); got != want {
			t.Errorf("%s is written %s", want, got)
		}
	}
}

// Hexadecimal digits are encoding/hex's, of each byte at each place.
func TestHexIsEncodingHexs(t *testing.T) {
	for n := range 20 {
		for value := range 256 {
			b := bytes.Repeat([]byte{byte(value)}, n)
			if n > 0 {
				b[value%n] ^= 0x5a
			}
			if got, want := string(AppendHex([]byte("x"), b)), "x"+hex.EncodeToString(b); got != want {
				t.Fatalf("%s is written %s", want, got)
			}
		}
	}
}

func BenchmarkInt(b *testing.B) {
	buf := make([]byte, 0, 64)
	for _, n := range []int64{7, 200, 1500000, 1764450000123456789} {
		b.Run("strconv/"+strconv.FormatInt(n, 10), func(b *testing.B) {
			for b.Loop() {
				buf = strconv.AppendInt(buf[:0], n, 10)
			}
		})
		b.Run("ours/"+strconv.FormatInt(n, 10), func(b *testing.B) {
			for b.Loop() {
				buf = AppendInt(buf[:0], n)
			}
		})
	}
}

func BenchmarkText(b *testing.B) {
	buf := make([]byte, 0, 64)
	for _, s := range []string{"a", "user", "status", "ada.lovelace", "/content/articles"} {
		b.Run(s, func(b *testing.B) {
			for b.Loop() {
				buf = AppendText(buf[:0], s, Plain)
			}
		})
	}
}
