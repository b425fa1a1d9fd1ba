package jsonplan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kafkaesk/kafkaesk/internal/jsonplan"
	"github.com/kafkaesk/kafkaesk/internal/testkit/property"
)

// writesTheSame holds what the plan writes for v against encoding/json: the same bytes, or errors of the same text.
// Where v has nil slices and maps, encoding/json gets empty ones.
func writesTheSame(t interface {
	Helper()
	Fatalf(string, ...any)
}, p *jsonplan.Plan, v any) {
	t.Helper()
	if !p.Takes(v) { // an interface type
		return
	}
	want, wantErr := standard(v)
	w := jsonplan.Writer{Buf: []byte("kept")}
	_, err := p.Write(&w, v)
	if err != nil {
		err = errors.Unwrap(err) // without the field
	}
	said := func(err error) string {
		text := strings.ReplaceAll(fmt.Sprint(err), "*time.Time", "time.Time")
		text, _, _ = strings.Cut(text, "cycle via") // a cycle can be met at any of its places
		return text
	}
	if string(w.Buf) != "kept"+string(want) || said(err) != said(wantErr) &&
		!strings.Contains(fmt.Sprint(err), "MarshalText") {
		t.Fatalf("%T\nwrites  %s, %v\nwant    kept%s, %v", v, w.Buf, err, want, wantErr)
	}
}

// standard is what encoding/json writes, without HTML escapes.
func standard(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(filled(v)); err != nil {
		return nil, err
	}
	return jsonplan.PlainText(bytes.TrimSuffix(out.Bytes(), []byte{'\n'})), nil
}

// filled returns a copy of v in which nil slices and maps are empty, with an address where v has one. A value with a
// cycle comes back as it is.
func filled(v any) any {
	if v == nil {
		return nil
	}
	f := filler{seen: map[visited]bool{}}
	at := reflect.ValueOf(v)
	out := f.fill(at)
	if f.cycle {
		return v
	}
	return out.Interface()
}

type visited struct {
	p uintptr
	t reflect.Type
	n int
}

type filler struct {
	seen  map[visited]bool
	cycle bool
}

func (f *filler) fill(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	k := v.Kind()
	if k == reflect.Slice || k == reflect.Map || k == reflect.Pointer {
		n := 0
		if k == reflect.Slice {
			n = v.Len()
		}
		at := visited{v.Pointer(), v.Type(), n}
		if !v.IsNil() && f.seen[at] && (k != reflect.Slice || n > 0) {
			f.cycle = true
		}
		if f.cycle {
			return out
		}
		f.seen[at] = true
		defer delete(f.seen, at)
	}
	if jsonplan.HasMethod(v.Type()) {
		return out
	}
	switch k {
	case reflect.Slice:
		out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			out.Index(i).Set(f.fill(v.Index(i)))
		}
	case reflect.Array:
		for i := range v.Len() {
			out.Index(i).Set(f.fill(v.Index(i)))
		}
	case reflect.Map:
		out.Set(reflect.MakeMap(v.Type()))
		for each := v.MapRange(); each.Next(); {
			out.SetMapIndex(each.Key(), f.fill(each.Value()))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			to := reflect.New(v.Type().Elem())
			to.Elem().Set(f.fill(v.Elem()))
			out.Set(to)
		}
	case reflect.Interface:
		if !v.IsNil() {
			out.Set(f.fill(v.Elem()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			sf := v.Type().Field(i)
			name, options, _ := strings.Cut(sf.Tag.Get("json"), ",")
			// it tells nil from empty
			left := v.Field(i).IsZero() && strings.Contains(options, "omitzero") && (!sf.Anonymous || name != "")
			if sf.IsExported() && !left {
				out.Field(i).Set(f.fill(v.Field(i)))
			}
		}
	}
	return out
}

// mirror is a plan without a schema.
func mirror(t reflect.Type) *jsonplan.Plan { return jsonplan.Published().For(t, nil) }

// Methods on the value, the pointer, the interface: encoding/json looks at where a value is to choose.
type (
	byValue    struct{ N int }
	byPointer  struct{ N int }
	textValue  int
	textPoint  struct{ S string }
	twoWays    struct{ N int }
	zeroValue  struct{ N int }
	zeroPoint  struct{ N int }
	textKey    int
	namedBytes []byte
	small      uint8
	loop       *loop
	hidden     struct {
		Shown string
		At    *time.Time
	}
	speaker interface{ MarshalJSON() ([]byte, error) }
)

func (v byValue) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `{"<v>\u003c": %d}`, v.N), nil
}
func (p *byPointer) MarshalJSON() ([]byte, error) {
	if p == nil { // called behind an interface type with methods only
		return []byte(`"nil"`), nil
	}
	return fmt.Appendf(nil, `[%d, "p"]`, p.N), nil
}
func (v textValue) MarshalText() ([]byte, error)  { return []byte("<t\xff\">"), nil }
func (p *textPoint) MarshalText() ([]byte, error) { return []byte(p.S + "\u2028"), nil }
func (v twoWays) MarshalText() ([]byte, error)    { return []byte("text"), nil }
func (p *twoWays) MarshalJSON() ([]byte, error)   { return []byte(`"json"`), nil }
func (v zeroValue) IsZero() bool                  { return v.N == 7 }
func (p *zeroPoint) IsZero() bool                 { return p.N == 7 }
func (k textKey) MarshalText() ([]byte, error)    { return fmt.Appendf(nil, "<%d", k), nil }

