package jsonplan_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kafkaesk/kafkaesk/internal/schema"
)

var (
	timeType   = reflect.TypeFor[time.Time]()
	numberType = reflect.TypeFor[json.Number]()
)

// Random struct types with tags, and random values of any type, for the differential tests.

type (
	grade    string
	plain    struct{ A, B int }
	embedded struct {
		Inner string `json:"inner" jsonschema:"minLength=2"`
		Same  int    `json:"same"`
	}
	node struct {
		Name  string           `json:"name" jsonschema:"minLength=1,maxLength=4"`
		Next  *node            `json:"next"`
		Kids  []node           `json:"kids,omitempty" jsonschema:"maxItems=2"`
		Named map[string]*node `json:"named,omitempty"`
	}
	tags       []string
	forest     []forest
	everything struct {
		Text     string          `json:"text" jsonschema:"minLength=2,maxLength=5"`
		Code     string          `json:"code,omitempty" jsonschema:"pattern=^[a-c]{1\\,3}$"`
		Grade    grade           `json:"grade" jsonschema:"enum=a,enum=b,enum=ß"`
		Mail     string          `json:"mail,omitempty" jsonschema:"format=email"`
		When     string          `json:"when,omitempty" jsonschema:"format=date-time"`
		Age      int8            `json:"age" jsonschema:"minimum=-3,exclusiveMaximum=100,multipleOf=3"`
		Big      int64           `json:"big" jsonschema:"maximum=9223372036854775806"`
		Count    uint64          `json:"count" jsonschema:"exclusiveMinimum=0,maximum=18446744073709551614"`
		Choice   uint16          `json:"choice,omitempty" jsonschema:"enum=1,enum=2,enum=500"`
		Ratio    float64         `json:"ratio" jsonschema:"minimum=0.1,maximum=0.3"`
		Small    float32         `json:"small" jsonschema:"exclusiveMinimum=0.1,exclusiveMaximum=16777217"`
		Step     float64         `json:"step" jsonschema:"multipleOf=0.01"`
		Flag     bool            `json:"flag"`
		Tags     tags            `json:"tags" jsonschema:"minItems=1,maxItems=3,uniqueItems=true,minLength=1"`
		Numbers  []float64       `json:"numbers,omitempty" jsonschema:"uniqueItems=true"`
		Array    [2]int          `json:"array" jsonschema:"minimum=0"`
		Pointer  *string         `json:"pointer" jsonschema:"minLength=1"`
		Optional *int            `json:"optional,omitempty" jsonschema:"minimum=1"`
		Nullable *float64        `json:"nullable" jsonschema:"nullable,minimum=1"`
		Map      map[string]int  `json:"map"`
		Limited  map[string]tags `json:"limited"`
		Bytes    []byte          `json:"bytes"`
		Time     time.Time       `json:"time"`
		Zero     time.Time       `json:"zero,omitzero"`
		Address  net.IP          `json:"address"`
		Any      any             `json:"any"`
		Raw      json.RawMessage `json:"raw,omitempty"`
		Number   json.Number     `json:"number"`
		Quoted   int             `json:"quoted,string"`
		Node     *node           `json:"node"`
		Forest   forest          `json:"forest"`
		Anon     []struct {
			X int `jsonschema:"minimum=0"`
		} `json:"anon"`
		*embedded
		plain
		Same string `json:"same" jsonschema:"maxLength=3"`
	}
)

// sample is a type with the constraints that make sense on it.
type sample struct {
	typ  reflect.Type
	tags []string
}

