package logrecord

import (
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

const head = `{"schema":"kafkaesk.log:1","data":{"message":"m","severity":6,`

// hostileValues are values of size n.
var hostileValues = map[string]func(n int) string{
	"many fields":       func(n int) string { return head + numbered(n, `"key%":1,`) + `"last":1}}` },
	"one field":         func(n int) string { return head + strings.Repeat(`"key":1,`, n) + `"last":1}}` },
	"the message again": func(n int) string { return head + strings.Repeat(`"message":"x",`, n) + `"last":1}}` },
	"a long key": func(n int) string {
		return head + `"` + strings.Repeat("k", n) + `":{` + strings.Repeat(`"a":1,`, n) + `"b":2}}}`
	},
	"an escaped key": func(n int) string { return head + `"` + strings.Repeat(`\u0061`, n) + `":1}}` },
	"deep nesting": func(n int) string {
		return head + `"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}}"
	},
	"an exponent": func(n int) string {
		return head + `"a":[` + strings.Repeat("1e999999,", n) + `1],"lineno":1e999999}}`
	},
	"digits": func(n int) string { return head + `"lineno":` + strings.Repeat("9", n) + "}}" },
	"many errors": func(n int) string {
		return head + `"invalid":{` + numbered(n, `"a%":1,`) + `"a":1},"schema_errors":[` + strings.Repeat(`"a: b",`,
			n) + `"c"]}}`
	},
	"objects for errors": func(n int) string {
		return head + `"schema_errors":[` + strings.Repeat(`{"":0},`, n) + `"c"]}}`
	},
	"a long level": func(n int) string { return head + `"level":"` + strings.Repeat("e", n) + `"}}` },
	"a long time": func(n int) string {
		return head + `"timestamp":"2024-01-01T00:00:00.` + strings.Repeat("0", n) + `Z"}}`
	},
	"what is no UTF-8": func(n int) string { return head + `"a":"` + strings.Repeat("\xff", n) + `"}}` },
	"cut off":          func(n int) string { return head + strings.Repeat(`"a":{`, n) },
}

// A value of twice the size takes at most twice the memory and twice the steps to decode, whatever its shape. The test
// is not parallel: it counts what the process allocates.
func TestDecodeIsNotAmplified(t *testing.T) {
	for name, shape := range hostileValues {
		t.Run(name, func(t *testing.T) {
			cost := func(n int) uint64 {
				value := []byte(shape(n))
				var err error
				allocated := testkit.AllocatedBytes(func() { _, err = Decode(value) })
				if err != nil && len(err.Error()) > 1000 {
					t.Errorf("the error has %d bytes", len(err.Error()))
				}
				return allocated
			}
			const n, constant = 16_000, 64 << 10
			once, twice := cost(n), cost(2*n)
			if twice > 2*once+once/4+constant || once > uint64(64*len(shape(n))) {
				t.Errorf("%d bytes are allocated for n, %d for 2n", once, twice)
			}
		})
	}
	t.Run("steps", func(t *testing.T) {
		testkit.StepsAreLinear(t, 2000, 60, func(n int) (bytes int) {
			for _, shape := range hostileValues {
				value := shape(n)
				_, _ = Decode([]byte(value)) // what is refused costs steps, too
				bytes += len(value)
			}
			return bytes
		}, "github.com/kafkaesk/kafkaesk/logrecord", "github.com/kafkaesk/kafkaesk/internal/...", "encoding/json")
	})
}

// numbered repeats text n times, with its number in place of %.
func numbered(n int, text string) string {
	before, after, _ := strings.Cut(text, "%")
	var b strings.Builder
	for i := range n {
		b.WriteString(before)
		for ; i > 0; i /= 10 {
			b.WriteByte(byte('0' + i%10))
		}
		b.WriteString(after)
	}
	return b.String()
}
