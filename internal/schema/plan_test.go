package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// agree checks the plan against v5 for one value: what is proved must be valid, and of a type without slow fields everything valid must be
// proved.
func agree(t interface {
	Helper()
	Fatalf(string, ...any)
}, s *Schema, v reflect.Value) (valid bool) {
	t.Helper()
	out, proved, err := s.plan.append([]byte("kept"), v.Addr().Interface())
	if err != nil {
		t.Fatalf("encode %#v: %v", v, err)
	}
	data := out[len("kept"):]
	var want bytes.Buffer
	standard := json.NewEncoder(&want)
	standard.SetEscapeHTML(false)
	if err := standard.Encode(v.Addr().Interface()); err != nil {
		t.Fatalf("encoding/json: %v", err)
	}
	a, errA := decode(data)
	b, errB := decode(want.Bytes())
	if errA != nil || errB != nil || !reflect.DeepEqual(a, b) {
		t.Fatalf("encoded\n%s\nwant what is the same as\n%s", data, want.Bytes())
	}
	verdict := s.rules.check(data)
	if proved && verdict != nil {
		t.Fatalf("proved, but v5 says: %v\n%s\n%s", verdict, data, s.doc)
	}
	if !proved && verdict == nil && len(s.Slow()) == 0 && !broken(v) {
		t.Fatalf("valid, but not proved, and nothing is slow\n%s\n%s", data, s.doc)
	}
	return verdict == nil
}

func TestPlanAgreesOnWrittenTypes(t *testing.T) {
	t.Parallel()
	for _, typ := range []reflect.Type{
		reflect.TypeFor[everything](), reflect.TypeFor[node](), reflect.TypeFor[embedded](), reflect.TypeFor[forest](), reflect.TypeFor[tags](),
		reflect.TypeFor[map[string]node](), reflect.TypeFor[shadowing](), reflect.TypeFor[grade](), reflect.TypeFor[float32](),
	} {
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			s := must(t, typ)
			rapid.Check(t, func(t *rapid.T) { agree(t, s, values(t, typ, 0)) })
		})
	}
}

func TestPlanAgreesOnRandomTypes(t *testing.T) {
	t.Parallel()
	var valid, invalid int
	rapid.Check(t, func(t *rapid.T) {
		typ := structs().Draw(t, "struct")
		s, err := For(typ)
		if err != nil {
			if strings.Contains(err.Error(), "jsonschema tag") {
				t.Skip(err)
			}
			t.Fatalf("%s: %v", typ, err)
		}
		if rapid.Bool().Draw(t, "null refused") { // as a supplied schema may have it
			if s, err = FromJSON(typ, bytes.ReplaceAll(s.JSON(), []byte(`"null"`), []byte(`"boolean"`))); err != nil {
				t.Fatal(err)
			}
		}
		for range 8 {
			if agree(t, s, values(t, typ, 0)) {
				valid++
			} else {
				invalid++
			}
		}
	})
	if valid < invalid/10 || invalid < valid/10 {
		t.Errorf("%d valid values and %d invalid ones: this tests one side only", valid, invalid)
	}
}

// FuzzPlan gives the same generators to the fuzzer: go test -fuzz FuzzPlan.
func FuzzPlan(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		typ := structs().Draw(t, "struct")
		s, err := For(typ)
		if err != nil {
			t.Skip(err)
		}
		for range 4 {
			agree(t, s, values(t, typ, 0))
		}
	}))
}

// FuzzPlanText looks for texts and numbers that v5 sees differently.
func FuzzPlanText(f *testing.F) {
	s, err := For(reflect.TypeFor[scalars]())
	if err != nil {
		f.Fatal(err)
	}
	f.Add("abc", int64(3), uint64(2), 0.1, float32(0.1))
	f.Add("b\xff", int64(-1), uint64(1<<63), 1e21, float32(16777216))
	f.Fuzz(func(t *testing.T, text string, i int64, u uint64, d float64, e float32) {
		if d-d != 0 || e-e != 0 {
			t.Skip("no number")
		}
		v := reflect.ValueOf(&scalars{text, text, text, text, text, i, u, d, e, d}).Elem()
		agree(t, s, v)
		v = reflect.ValueOf(&scalars{Int: 3, Uint: 2, Float: 0.15, Float32: 0.2, Long: "abc", Short: text, Word: text}).Elem()
		agree(t, s, v)
	})
}