// odd has fields that need care, each beside fields that do not.
type odd struct {
	Value    byValue
	Pointer  byPointer
	PP       **byPointer
	Text     textValue
	TextP    textPoint
	Two      twoWays
	TwoP     *twoWays
	Speaker  speaker
	Error    error
	Any      any `json:",omitempty"`
	Anys     []any
	AnyMap   map[string]any
	Bytes    namedBytes `json:"b,omitempty"`
	Small    []small
	Array    [3]byte
	Values   []byValue
	Pointers []byPointer
	MapP     map[string]byPointer
	MapT     map[textKey]int
	MapI     map[int8]string
	MapM     map[grade]map[string]float32
	Number   json.Number `json:",omitempty"`
	Raw      json.RawMessage
	Zone     *time.Location `json:"-"`
	Dash     int            `json:"-,"` //nolint:staticcheck // a field named "-" is what is meant
	HTML     bool           `json:"<&>"`
	hidden
	*embedded
	io.Writer
	Last complexity `json:"last,omitzero"`
}

type complexity struct {
	Quoted  int8      `json:"q,string"`
	QuotedP *float32  `json:"qp,string,omitempty"`
	Flag    bool      `json:",string"`
	Zero    time.Time `json:",omitzero"`
	ZeroE   time.Time `json:",omitempty"`
	Floats  map[string]*float64
	Nest    [][]map[string][]int `json:",omitempty,omitzero"`
	Empty   struct{}             `json:",omitempty"`
	EmptyA  [0]int               `json:",omitempty"`
	Pointer ***int
	Fn      *func() `json:",omitempty"`
}

// texts of the string option, and fields that a method may leave out, take the struct to encoding/json.
type (
	quotedText struct {
		A int
		S string  `json:",string"`
		P *string `json:",string"`
	}
	quotedNumber struct {
		N json.Number `json:",string"`
		T textValue   `json:",string"`
	}
	zeroes struct {
		V  zeroValue     `json:",omitzero"`
		P  zeroPoint     `json:",omitzero"`
		VP *zeroValue    `json:",omitzero"`
		T  *time.Time    `json:",omitzero"`
		N  []int         `json:",omitzero"`
		D  time.Duration `json:",omitzero"`
	}
	anyZero struct {
		A any `json:",omitzero"`
	}
)