func samples() []sample {
	strings := []string{"minLength=0", "minLength=2", "minLength=4", "maxLength=3", "pattern=^[a-z]*$",
		"pattern=b.\uFFFD?", "enum=a,enum=bc,enum=\uFFFD", "format=uuid",
		"format=date-time", "format=ipv4", "enum=", "title=x"}
	numbers := []string{"minimum=-1", "minimum=0.5", "maximum=3", "maximum=2.5", "exclusiveMinimum=-1.5",
		"exclusiveMinimum=0", "exclusiveMaximum=3",
		"exclusiveMaximum=0.3", "minimum=0.30000000000000001", "maximum=0.29999999999999999", "multipleOf=2",
		"multipleOf=0.1", "multipleOf=1.5", "enum=0,enum=1,enum=0.3,enum=2", "maximum=1e30", "minimum=-1e300",
		"multipleOf=18446744073709551616"}
	lists := []string{"minItems=1", "maxItems=2", "uniqueItems=true", "minItems=2,maxItems=3"}
	items := append(append([]string{}, lists...), strings...)
	return []sample{
		{reflect.TypeFor[string](), strings}, {reflect.TypeFor[grade](), strings}, {reflect.TypeFor[*string](), strings},
		{reflect.TypeFor[int](), numbers}, {reflect.TypeFor[int8](), numbers}, {reflect.TypeFor[*int32](), numbers},
		{reflect.TypeFor[uint](), numbers}, {reflect.TypeFor[uint8](), numbers}, {reflect.TypeFor[*uint64](), numbers},
		{reflect.TypeFor[float64](), numbers}, {reflect.TypeFor[float32](), numbers}, {reflect.TypeFor[*float64](), numbers},
		{reflect.TypeFor[time.Duration](), numbers}, {reflect.TypeFor[bool](), nil}, {reflect.TypeFor[time.Time](), nil},
		{reflect.TypeFor[[]string](), items}, {reflect.TypeFor[tags](), items}, {reflect.TypeFor[[]*string](), items},
		{reflect.TypeFor[[]int](), lists}, {reflect.TypeFor[[3]uint8](), lists},
		{reflect.TypeFor[[]float32](), append([]string{"minimum=0.1"}, lists...)},
		{reflect.TypeFor[map[string]string](), nil}, {reflect.TypeFor[map[int]*int](), nil}, {reflect.TypeFor[[]byte](), nil},
		{reflect.TypeFor[node](), nil}, {reflect.TypeFor[*node](), nil}, {reflect.TypeFor[map[string]node](), nil},
		{reflect.TypeFor[any](), nil},
		{reflect.TypeFor[plain](), nil}, {reflect.TypeFor[*embedded](), nil}, {reflect.TypeFor[[]embedded](), lists[:2]},
		{reflect.TypeFor[net.IP](), nil},
	}
}

// structs draws struct types made at run time.
func structs() *rapid.Generator[reflect.Type] {
	all := samples()
	return rapid.Custom(func(t *rapid.T) reflect.Type {
		var fields []reflect.StructField
		for i := range rapid.IntRange(1, 5).Draw(t, "fields") {
			pick := rapid.SampledFrom(all).Draw(t, "type")
			options := rapid.SampledFrom([]string{"", "", "", ",omitempty", ",omitzero", ",string"}).Draw(t, "options")
			limits := rapid.SliceOfNDistinct(rapid.SampledFrom(append([]string{"title=x", "required"}, pick.tags...)), 0, 2,
				keywordOf).Draw(t, "limits")
			tag := fmt.Sprintf("json:%q jsonschema:%q", "f"+strconv.Itoa(i)+options, strings.Join(limits, ","))
			fields = append(fields, reflect.StructField{Name: "F" + strconv.Itoa(i), Type: pick.typ,
				Tag: reflect.StructTag(tag)})
		}
		return reflect.StructOf(fields)
	})
}

func keywordOf(tag string) string {
	keyword, _, _ := strings.Cut(tag, "=")
	return keyword
}

