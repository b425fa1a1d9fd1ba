package schema

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
)

type failing struct{}

// encode appends v's JSON.
func encode(s *Schema, dst []byte, v any) ([]byte, error) {
	w := Writer{Buf: dst}
	err := s.Encode(&w, v)
	return w.Buf, err
}

func (failing) MarshalJSON() ([]byte, error) { return nil, errors.New("not today") }

type escaping struct{}

func (escaping) MarshalJSON() ([]byte, error) { return json.Marshal("<\u2028>") }

func TestEncodeText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		value any
		want  string
	}{
		{"HTML", "<a href=\"x\">&</a>", `"<a href=\"x\">&</a>"`},
		{"separators", "a\u2028b\u2029", "\"a\u2028b\u2029\""},
		{"written out", `\u2028`, `"\\u2028"`},
		{"written out behind a backslash", "\\\u2028\\u003c", "\"\\\\\u2028\\\\u003c\""},
		{"control", "\x00\x1f\b\f\n\r\t\x7f", `"\u0000\u001f\b\f\n\r\t` + "\x7f\""},
		{"broken", "a\xffb", `"a\ufffdb"`},
		{"key", map[string]int{"<\u2028>": 1}, "{\"<\u2028>\":1}"},
		{"own JSON", escaping{}, "\"<\u2028>\""},
		{"nothing", nil, "null"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := must(t, reflect.TypeOf(&tt.value).Elem())
			got, err := encode(s, []byte(`keep\u2028`), tt.value)
			if err != nil || string(got) != `keep\u2028`+tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestEncodeErrors(t *testing.T) {
	t.Parallel()
	type inner struct {
		F  float64            `json:"f"`
		L  []map[string]any   `json:"l"`
		X  *failing           `json:"x"`
		Me *inner             `json:"me,omitempty"`
		M  map[string]float64 `json:"m"`
	}
	type outer struct {
		In inner `json:"in"`
	}
	cycle := &inner{}
	cycle.Me = cycle
	s := must(t, reflect.TypeFor[outer]())
	for _, tt := range []struct {
		name  string
		value any
		want  []string
	}{
		{"NaN", outer{inner{F: math.NaN()}}, []string{`field "in.f"`, "NaN"}},
		{"infinity in a map", outer{inner{M: map[string]float64{"k": math.Inf(1)}}}, []string{`field "in.m.k"`, "+Inf"}},
		{"channel in any", outer{inner{L: []map[string]any{nil, {"c": make(chan int)}}}},
			[]string{`field "in.l[1].c"`, "chan int"}},
		{"marshaler fails", outer{inner{X: &failing{}}}, []string{`field "in.x"`, "not today"}},
		{"cycle", &outer{inner{Me: cycle}}, []string{"cycle"}},
		{"value itself", math.Inf(-1), []string{"encode float64", "-Inf"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := encode(s, []byte("kept"), tt.value)
			if err == nil || string(got) != "kept" {
				t.Fatalf("got %s, %v", got, err)
			}
			if invalid := (*Invalid)(nil); errors.As(err, &invalid) {
				t.Errorf("%v: is *Invalid", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v: lacks %s", err, want)
				}
			}
		})
	}
}

func TestAppendConcurrently(t *testing.T) {
	t.Parallel()
	s := must(t, reflect.TypeFor[order]())
	want, err := encode(s, nil, anOrder())
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for range 200 {
				if got, err := encode(s, nil, anOrder()); err != nil || string(got) != string(want) {
					t.Errorf("got %s, %v", got, err)
				}
				if _, err := encode(s, nil, &order{}); err == nil {
					t.Error("an empty order is valid")
				}
			}
		})
	}
	running.Wait()
}

func must(t testing.TB, typ reflect.Type) *Schema {
	t.Helper()
	s, err := For(typ)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