// family has names that hide each other: by depth, by tag, and both. Its embedded pointers are exported, so that values
// have them.
type family struct {
	*Left
	*Right
	Own   string `json:"own,omitempty"`
	grade        //nolint:unused // not exported and no struct: reflection sees it, and it is not written
}

type Left struct {
	*Deep
	Deeper
	Same  string
	Both  int
	Owned int `json:"own"`
}

type Right struct {
	*Deep
	Tagged string `json:"Same"`
	Both   int
	Right  bool
}

type Deep struct {
	Both int
	Deep float64 `json:"deep,omitempty"`
}

type Deeper struct {
	*Deepest
	Alone *int `json:",omitempty"`
}

type Deepest struct {
	Right int
	Under []Deeper `json:",omitempty"`
}

func TestWriterOnWrittenTypes(t *testing.T) {
	t.Parallel()
	for _, typ := range []reflect.Type{
		reflect.TypeFor[odd](), reflect.TypeFor[complexity](), reflect.TypeFor[quotedText](), reflect.TypeFor[quotedNumber](),
		reflect.TypeFor[zeroes](),
		reflect.TypeFor[anyZero](), reflect.TypeFor[family](), reflect.TypeFor[Deeper](), reflect.TypeFor[everything](),
		reflect.TypeFor[node](), reflect.TypeFor[forest](), reflect.TypeFor[shadowing](),
		reflect.TypeFor[[]byPointer](), reflect.TypeFor[[2]byPointer](), reflect.TypeFor[time.Time](),
		reflect.TypeFor[map[string]map[string][]string](), reflect.TypeFor[named](), reflect.TypeFor[net.IPNet](),
		reflect.TypeFor[float32](),
	} {
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			p := mirror(typ)
			rapid.Check(t, func(t *rapid.T) {
				v := wild(t, typ)
				writesTheSame(t, p, v.Addr().Interface())
				writesTheSame(t, p, v.Interface()) // not addressable
			})
		})
	}
}

func TestWriterOnRandomTypes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, writerOnRandomTypes)
}

func FuzzWriter(f *testing.F) { property.Fuzz(f, writerOnRandomTypes) }

func writerOnRandomTypes(t *rapid.T) {
	typ := shapes(0).Draw(t, "type")
	p := mirror(typ)
	for range valuesOfAType() / 2 {
		v := wild(t, typ)
		writesTheSame(t, p, v.Addr().Interface())
		writesTheSame(t, p, v.Interface())
	}
}

// TestWriterEdges has values that chance does not meet often.
func TestWriterEdges(t *testing.T) {
	t.Parallel()
	type spoken struct{ Speaker speaker }
	for _, v := range []any{
		spoken{(*byPointer)(nil)}, &spoken{(*byPointer)(nil)}, spoken{}, [1]speaker{(*byPointer)(nil)}, float32(1e-6),
		math.Nextafter32(1e-6, 0),
		float32(1e21), math.Nextafter32(1e21, 0), 1e-6, math.Nextafter(1e-6, 0), 1e21, math.Nextafter(1e21, 0),
		math.Copysign(0, -1), 1e-100, 5e-324,
		math.MinInt, uint64(math.MaxUint64), map[string]string{"\xff": "1", "\ufffd": "2", "": "3"}, []byte{}, []byte(nil),
		json.Number("1.0"), json.Number("x"),
	} {
		writesTheSame(t, mirror(reflect.Indirect(reflect.ValueOf(v)).Type()), v)
	}
}

