package rawjson

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// Floats are encoding/json's: decimals of each number of places, their neighbours, the limits of the short form, and
// random ones.
func TestFloatsAreThoseOfEncodingJSON(t *testing.T) {
	all := []float64{0, math.Copysign(0, -1), 1e9, 1e9 - 1, 1e9 - 1e-6, 999_999_999.9999999, 1e-6, 9.9e-7, 5e-7,
		0.30000000000000004, 1e21, 5e-324, math.MaxFloat64}
	for range 100_000 {
		places := math.Pow10(rand.IntN(9))
		all = append(all, math.Trunc(rand.Float64()*math.Pow10(rand.IntN(18)))/places,
			math.Float64frombits(rand.Uint64())) //nolint:gosec // no secret
	}
	for _, f := range all {
		for _, f := range []float64{f, -f, math.Nextafter(f, 0), math.Nextafter(f, math.MaxFloat64)} {
			if math.IsInf(f, 0) || math.IsNaN(f) {
				continue
			}
			want, err := json.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := AppendFloat([]byte("x"), f, 64); !ok || string(got) != "x"+string(want) {
				t.Fatalf("%s is written %s", want, got)
			}
		}
	}
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got, ok := AppendFloat([]byte("x"), f, 64); ok || string(got) != "x" {
			t.Errorf("%v is written %s", f, got)
		}
	}
}

// Times are encoding/json's: each day of 400 years and of the first and the last year, all zones, fractions of each
// length; and those that it refuses are not written.
func TestTimesAreThoseOfEncodingJSON(t *testing.T) {
	check := func(at time.Time) {
		t.Helper()
		want, err := json.Marshal(at)
		if got, ok := AppendTime([]byte("x"), at); ok != (err == nil) || string(got) != "x"+string(want) {
			t.Fatalf("%s is written %s, want %s, %v", at, got, want, err)
		}
	}
	for _, first := range []int{-1, 1700, 9999} {
		for day := range 366 * 401 {
			at := time.Date(first, 1, 1, day%24, day%60, day%59, day%1000*1_000_000, time.UTC).AddDate(0, 0, day)
			check(at)
			if at.Year() > first+1 && first != 1700 {
				break
			}
		}
	}
	for _, seconds := range []int{0, 1, -1, 59, 60, -60, 3600, 19_800, -12_600, 86_399, -86_399, 86_400,
		-86_400, 100_000} {
		for fraction := 1; fraction < 1e9; fraction *= 7 {
			check(time.Unix(1_764_450_000, int64(fraction)).In(time.FixedZone("z", seconds)))
		}
		check(time.Date(0, 1, 1, 0, 0, 0, 0, time.FixedZone("z", seconds)))
		check(time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.FixedZone("z", seconds)))
	}
	check(time.Time{})
	check(time.Now())
	check(time.Date(0, 1, 1, 0, 0, 0, -1, time.UTC))
	check(time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC))
}

func BenchmarkFloat(b *testing.B) {
	buf := make([]byte, 0, 64)
	for _, f := range []float64{3, 0.99, 12.5, 1234.56789, 0.30000000000000004} {
		text := strconv.FormatFloat(f, 'f', -1, 64)
		b.Run("strconv/"+text, func(b *testing.B) {
			for b.Loop() {
				buf = strconv.AppendFloat(buf[:0], f, 'f', -1, 64)
			}
		})
		b.Run("ours/"+text, func(b *testing.B) {
			for b.Loop() {
				buf, _ = AppendFloat(buf[:0], f, 64)
			}
		})
	}
}

func BenchmarkTime(b *testing.B) {
	buf := make([]byte, 0, 64)
	at := time.Unix(1_764_450_000, 123_456_789).UTC()
	b.Run("time", func(b *testing.B) {
		for b.Loop() {
			buf, _ = at.AppendText(buf[:0])
		}
	})
	b.Run("ours", func(b *testing.B) {
		for b.Loop() {
			buf, _ = AppendTime(buf[:0], at)
		}
	})
}