type scalars struct {
	Long    string  `json:"long,omitempty" jsonschema:"minLength=3"`
	Short   string  `json:"short,omitempty" jsonschema:"maxLength=3"`
	Word    string  `json:"word,omitempty" jsonschema:"pattern=^.\\w*$"`
	When    string  `json:"when,omitempty" jsonschema:"format=date-time"`
	Address string  `json:"address,omitempty" jsonschema:"format=uri"`
	Int     int64   `json:"int" jsonschema:"minimum=-5.5,maximum=1e3,multipleOf=1.5"`
	Uint    uint64  `json:"uint" jsonschema:"exclusiveMinimum=0.5,multipleOf=2"`
	Float   float64 `json:"float" jsonschema:"minimum=0.1,exclusiveMaximum=0.30000000000000004"`
	Float32 float32 `json:"float32" jsonschema:"minimum=0.1,maximum=0.3"`
	Cents   float64 `json:"cents" jsonschema:"multipleOf=0.01"`
}

// shadowing has the cases in which encoding/json and the order of the fields disagree.
type shadowing struct {
	Same string `json:"same" jsonschema:"maxLength=2"`
	embedded
	*plain
	A string `json:"B" jsonschema:"minLength=1"`
}

type named struct{ net.IP }

func TestSlow(t *testing.T) {
	t.Parallel()
	type inner struct {
		Raw  json.RawMessage `json:"raw" jsonschema:"type=object"`
		Free json.RawMessage `json:"free"`
	}
	for _, tt := range []struct {
		name  string
		value any
		want  []string
	}{
		{"all proved", scalars{}, nil},
		{"recursive", node{}, nil},
		{"nested", struct {
			In []inner `json:"in"`
		}{}, []string{"in[].raw: json.RawMessage writes its own JSON"}},
		{"string option with a limit", struct {
			N int `json:"n,string" jsonschema:"maxLength=3"`
		}{}, []string{"n: the string option makes it text only in the JSON"}},
		{"choice", struct {
			A any `json:"a" jsonschema:"oneof_type=string;integer"`
		}{}, []string{"a: oneOf is checked on the JSON"}},
		{"marshaler by embedding", named{}, nil},
		{"left out by its IsZero method", struct {
			T *time.Time `json:"t,omitzero" jsonschema:"required"`
		}{}, []string{"t: its IsZero method decides whether it is written"}},
		{"left out when the time is zero", struct {
			T time.Time `json:"t,omitzero" jsonschema:"required"`
		}{}, nil},
		{"text of a marshaler", struct {
			IP net.IP `json:"ip" jsonschema:"format=ipv4"`
		}{}, []string{"ip: net.IP writes its own JSON"}},
		{"one of two", struct {
			A string `json:"a,omitempty" jsonschema:"oneof_required=x"`
			B string `json:"b,omitempty" jsonschema:"oneof_required=y"`
		}{}, []string{"(value): oneOf is checked on the JSON"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := must(t, reflect.TypeOf(tt.value))
			if d := cmp.Diff(tt.want, slices.Concat(s.Slow(), []string(nil))); d != "" {
				t.Errorf("-want +got\n%s\n%s", d, s.doc)
			}
		})
	}
}

// TestFallBack: what the plan does not know is still decided, by v5.
func TestFallBack(t *testing.T) {
	t.Parallel()
	type either struct {
		A string `json:"a,omitempty" jsonschema:"oneof_required=x"`
		B string `json:"b,omitempty" jsonschema:"oneof_required=y"`
	}
	s := must(t, reflect.TypeFor[either]())
	for _, tt := range []struct {
		name  string
		value any
		valid bool
	}{
		{"one", either{A: "1"}, true}, {"pointer", &either{B: "1"}, true}, {"both", either{A: "1", B: "2"}, false}, {"none", either{}, false},
		{"another type", map[string]string{"a": "x"}, true}, {"another type, wrong", 7, false}, {"nil", nil, false}, {"nil pointer", (*either)(nil), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := s.Append(nil, tt.value)
			if invalid := (*Invalid)(nil); errors.As(err, &invalid) == tt.valid {
				t.Errorf("got %v, want valid: %v", err, tt.valid)
			}
		})
	}
}

func must(t testing.TB, typ reflect.Type) *Schema {
	t.Helper()
	s, err := For(typ)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
