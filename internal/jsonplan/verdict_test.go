package jsonplan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v5"
	"pgregory.net/rapid"

	"github.com/kafkaesk/kafkaesk/internal/jsonscan"
	"github.com/kafkaesk/kafkaesk/internal/schema"
	"github.com/kafkaesk/kafkaesk/internal/testkit/property"
)

// encode appends v's JSON.
func encode(s *schema.Schema, dst []byte, v any) ([]byte, error) {
	w := schema.Writer{Buf: dst}
	err := s.Encode(&w, v)
	return w.Buf, err
}

// agree holds the verdict for one value against v5's on the JSON that encoding/json writes.
func agree(t interface {
	Helper()
	Fatalf(string, ...any)
}, s *schema.Schema, v5 *jsonschema.Schema, v reflect.Value) (valid bool) {
	t.Helper()
	out, err := encode(s, []byte("kept"), v.Addr().Interface())
	var invalid *schema.Invalid
	if err != nil && !errors.As(err, &invalid) {
		t.Fatalf("encode %#v: %v", v, err)
	}
	want, wantErr := standard(v.Addr().Interface())
	if wantErr != nil || string(out) != "kept"+string(want) {
		t.Fatalf("encoded\n%s\nwant\n%s %v", out, want, wantErr)
	}
	verdict := v5.Validate(decoded(want))
	if (err == nil) != (verdict == nil) && (verdict != nil || !mayRepeatKeys(want)) {
		t.Fatalf("the verdict is %v, and v5's %#v\n%s\n%s", err, verdict, want, s.JSON())
	}
	return err == nil
}

// mayRepeatKeys reports whether an object may have a key twice, as a map has it with the keys "\xff" and "\ufffd".
// There v5 sees the last of the two only, and the plan both: a reader may take either.
func mayRepeatKeys(doc []byte) bool {
	var s jsonscan.Scanner
	s.Scan(doc)
	return s.Flags&jsonscan.Repeated != 0
}

// compiled returns v5's own schema.
func compiled(s *schema.Schema) *jsonschema.Schema {
	c := jsonschema.NewCompiler()
	c.Draft, c.AssertFormat = jsonschema.Draft2020, true
	if err := c.AddResource("schema:///x", bytes.NewReader(s.JSON())); err != nil {
		panic(err)
	}
	return c.MustCompile("schema:///x")
}

func decoded(data []byte) (v any) {
	in := json.NewDecoder(bytes.NewReader(data))
	in.UseNumber()
	if err := in.Decode(&v); err != nil {
		panic(err)
	}
	return v
}

func TestPlanAgreesOnWrittenTypes(t *testing.T) {
	t.Parallel()
	for _, typ := range []reflect.Type{
		reflect.TypeFor[everything](), reflect.TypeFor[node](), reflect.TypeFor[embedded](), reflect.TypeFor[forest](),
		reflect.TypeFor[tags](),
		reflect.TypeFor[map[string]node](), reflect.TypeFor[shadowing](), reflect.TypeFor[grade](),
		reflect.TypeFor[float32](),
	} {
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			s := must(t, typ)
			v5 := compiled(s)
			rapid.Check(t, func(t *rapid.T) { agree(t, s, v5, values(t, typ, 0)) })
		})
	}
}

func TestPlanAgreesOnRandomTypes(t *testing.T) {
	t.Parallel()
	var valid, invalid int
	rapid.Check(t, func(t *rapid.T) {
		typ := structs().Draw(t, "struct")
		s, err := schema.For(typ)
		if err != nil {
			if strings.Contains(err.Error(), "jsonschema tag") {
				t.Skip(err)
			}
			t.Fatalf("%s: %v", typ, err)
		}
		if rapid.Bool().Draw(t, "null refused") { // as a supplied schema may have it
			if s, err = schema.FromJSON(typ, bytes.ReplaceAll(s.JSON(), []byte(`"null"`), []byte(`"boolean"`))); err != nil {
				t.Fatal(err)
			}
		}
		v5 := compiled(s)
		for range valuesOfAType() {
			if agree(t, s, v5, values(t, typ, 0)) {
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
	property.Fuzz(f, func(t *rapid.T) {
		typ := structs().Draw(t, "struct")
		s, err := schema.For(typ)
		if err != nil {
			t.Skip(err)
		}
		v5 := compiled(s)
		for range 4 {
			agree(t, s, v5, values(t, typ, 0))
		}
	})
}

// FuzzPlanText looks for texts and numbers that v5 sees differently.
func FuzzPlanText(f *testing.F) {
	s, err := schema.For(reflect.TypeFor[scalars]())
	if err != nil {
		f.Fatal(err)
	}
	v5 := compiled(s)
	f.Add("abc", int64(3), uint64(2), 0.1, float32(0.1))
	f.Add("b\xff", int64(-1), uint64(1<<63), 1e21, float32(16777216))
	f.Fuzz(func(t *testing.T, text string, i int64, u uint64, d float64, e float32) {
		if d-d != 0 || e-e != 0 {
			return // JSON has no such number
		}
		v := reflect.ValueOf(&scalars{text, text, text, text, text, i, u, d, e, d}).Elem()
		agree(t, s, v5, v)
		v = reflect.ValueOf(&scalars{Int: 3, Uint: 2, Float: 0.15, Float32: 0.2, Long: "abc", Short: text, Word: text}).Elem()
		agree(t, s, v5, v)
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
		Raw json.RawMessage `json:"raw" jsonschema:"type=object"`
		A   any             `json:"a" jsonschema:"oneof_type=string;integer"`
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
		}{}, []string{"in[].a: oneOf"}},
		{"map", struct {
			In map[string]inner `json:"in"`
		}{}, []string{"in{}.a: oneOf"}},
		{"one of two", struct {
			A string `json:"a,omitempty" jsonschema:"oneof_required=x"`
			B string `json:"b,omitempty" jsonschema:"oneof_required=y"`
		}{}, []string{"(value): oneOf"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := must(t, reflect.TypeOf(tt.value))
			if d := cmp.Diff(tt.want, slices.Concat(s.Slow(), []string(nil))); d != "" {
				t.Errorf("-want +got\n%s\n%s", d, s.JSON())
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
		{"one", either{A: "1"}, true}, {"pointer", &either{B: "1"}, true}, {"both", either{A: "1", B: "2"}, false},
		{"none", either{}, false},
		{"another type", map[string]string{"a": "x"}, true}, {"another type, wrong", 7, false}, {"nil", nil, false},
		{"nil pointer", (*either)(nil), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := encode(s, nil, tt.value)
			if invalid := (*schema.Invalid)(nil); errors.As(err, &invalid) == tt.valid {
				t.Errorf("got %v, want valid: %v", err, tt.valid)
			}
		})
	}
}