// values draws values of a type, near the limits of the tags above, deep ones rarely.
func values(t *rapid.T, typ reflect.Type, depth int) reflect.Value {
	v := reflect.New(typ).Elem()
	few := func(most int) int {
		if depth > 3 {
			return 0
		}
		return rapid.IntRange(0, most).Draw(t, "n")
	}
	switch typ {
	case timeType:
		v.Set(reflect.ValueOf(time.Unix(rapid.Int64Range(-1e10, 1e10).Draw(t, "time"),
			5).In(time.FixedZone("x", rapid.IntRange(-50000, 50000).Draw(t, "zone")))))
		if rapid.Bool().Draw(t, "zero time") {
			v.SetZero()
		}
		return v
	case numberType:
		v.SetString(rapid.SampledFrom([]string{"", "1", "-1.5e3", "1e400"}).Draw(t, "number"))
		return v
	case reflect.TypeFor[json.RawMessage]():
		v.SetBytes([]byte(rapid.SampledFrom([]string{"null", `{"a":[1e9]}`, `"\u2028<"`}).Draw(t, "raw")))
		return v
	case reflect.TypeFor[net.IP]():
		v.Set(reflect.ValueOf(rapid.SampledFrom([]net.IP{nil, net.IPv4(1, 2, 3, 4), net.IPv6loopback}).Draw(t, "ip")))
		return v
	}
	switch typ.Kind() {
	case reflect.String:
		v.SetString(rapid.OneOf(rapid.SampledFrom([]string{"", "a", "b", "bc", "abc", "abcd", "ß", "äöü", "b\xff\xfe", "\xff",
			"\uFFFD", "b\uFFFDc", "😀😀😀", "😀😀😀😀", "<&>", "\u2028\\u2028",
			"2024-02-29T01:02:03Z", "2023-02-29T01:02:03Z", "a@b.de", "1.2.3.4", "0193b2a0-1111-7222-8333-444455556666"}),
			rapid.String()).Draw(t, "string"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(rapid.OneOf(rapid.Int64Range(-4, 7),
			rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64, math.MaxInt64 - 1}), rapid.Int64()).Draw(t, "int"))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(rapid.OneOf(rapid.Uint64Range(0, 7), rapid.SampledFrom([]uint64{500, math.MaxUint64, math.MaxUint64 - 1}),
			rapid.Uint64()).Draw(t, "uint"))
	case reflect.Float32, reflect.Float64:
		f := rapid.OneOf(rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 0.1, 0.3, 0.5, 1, 1.5, 2, 2.5, 3, 0.07,
			0.3 - 1e-17, 16777216, 16777217, 1e21, 1e30, -1.5,
			math.Nextafter(0.1, 1), math.Nextafter(0.3, 1), float64(float32(0.1)), float64(math.Nextafter32(0.1, 1)), 5e-324,
			math.MaxFloat64}), rapid.Float64()).Draw(t, "float")
		v.SetFloat(f)
		if math.IsInf(v.Float(), 0) || math.IsNaN(v.Float()) || typ.Kind() == reflect.Float32 &&
			math.IsInf(float64(float32(f)), 0) {
			v.SetFloat(1)
		}
	case reflect.Pointer:
		if depth < 4 && rapid.Bool().Draw(t, "set") {
			v.Set(values(t, typ.Elem(), depth+1).Addr())
		}
	case reflect.Interface:
		if any := rapid.SampledFrom([]any{"x", 1, nil, map[string]any{"a": []int{1}}}).Draw(t, "any"); any != nil &&
			typ.NumMethod() == 0 {
			v.Set(reflect.ValueOf(any))
		}
	case reflect.Slice:
		if rapid.Bool().Draw(t, "set") {
			n := few(4)
			v.Set(reflect.MakeSlice(typ, n, n))
			for i := range n {
				v.Index(i).Set(values(t, typ.Elem(), depth+1))
			}
		}
	case reflect.Array:
		for i := range typ.Len() {
			v.Index(i).Set(values(t, typ.Elem(), depth+1))
		}
	case reflect.Map:
		if rapid.Bool().Draw(t, "set") {
			v.Set(reflect.MakeMap(typ))
			for range few(3) {
				v.SetMapIndex(values(t, typ.Key(), depth+1), values(t, typ.Elem(), depth+1))
			}
		}
	case reflect.Struct:
		for i := range typ.NumField() {
			if at := v.Field(i); at.CanSet() {
				at.Set(values(t, typ.Field(i).Type, depth+1))
			}
		}
	}
	return v
}

// valuesOfAType is how many values of each random type are tried: with 50,000 types of each test, 10,000,000 in `make
// proof`.
func valuesOfAType() int {
	if os.Getenv("KAFKAESK_PROOF") != "" {
		return 100
	}
	return 8
}

func must(t testing.TB, typ reflect.Type) *schema.Schema {
	t.Helper()
	s, err := schema.For(typ)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
