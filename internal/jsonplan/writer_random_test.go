package jsonplan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"pgregory.net/rapid"
)

// Random types of every build and values that may have no JSON, to hold the writer against encoding/json.

// shapes draws types of any build, without rules.
func shapes(depth int) *rapid.Generator[reflect.Type] {
	var leaves []reflect.Type
	for _, s := range samples() {
		leaves = append(leaves, s.typ)
	}
	leaves = append(leaves,
		reflect.TypeFor[byValue](), reflect.TypeFor[byPointer](), reflect.TypeFor[textValue](), reflect.TypeFor[textPoint](),
		reflect.TypeFor[twoWays](),
		reflect.TypeFor[zeroValue](), reflect.TypeFor[zeroPoint](), reflect.TypeFor[speaker](), reflect.TypeFor[namedBytes](),
		reflect.TypeFor[small](),
		reflect.TypeFor[json.Number](), reflect.TypeFor[json.RawMessage](), reflect.TypeFor[map[textKey]int](),
		reflect.TypeFor[struct{}](),
		reflect.TypeFor[[0]int](), reflect.TypeFor[complexity](), reflect.TypeFor[chan int](), reflect.TypeFor[complex64](),
		reflect.TypeFor[uintptr](),
	)
	leaf := rapid.SampledFrom(leaves)
	if depth == 3 {
		return leaf
	}
	return rapid.Custom(func(t *rapid.T) reflect.Type {
		switch rapid.SampledFrom([]string{"leaf", "struct", "struct", "slice", "array", "map", "pointer"}).Draw(t, "build") {
		case "slice":
			return reflect.SliceOf(shapes(depth+1).Draw(t, "element"))
		case "array":
			return reflect.ArrayOf(rapid.IntRange(0, 2).Draw(t, "length"), shapes(depth+1).Draw(t, "element"))
		case "map":
			key := rapid.SampledFrom([]reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[grade](), reflect.TypeFor[int](),
				reflect.TypeFor[uint8]()}).Draw(t, "key")
			return reflect.MapOf(key, shapes(depth+1).Draw(t, "element"))
		case "pointer":
			return reflect.PointerTo(shapes(depth+1).Draw(t, "element"))
		case "struct":
			return shapedStruct(t, depth)
		}
		return leaf.Draw(t, "leaf")
	})
}

// shapedStruct draws a struct with fields of any shape, some embedded, some of equal name.
func shapedStruct(t *rapid.T, depth int) reflect.Type {
	var fields []reflect.StructField
	for i := range rapid.IntRange(0, 5).Draw(t, "fields") {
		f := reflect.StructField{Name: fmt.Sprint("F", i), Type: shapes(depth+1).Draw(t, "type")}
		name := rapid.SampledFrom([]string{"", "", "a", "b", "<", "ü", "-"}).Draw(t, "name")
		options := rapid.SampledFrom([]string{"", "", ",omitempty", ",omitzero", ",string", ",omitempty,omitzero",
			",omitempty,string"}).Draw(t, "options")
		f.Tag = reflect.StructTag(fmt.Sprintf("json:%q", name+options))
		// one with methods cannot be embedded at run time
		if f.Type.Kind() == reflect.Struct && f.Type.Name() == "" && rapid.Bool().Draw(t, "embed") {
			f.Anonymous = true
		}
		fields = append(fields, f)
	}
	return reflect.StructOf(fields)
}

// wild draws a value as values does, and then may spoil it: numbers that are none, times out of range, any behind
// interfaces.
func wild(t *rapid.T, typ reflect.Type) reflect.Value {
	v := values(t, typ, 0)
	if rapid.IntRange(0, 3).Draw(t, "spoil") == 0 {
		spoil(t, v)
	}
	return v
}

func spoil(t *rapid.T, v reflect.Value) {
	if !v.CanSet() || v.Type() == timeType && rapid.Bool().Draw(t, "skip") {
		return
	}
	often := func() bool { return rapid.IntRange(0, 2).Draw(t, "here") == 0 }
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		if often() {
			v.SetFloat(rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e-6, 9.9e-7, 1e20, 1e21, -1e-9,
				1e-10}).Draw(t, "float"))
		}
	case reflect.Interface:
		for _, bad := range []any{make(chan int), &byPointer{1}, (*byPointer)(nil), byValue{1}, []any{math.NaN()},
			map[string]any{"<\xff": 1e21}, &bytes.Buffer{}, failing{}} {
			if often() && reflect.TypeOf(bad).AssignableTo(v.Type()) {
				v.Set(reflect.ValueOf(bad))
				return
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			spoil(t, v.Elem())
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			spoil(t, v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(rapid.SampledFrom([]time.Time{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
				time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC),
				time.Date(2000, 1, 1, 0, 0, 0, 0, time.FixedZone("far", 24*3600)), time.Time{}.In(time.FixedZone("x", 60)),
				time.Now()}).Draw(t, "time")))
			return
		}
		for i := range v.NumField() {
			spoil(t, v.Field(i))
		}
	}
}

type failing struct{}

func (failing) MarshalJSON() ([]byte, error) { return nil, errors.New("not today") }
