package hostile

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/envelope"
	"github.com/kafkaesk/kafkaesk/internal/jsonplan"
	"github.com/kafkaesk/kafkaesk/internal/schema"
	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

type deepNode struct {
	Next *deepNode  `json:"next"`
	All  []deepNode `json:"all,omitempty"`
	Text string     `json:"text,omitempty"`
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

// hostileData is the data of envelopes, of size n.
var hostileData = map[string]func(n int) string{
	"a field again": func(n int) string { return `{` + strings.Repeat(`"name":"xx",`, n) + `"count":1}` },
	"a field in other case": func(n int) string {
		return `{` + strings.Repeat(`"NAME":"xx","name":"xx",`, n) + `"count":1}`
	},
	"unknown fields": func(n int) string { return `{` + strings.Repeat(`"other":[{}],`, n) + `"count":1}` },
	"a long unknown key": func(n int) string {
		return `{"` + strings.Repeat("k", n) + `":{` + strings.Repeat(`"a":1,`, n) + `"b":2}}`
	},
	"an escaped key": func(n int) string { return `{"` + strings.Repeat(`\u0061`, n) + `":1}` },
	"map entries":    func(n int) string { return `{"named":{` + strings.Repeat(`"a":"b",`, n) + `"c":"d"}}` },
	"a chain": func(n int) string {
		return `{"deep":` + strings.Repeat(`{"next":`, n/16) + "null" + strings.Repeat("}", n/16) + "}"
	},
	"lists of lists":  func(n int) string { return `{"deep":{"all":[` + strings.Repeat(`{"all":[{}]},`, n) + `{}]}}` },
	"nested values":   func(n int) string { return `{"any":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}" },
	"values of any":   func(n int) string { return `{"any":[` + strings.Repeat("{},", n) + "1]}" },
	"exponents":       func(n int) string { return `{"count":1e999999,"all":[` + strings.Repeat("1e999999,", n) + "1]}" },
	"foreign numbers": func(n int) string { return `{"all":[` + strings.Repeat("3.0,", n) + "1]}" },
	"foreign times": func(n int) string {
		return `{"times":[` + strings.Repeat(`"2024-01-01T00:00:00",`, n) + `"2024"]}`
	},
	"digits":           func(n int) string { return `{"count":` + strings.Repeat("9", n) + "}" },
	"violations":       func(n int) string { return `{"texts":[` + strings.Repeat("1,", n) + `""],"name":1}` },
	"what is no UTF-8": func(n int) string { return `{"name":"` + strings.Repeat("\xff", n) + `"}` },
	"cut off":          func(n int) string { return strings.Repeat(`{"deep":`, n) },
	"many unknown fields": func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"%d":1,`, i)
		}
		return "{" + b.String() + `"count":1}`
	},
	"a chain around a long text": func(n int) string {
		return `{"deep":` + strings.Repeat(`{"next":`, 900) + `{"text":"` + strings.Repeat("x", n) + `"}` +
			strings.Repeat("}", 901)
	},
	"a chain that ends in another type": func(n int) string {
		return `{"deep":` + strings.Repeat(`{"next":`, 900) + `{"all":"` + strings.Repeat("x", n) + `"}` +
			strings.Repeat("}", 901)
	},
}

func decoders(t *testing.T) map[string]func(*bus.Record) error {
	t.Helper()
	typ := reflect.TypeFor[decodedFields]()
	s, err := schema.For(typ)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]func(*bus.Record) error{
		"struct":  func(r *bus.Record) error { _, err := bus.Decode[decodedFields](r); return err },
		"any":     func(r *bus.Record) error { _, err := bus.Decode[any](r); return err },
		"message": func(r *bus.Record) error { _, err := bus.Decode[map[string]any](r); return err },
		"texts":   func(r *bus.Record) error { _, err := bus.Decode[*bus.Message[map[string]string]](r); return err },
		"the check of Validate": func(r *bus.Record) error {
			e, err := envelope.Parse(r.Value)
			if err != nil {
				return err
			}
			if err = s.CheckExact(e.Data); err == nil {
				return nil
			}
			if adapted, changed := jsonplan.Adapt(typ, e.Data); changed {
				return s.CheckExact(adapted)
			}
			return err
		},
	}
}

// Data of twice the size takes at most twice the memory and twice the steps to decode and to check, whatever its shape,
// and its error is short. The test is not parallel: it counts what the process allocates.
func TestDecodeIsNotAmplified(t *testing.T) {
	record := func(data string) *bus.Record {
		return &bus.Record{Value: []byte(`{"schema":"A:1","data":` + data + "}")}
	}
	for name, shape := range hostileData {
		for kind, decode := range decoders(t) {
			t.Run(name+" as "+kind, func(t *testing.T) {
				cost := func(n int) uint64 {
					r := record(shape(n))
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
	t.Run("steps", func(t *testing.T) {
		testkit.StepsAreLinear(t, 1000, 100, func(n int) (bytes int) {
			for _, shape := range hostileData {
				r := record(shape(n))
				for _, decode := range decoders(t) {
					_ = decode(r) // many shapes are refused, which costs steps, too
					bytes += len(r.Value)
				}
			}
			return bytes
		}, "github.com/kafkaesk/kafkaesk/bus", "github.com/kafkaesk/kafkaesk/internal/...", "encoding/json", "math/big")
	})
}
