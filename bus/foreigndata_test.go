package bus

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What other languages write, and what is written to get around the check.

type shop struct {
	Kind   string             `json:"kind" jsonschema:"minLength=2"`
	A      limits             `json:"a"`
	Floor  int                `json:"floor,omitempty" jsonschema:"maximum=9"`
	Goods  []string           `json:"goods" jsonschema:"minItems=1"`
	Prices map[string]int     `json:"prices"`
	Opened time.Time          `json:"opened"`
	Inner  map[string]*limits `json:"inner,omitempty"`
}

type limits struct {
	X int `json:"x,omitempty" jsonschema:"maximum=5"`
	Y int `json:"y,omitempty"`
}

func aShop(more string) string {
	return `{"schema":"Shop:1","data":{"kind":"ab","a":{},"goods":["x"],"prices":{},"opened":"2026-01-02T03:04:05Z"` +
		more + `}}`
}

func TestValidateCannotBeBypassed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, more, field string }{
		{"another case", `,"Kind":""`, "Kind"},
		{"the Kelvin sign", `,"` + "\u212A" + `ind":""`, "\u212Aind"},
		{"escaped", `,"\u212Aind":""`, "\u212Aind"},
		{"a long s", `,"good` + "\u017F" + `":[]`, "good\u017F"},
		{"twice", `,"kind":"cd"`, "kind"},
		{"twice, put together", `,"a":{"y":1}`, "a"},
		{"inside", `,"inner":{"k":{"x":1,"X":9}}`, "inner.k.X"},
		{"inside, twice", `,"inner":{"k":{"x":9,"x":1}}`, "inner.k.x"},
		{"another case, alone", `,"FLOOR":10`, "FLOOR"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := decodeAs[shop](t, aShop(test.more), true)
			invalid, ok := errors.AsType[*ValidationError](err)
			if !ok || invalid.Field != test.field {
				t.Errorf("got %+v, %v; want a violation of %s", got, err, test.field)
			}
		})
	}
}

// A key of a map may differ from another by case only, and what is no property is not looked at.
func TestValidateTakesWhatIsNoField(t *testing.T) {
	t.Parallel()
	got, err := decodeAs[shop](t, aShop(`,"more":{"x":1,"X":2},"inner":{"a":{"x":1},"A":{"x":2}}`), true)
	if err != nil || len(got.Inner) != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestValuesOfOtherLanguages(t *testing.T) {
	t.Parallel()
	type wide struct {
		I  int8              `json:"i"`
		U  uint64            `json:"u"`
		P  *int              `json:"p"`
		L  []int             `json:"l"`
		M  map[string][]int  `json:"m"`
		B  []byte            `json:"b"`
		T  time.Time         `json:"t"`
		TS []*time.Time      `json:"ts"`
		D  map[string]limits `json:"d"`
		F  float64           `json:"f"`
	}
	two, utc := 2, time.Date(2026, 11, 23, 10, 0, 0, 123456000, time.UTC)
	want := wide{-3, 12_000_000_000_000_000_000, &two, []int{2000, 0}, map[string][]int{"k": {1}, "n": {}}, []byte{}, utc,
		[]*time.Time{&utc, nil},
		map[string]limits{"x": {X: 3}}, 1.5}
	const data = `{"i":-3.0,"u":1.2e19,"p":2.0,"l":[2e3,-0.0],"m":{"k":[1.0],"n":null},"b":null,` +
		`"t":"2026-11-23T10:00:00.123456","ts":["2026-11-23 10:00:00.123456",null],"d":{"x":{"x":3.0}},"f":1.5}`
	for _, validate := range []bool{false, true} {
		got, err := decodeAs[wide](t, `{"schema":"W:1","data":`+data+`}`, validate)
		if err != nil {
			t.Errorf("validate %v: %v", validate, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("validate %v: -want +got\n%s", validate, d)
		}
	}
	for _, wrong := range []string{`{"i":3.5}`, `{"i":300.0}`, `{"u":1e20}`, `{"u":1e999999999999}`, `{"i":"3.0"}`,
		`{"t":"2026-11-23"}`, `{"t":"x"}`} {
		if got, err := decodeAs[wide](t, `{"schema":"W:1","data":`+wrong+`}`, false); err == nil {
			t.Errorf("%s is decoded to %+v", wrong, got)
		}
	}
}

// null is an empty slice or map, and has to keep the constraints of one.
func TestValidateTakesNullForAnAbsentSlice(t *testing.T) {
	t.Parallel()
	const start = `{"schema":"Shop:1","data":{"kind":"ab","a":{},"opened":"2026-01-02T03:04:05",`
	got, err := decodeAs[shop](t, start+`"goods":["x"],"prices":null}}`, true)
	if err != nil || got.Opened.Location() != time.UTC {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = decodeAs[shop](t, start+`"goods":null,"prices":null}}`, true)
	if invalid, ok := errors.AsType[*ValidationError](err); !ok || invalid.Field != "goods" || invalid.Rule != "minItems" {
		t.Errorf("got %v, want goods to break minItems", err)
	}
}
