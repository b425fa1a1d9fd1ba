package bus

import (
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

type deepNode struct {
	Next *deepNode  `json:"next"`
	All  []deepNode `json:"all,omitempty"`
}

type decodedFields struct {
	Name  string            `json:"name" jsonschema:"minLength=2"`
	Count int               `json:"count"`
	At    time.Time         `json:"at"`
	All   []int             `json:"all" jsonschema:"maxItems=100"`
	Texts []string          `json:"texts"`
	Times []time.Time       `json:"times"`
	Named map[string]string `json:"named"`
	Deep  *deepNode         `json:"deep"`
	Any   any               `json:"any"`
}

// Data of twice the size takes at most twice the memory to decode and to check, whatever its shape, and its error is
// short. The test is not parallel: it counts what the process allocates.
func TestDecodeIsNotAmplified(t *testing.T) {
	repeat := strings.Repeat
	validated, err := decoderOf[decodedFields](true)
	if err != nil {
		t.Fatal(err)
	}
	for name, shape := range map[string]func(n int) string{
		"a field again":         func(n int) string { return `{` + repeat(`"name":"xx",`, n) + `"count":1}` },
		"a field in other case": func(n int) string { return `{` + repeat(`"NAME":"xx","name":"xx",`, n) + `"count":1}` },
		"unknown fields":        func(n int) string { return `{` + repeat(`"other":[{}],`, n) + `"count":1}` },
		"a long unknown key": func(n int) string {
			return `{"` + repeat("k", n) + `":{` + repeat(`"a":1,`, n) + `"b":2}}`
		},
		"an escaped key": func(n int) string { return `{"` + repeat(`\u0061`, n) + `":1}` },
		"map entries":    func(n int) string { return `{"named":{` + repeat(`"a":"b",`, n) + `"c":"d"}}` },
		"a chain": func(n int) string {
			return `{"deep":` + repeat(`{"next":`, n/16) + "null" + repeat("}", n/16) + "}"
		},
		"lists of lists":  func(n int) string { return `{"deep":{"all":[` + repeat(`{"all":[{}]},`, n) + `{}]}}` },
		"nested values":   func(n int) string { return `{"any":` + repeat("[", n) + repeat("]", n) + "}" },
		"values of any":   func(n int) string { return `{"any":[` + repeat("{},", n) + "1]}" },
		"exponents":       func(n int) string { return `{"count":1e999999,"all":[` + repeat("1e999999,", n) + "1]}" },
		"foreign numbers": func(n int) string { return `{"all":[` + repeat("3.0,", n) + "1]}" },
		"foreign times": func(n int) string {
			return `{"times":[` + repeat(`"2024-01-01T00:00:00",`, n) + `"2024"]}`
		},
		"digits":           func(n int) string { return `{"count":` + repeat("9", n) + "}" },
		"violations":       func(n int) string { return `{"texts":[` + repeat("1,", n) + `""],"name":1}` },
		"what is no UTF-8": func(n int) string { return `{"name":"` + repeat("\xff", n) + `"}` },
		"cut off":          func(n int) string { return repeat(`{"deep":`, n) },
	} {
		for kind, decode := range map[string]func(*Record) error{
			"struct":           func(r *Record) error { _, err := Decode[decodedFields](r); return err },
			"validated struct": func(r *Record) error { _, err := validated(r); return err },
			"any":              func(r *Record) error { _, err := Decode[any](r); return err },
			"message":          func(r *Record) error { _, err := Decode[map[string]any](r); return err },
			"texts":            func(r *Record) error { _, err := Decode[*Message[map[string]string]](r); return err },
		} {
			t.Run(name+" as "+kind, func(t *testing.T) {
				cost := func(n int) uint64 {
					r := &Record{Value: []byte(`{"schema":"A:1","data":` + shape(n) + "}")}
					var err error
					allocated := testkit.AllocatedBytes(func() { err = decode(r) })
					if err != nil && len(err.Error()) > 2000 {
						t.Errorf("the error has %d bytes: %.300s", len(err.Error()), err)
					}
					return allocated
				}
				const n, constant = 8_000, 128 << 10
				once, twice := cost(n), cost(2*n)
				if twice > 2*once+once/4+constant || once > uint64(200*len(shape(n))) {
					t.Errorf("%d bytes are allocated for %d bytes, %d for twice that", once, len(shape(n)), twice)
				}
			})
		}
	}
}
