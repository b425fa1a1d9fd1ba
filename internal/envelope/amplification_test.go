package envelope

import (
	"strings"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// A value of twice the size takes at most twice the memory and twice the steps, whatever its shape; most take no
// memory. The test is not parallel: it counts what is allocated.
func TestParseIsNotAmplified(t *testing.T) {
	shapes := map[string]func(n int) string{
		"members":       func(n int) string { return `{"data":{` + strings.Repeat(`"a":1,`, n) + `"b":2}}` },
		"equal members": func(n int) string { return "{" + strings.Repeat(`"data":{},"schema":"A:1",`, n) + `"b":2}` },
		"a long key": func(n int) string {
			return `{"` + strings.Repeat("k", n) + `":{` + strings.Repeat(`"a":1,`, n) + `"b":2}}`
		},
		"an escaped key": func(n int) string {
			return `{"` + strings.Repeat(`\u0064`, n) + `":1,"d\u0061ta":"` + strings.Repeat(`\ud83d\ude00`, n) + `"}`
		},
		"a schema's escapes": func(n int) string { return `{"schema":"` + strings.Repeat(`\u0061`, n) + `","data":1}` },
		"deep nesting": func(n int) string {
			return `{"data":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}"
		},
		"an exponent":      func(n int) string { return `{"data":[` + strings.Repeat("1e999999,", n) + "1]}" },
		"digits":           func(n int) string { return `{"data":` + strings.Repeat("9", n) + "}" },
		"what is no UTF-8": func(n int) string { return `{"data":"` + strings.Repeat("\xff", n) + `"}` },
		"cut off":          func(n int) string { return strings.Repeat(`{"data":`, n) },
	}
	const n, constant = 20_000, 4096
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			cost := func(n int) uint64 {
				value := []byte(shape(n))
				var err error
				allocated := testkit.AllocatedBytes(func() { _, err = Parse(value) })
				if err != nil && len(err.Error()) > 1000 {
					t.Errorf("the error has %d bytes", len(err.Error()))
				}
				return allocated
			}
			if once, twice := cost(n), cost(2*n); twice > 2*once+constant || once > uint64(8*len(shape(n))) {
				t.Errorf("%d bytes are allocated for n, %d for 2n", once, twice)
			}
		})
	}
	t.Run("steps", func(t *testing.T) {
		testkit.StepsAreLinear(t, 2000, 30, func(n int) (bytes int) {
			for _, shape := range shapes {
				value := shape(n)
				_, _ = Parse([]byte(value)) // what is refused costs steps, too
				bytes += len(value)
			}
			return bytes
		}, "github.com/kafkaesk/kafkaesk/internal/envelope", "encoding/json")
	})
}