// TestWriterAfterFailures: an error, or a panic in a method, leaves nothing to the next value.
func TestWriterAfterFailures(t *testing.T) {
	t.Parallel()
	type deep struct {
		Any any
		In  []*deep
	}
	p := mirror(reflect.TypeFor[deep]())
	var w jsonplan.Writer
	for _, bad := range []any{failing{}, math.NaN(), panicking{}} {
		func() {
			defer func() { _ = recover() }()
			if _, err := p.Write(&w, &deep{In: []*deep{{In: []*deep{{Any: bad}}}}}); err == nil {
				t.Errorf("%T is written %s", bad, w.Buf)
			}
		}()
		w.Reset()
		if _, err := p.Write(&w, deep{Any: "x"}); err != nil || string(w.Buf) != `{"Any":"x","In":[]}` {
			t.Errorf("after %T the next value is written %s, %v", bad, w.Buf, err)
		}
		w.Reset()
	}
}

type panicking struct{}

func (panicking) MarshalJSON() ([]byte, error) { panic("not today") }

// TestWriterUnexported: encoding/json panics for an embedded field with methods that is not exported. Here it is
// written as any other.
func TestWriterUnexported(t *testing.T) {
	t.Parallel()
	for _, v := range []any{ambiguous{}, &ambiguous{}, &stamped{}, stamped{stamp: time.Unix(1, 0).UTC()}} {
		p := mirror(reflect.Indirect(reflect.ValueOf(v)).Type())
		var w jsonplan.Writer
		if _, err := p.Write(&w, v); err != nil || !json.Valid(w.Buf) {
			t.Errorf("%T: %s, %v", v, w.Buf, err)
		}
	}
}

type (
	stamp     = time.Time
	ambiguous struct {
		twoWays `json:"two"`
		stamp   `json:"at"`
	}
	stamped struct {
		stamp   `json:"at,omitzero"`
		twoWays `json:"-"`
	}
)

// TestWriterDepth: what leads to itself is an error, what is only deep is written.
func TestWriterDepth(t *testing.T) {
	t.Parallel()
	chain := func(n int) *node {
		var head *node
		for range n {
			head = &node{Name: "n", Next: head}
		}
		return head
	}
	ring := chain(3)
	ring.Next.Next.Next = ring
	wide := &node{Kids: make([]node, 5)}
	for i := range wide.Kids {
		wide.Kids[i] = node{Next: wide, Kids: wide.Kids, Named: map[string]*node{"w": wide}}
	}
	trees := forest{nil}
	trees[0] = trees
	named := map[string]*node{}
	named["x"] = &node{Named: named}
	var self loop
	self = &self
	for _, tt := range []struct {
		name   string
		value  any
		cyclic bool
	}{
		{"short", chain(3), false}, {"nearly nested", chain(199), false}, {"nested", chain(1000), false},
		{"deeper", chain(1001), false},
		{"deep", chain(5000), false}, {"ring", ring, true}, {"wide ring", wide, true}, {"slice", trees, true},
		{"map", named, true}, {"pointer", self, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			typ := reflect.TypeOf(tt.value)
			if typ.Kind() == reflect.Pointer && tt.name != "pointer" {
				typ = typ.Elem()
			}
			p := mirror(typ)
			writesTheSame(t, p, tt.value)
			if _, err := p.Write(new(jsonplan.Writer), tt.value); (err != nil) != tt.cyclic {
				t.Errorf("got %v, want a cycle: %v", err, tt.cyclic)
			}
		})
	}
}

// FuzzText compares texts and numbers one by one.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain", "eight by", "1234567\"", "12345678\\", "\x00\x1f ", "<&>\u2028\u2029", "a\xff",
		"\xe2\x80", "äöü😀\ufffd", "123456\x7f\x80"} {
		f.Add(s, 1e21)
	}
	p := mirror(reflect.TypeFor[textAndNumbers]())
	f.Fuzz(func(t *testing.T, s string, d float64) {
		writesTheSame(t, p, &textAndNumbers{s, map[string]string{s: s, s + "x": ""}, d, float32(d), []byte(s)})
	})
}

type textAndNumbers struct {
	Text  string
	Map   map[string]string
	Float float64
	Short float32
	Bytes []byte
}
