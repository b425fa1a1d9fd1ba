package logrecord

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The values of the torture list.
type (
	loop       struct{ Next *loop }
	selfValuer struct{}
	badValuer  struct{}
	badJSON    struct{}
	noJSON     struct{}
	twiceJSON  struct{}
	deepJSON   struct{}
	badText    struct{}
	badError   struct{}
	nilError   struct{ s string }
	secret     string
	badZero    struct{}
	badMark    struct{}
	tree       struct{ Left, Right *tree }
	broken     struct {
		F float64   `json:"f"`
		C chan int  `json:"c"`
		J badJSON   `json:"j"`
		Z badZero   `json:"z,omitzero"`
		E error     `json:"e"`
		S secret    `json:"s"`
		A string    `json:"a"`
		P *nilError `json:"p"`
	}
)

func (v selfValuer) LogValue() slog.Value    { return slog.AnyValue(v) }
func (badValuer) LogValue() slog.Value       { panic("LogValue") }
func (badJSON) MarshalJSON() ([]byte, error) { panic("MarshalJSON") }
func (noJSON) MarshalJSON() ([]byte, error)  { return []byte(`{"a":`), nil }
func (twiceJSON) MarshalJSON() ([]byte, error) {
	return []byte(` { "a" : 1 , "\u0061":[ "<\ud800", {} ] } `), nil
}
func (deepJSON) MarshalJSON() ([]byte, error) {
	return []byte(strings.Repeat("[", 5000) + strings.Repeat("]", 5000)), nil
}
func (badText) MarshalText() ([]byte, error) { return nil, errors.New("no text") }
func (badError) Error() string               { panic(errors.New("Error")) }
func (e *nilError) Error() string            { return e.s }
func (secret) LogValue() slog.Value          { return slog.StringValue("***") }
func (badZero) IsZero() bool                 { panic("IsZero") }
func (badMark) IsLogModel() bool             { panic("IsLogModel") }

func torture() map[string]struct {
	value any
	want  string // JSON; "" where only validity counts
} {
	cyclic := &loop{}
	cyclic.Next = cyclic
	cyclicMap := map[string]any{}
	cyclicMap["self"] = cyclicMap
	cyclicSlice := make([]any, 1)
	cyclicSlice[0] = cyclicSlice
	type pointer *pointer
	var p pointer
	p = &p
	var nested any = "bottom"
	for range 100 {
		nested = map[string]any{"d": nested}
	}
	type list struct{ Next *list }
	var long *list
	for range 1000 {
		long = &list{long}
	}
	var bushy *tree
	for range 63 {
		bushy = &tree{bushy, bushy} // 2^63 leaves
	}
	group := slog.IntValue(1)
	for range 100 {
		group = slog.GroupValue(slog.Attr{Key: "g", Value: group})
	}
	return map[string]struct {
		value any
		want  string
	}{
		"nil":         {nil, `null`},
		"NaN":         {math.NaN(), `"!ERROR:json: unsupported value: NaN"`},
		"infinity":    {math.Inf(-1), `"!ERROR:json: unsupported value: -Inf"`},
		"float32":     {float32(0.1), `0.1`},
		"large float": {1e22, `1e+22`},
		"small float": {1e-9, `1e-9`},
		"duration":    {time.Second, `1000000000`},
		"time":        {time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), `"2026-01-02T03:04:05.000000006Z"`},
		"time out of range": {time.Date(20000, 1, 2, 3, 4, 5, 6, time.UTC),
			`"!ERROR:Time.MarshalJSON: year outside of range [0,9999]"`},
		"error":                      {errors.New("boom"), `"boom"`},
		"error in a struct":          {struct{ E error }{errors.New("boom")}, `{"E":"boom"}`},
		"nil error":                  {(*nilError)(nil), `null`},
		"bytes":                      {[]byte("hi"), `"aGk="`},
		"array of bytes":             {[2]byte{1, 2}, `[1,2]`},
		"nil slice":                  {[]int(nil), `null`},
		"nil map":                    {map[string]int(nil), `null`},
		"raw":                        {json.RawMessage(` {"a" : [1, 2]}`), `{"a":[1,2]}`},
		"number":                     {json.Number("1e400"), `1e400`},
		"no number":                  {json.Number("x"), `"!ERROR:json: invalid number literal \"x\""`},
		"HTML":                       {"<a href='x'>&\u2028", "\"<a href='x'>&\u2028\""},
		"control":                    {"\x00\x1b\n\"\\", `"\u0000\u001b\n\"\\"`},
		"invalid UTF-8":              {"a\xff\xfeb", `"a��b"`},
		"chan":                       {make(chan int), `"!ERROR:json: unsupported type: chan int"`},
		"func":                       {func() {}, `"!ERROR:json: unsupported type: func()"`},
		"complex":                    {1i, `"!ERROR:json: unsupported type: complex128"`},
		"map keys":                   {map[any]int{1: 1}, `"!ERROR:json: unsupported type: map[interface {}]int"`},
		"int keys":                   {map[int]string{2: "b", -1: "a"}, `{"-1":"a","2":"b"}`},
		"text keys":                  {map[url.URL]int{{Host: "h"}: 1}, ``},
		"invalid keys":               {map[string]int{"\xff": 1, "\xfe": 1}, `{"�":1}`},
		"cyclic pointer":             {cyclic, `{"Next":"!ERROR:a *logrecord.loop that contains itself"}`},
		"cyclic map":                 {cyclicMap, `{"self":"!ERROR:a map[string]interface {} that contains itself"}`},
		"cyclic slice":               {cyclicSlice, `["!ERROR:a []interface {} that contains itself"]`},
		"pointer to itself":          {p, ``},
		"deep":                       {nested, ``},
		"long list":                  {long, ``},
		"bushy":                      {bushy, ``},
		"deep groups":                {group, ``},
		"deep JSON":                  {deepJSON{}, ``},
		"LogValue of itself":         {selfValuer{}, `"!ERROR:LogValue called too many times"`},
		"LogValue that panics":       {badValuer{}, `"!PANIC:LogValue"`},
		"nil LogValuer":              {(*secret)(nil), `null`},
		"LogValue in a slice":        {[]secret{"x"}, `["***"]`},
		"LogValue as a map":          {map[string]secret{"a": "x"}, `{"a":"***"}`},
		"attributes in a map":        {map[string]any{"a": []slog.Attr{slog.Int("b", 1)}, "v": slog.IntValue(1)}, ``},
		"MarshalJSON that panics":    {badJSON{}, `"!PANIC:MarshalJSON"`},
		"MarshalJSON, not JSON":      {noJSON{}, `"!ERROR:json: a MarshalJSON method returned what is not JSON"`},
		"MarshalJSON, one key twice": {twiceJSON{}, `{"a":["<�",{}]}`},
		"MarshalText that fails":     {badText{}, `"!ERROR:no text"`},
		"Error that panics":          {badError{}, `"!PANIC:Error"`},
		"IsLogModel that panics":     {badMark{}, ``},
		"a struct of it all": {
			broken{F: math.Inf(1), E: badError{}, S: "x", A: "kept"},
			`{"f":"!ERROR:json: unsupported value: +Inf","c":"!ERROR:json: unsupported type: chan int",` +
				`"j":"!PANIC:MarshalJSON","z":{},"e":"!PANIC:Error","s":"***","a":"kept","p":null}`,
		},
	}
}

// Each value of the list is logged in each place, in the company of an attribute that has to arrive.
func TestTorture(t *testing.T) {
	t.Parallel()
	e := NewEncoder(Options{Base: fixedBase(), MaxBytes: 100 << 10})
	for name, test := range torture() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := test.value
			for place, args := range map[string][]any{
				"attribute": {"v", v},
				"group":     {slog.Group("g", "v", v)},
				"nested":    {"n", map[string]any{"v": v}},
				"model":     {mapModel{"v": v}},
				"error key": {"err", v},
				"no key":    {slog.Any("", v)},
			} {
				text, _ := encode(t, e, append(args, "after", 1)...)
				with, _ := encode(t, e.WithAttrs(attrs(args...)).WithGroup("w").WithAttrs(attrs(args...)), "after", 1)
				for _, text := range [][]byte{text, with} {
					if !bytes.Contains(text, []byte(`"after":1`)) {
						t.Errorf("as %s: the other attribute is missing: %.1000s", place, text)
					}
					if test.want != "" && !bytes.Contains(text, []byte(test.want)) {
						t.Errorf("as %s: want %s in %.1000s", place, test.want, text)
					}
				}
			}
		})
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	all := torture()
	for _, name := range []string{"deep", "long list", "deep groups", "deep JSON"} {
		text, result := encode(t, NewEncoder(Options{}), "v", all[name].value)
		if !bytes.Contains(text, []byte(tooDeep)) || result.Truncated {
			t.Errorf("%s: %s", name, text)
		}
	}
	e := NewEncoder(Options{})
	for range 300 {
		e = e.WithGroup("g").WithAttrs(attrs("a", 1))
	}
	text, _ := encode(t, e, "a", 1)
	if want := `"g":"!ERROR:more than 128 groups"`; !bytes.Contains(text, []byte(want)) {
		t.Errorf("want %s in %s", want, text)
	}
}

// Nothing that the caller holds is read after Append.
func TestRetention(t *testing.T) {
	t.Parallel()
	m, s, b := map[string]int{"a": 1}, []int{1}, []byte("x")
	u := &userLog{User: "ada"}
	args := []any{"m", m, "s", s, "b", b, u, json.RawMessage(nil)}
	e := NewEncoder(Options{Base: fixedBase()}).WithAttrs(attrs("wm", m, "ws", s, u))
	text, _ := encode(t, e, args...)
	before := string(text)
	m["a"], s[0], b[0], u.User = 2, 2, 'y', "bob"
	if string(text) != before {
		t.Error("the record changed")
	}
	text, _ = encode(t, e)
	if !bytes.Contains(text, []byte(`"wm":{"a":1},"ws":[1],"user":"ada"`)) {
		t.Errorf("the attributes of With changed: %s", text)
	}
}

type (
	Embedded struct {
		A int `json:"a"`
		B int
	}
	hidden struct {
		B int
		C *int `json:"c,omitempty"`
	}
	mixed struct {
		Embedded
		*hidden
		D string           `json:"d,omitempty"`
		E int              `json:"e,string"`
		F string           `json:"f,string"`
		G *float64         `json:"g,string"`
		H time.Time        `json:"h,omitzero"`
		I map[string]any   `json:"i,omitempty"`
		J map[int8]bool    `json:"j"`
		K []byte           `json:"k"`
		L [3]uint8         `json:"l"`
		M any              `json:"m"`
		N json.Number      `json:"n"`
		O time.Duration    `json:"o"`
		P []map[string]any `json:"p"`
		Q float32          `json:"q"`
		R *Embedded        `json:"r,omitempty"`
		S string           `json:"-"`
		U bool             `json:"u,string,omitempty"`
		V struct{}         `json:"v,omitempty"`
		W [0]int           `json:"w,omitempty"`
		Ä int              `json:"ä<>"`
		X json.RawMessage  `json:"x"`
		x int
	}
)

// What encoding/json can write, we write as it does.
func TestAsEncodingJSON(t *testing.T) {
	t.Parallel()
	e := NewEncoder(Options{})
	leaf := rapid.OneOf(
		rapid.Just[any](nil), rapid.Map(rapid.String(), func(s string) any { return s }), rapid.Map(rapid.Int(),
			func(i int) any { return i }),
		rapid.Map(rapid.Float64(), func(f float64) any { return f }), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) any { return string(b) }),
	)
	value := rapid.OneOf(leaf,
		rapid.Map(rapid.SliceOf(leaf), func(s []any) any { return s }),
		rapid.Map(rapid.MapOf(rapid.String(), leaf), func(m map[string]any) any { return m }))
	rapid.Check(t, func(t *rapid.T) {
		m := mixed{
			Embedded: Embedded{A: rapid.Int().Draw(t, "a"), B: rapid.Int().Draw(t, "b")},
			D:        rapid.String().Draw(t, "d"), E: rapid.Int().Draw(t, "e"), F: rapid.StringMatching("[ -~]*").Draw(t, "f"),
			I: rapid.MapOf(rapid.String(), value).Draw(t, "i"),
			J: rapid.MapOf(rapid.Int8(), rapid.Bool()).Draw(t, "j"),
			K: rapid.SliceOf(rapid.Byte()).Draw(t, "k"), M: value.Draw(t, "m"),
			N: json.Number(fmt.Sprint(rapid.Int().Draw(t, "n"))), O: time.Duration(rapid.Int64().Draw(t, "o")),
			P: rapid.SliceOfN(rapid.MapOf(rapid.String(), value), 0, 2).Draw(t, "p"),
			Q: rapid.Float32().Draw(t, "q"), U: rapid.Bool().Draw(t, "u"), Ä: 1, x: 1,
		}
		if rapid.Bool().Draw(t, "pointers") {
			m.hidden = &hidden{B: 1, C: new(2)}
			m.G, m.R = new(rapid.Float64().Draw(t, "g")), &Embedded{A: 1}
			m.H = time.Unix(rapid.Int64Range(0, 1e10).Draw(t, "h"), 5)
			m.X = json.RawMessage(` [1,{"x" :"\u0041"} ]`)
		}
		var want bytes.Buffer
		encoder := json.NewEncoder(&want)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(m); err != nil {
			t.Fatal(err)
		}
		text, _ := e.Append(nil, t.Context(), func() slog.Record {
			r := slog.NewRecord(at, 0, "", 0)
			r.Add("v", m)
			return r
		}())
		if err := unique(text); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		got := struct{ V json.RawMessage }{}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		// Compared as values and in the order of their keys: texts may be escaped in two ways.
		if diff := cmp.Diff(tokens(want.Bytes()), tokens(got.V)); diff != "" {
			t.Fatalf("it differs from encoding/json (-want +got):\n%s\n%s\n%s", diff, want.Bytes(), got.V)
		}
	})
}

func tokens(text []byte) []any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var all []any
	for {
		token, err := d.Token()
		if err != nil {
			return all
		}
		all = append(all, token)
	}
}

// Two groups are one when their names are written alike, in the record and in what mirrors it.
func TestInvalidInGroupsThatAreWrittenAlike(t *testing.T) {
	t.Parallel()
	e := NewEncoder(Options{SchemaID: "LogRecord:1"}).WithAttrs([]slog.Attr{slog.Group("\xff",
		slog.Any("a", invalid{}))}).WithGroup("\xfe")
	r := slog.NewRecord(at, 0, "m", 0)
	r.AddAttrs(slog.Any("a", invalid{}))
	text, _ := e.Append(nil, t.Context(), r)
	if err := unique(text); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// Whatever is logged, a record is JSON and has no key twice, base fields and models and groups included.
// TestKeysOfMapsThatBecomeOne: the key between them in the order of the bytes must not keep them apart.
func TestKeysOfMapsThatBecomeOne(t *testing.T) {
	t.Parallel()
	for _, m := range []any{
		map[string]string{"\ufffd": "a", "\U0001F600": "b", "\xff": "c"},
		map[string]any{"\ufffd": 1, "\U0001F600": 2, "\xff": 3},
		map[string]int{"\ufffd": 1, "\U0001F600": 2, "\xff": 3},
	} {
		r := slog.NewRecord(at, 0, "m", 0)
		r.AddAttrs(slog.Any("map", m))
		text, _ := NewEncoder(Options{}).Append(nil, t.Context(), r)
		if err := unique(text); err != nil {
			t.Errorf("%v: %s", err, text)
		}
	}
}

func TestNeverAKeyTwice(t *testing.T) {
	t.Parallel()
	name := rapid.SampledFrom([]string{"a", "b", "level", "attr_level", "stack", "err", "invalid", "truncated", "trace_id",
		"n", "\xff", "\xfe", ""})
	var attr func(depth int) *rapid.Generator[slog.Attr]
	attr = func(depth int) *rapid.Generator[slog.Attr] {
		return rapid.Custom(func(t *rapid.T) slog.Attr {
			key := name.Draw(t, "key")
			switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
			case kind < 2 && depth > 0:
				return slog.Attr{Key: key, Value: slog.GroupValue(rapid.SliceOfN(attr(depth-1), 0, 4).Draw(t, "group")...)}
			case kind < 4:
				return slog.Any(key, mapModel{name.Draw(t, "field"): rapid.SampledFrom([]any{nil, 1, "x", badJSON{}}).Draw(t,
					"value")})
			case kind == 4:
				return slog.Any(key, invalid{})
			case kind == 5:
				return slog.Any(key, errors.New("boom"))
			case kind == 6:
				return slog.Any(key, twiceJSON{})
			case kind == 7:
				return slog.Any(key, nil)
			default:
				return slog.Int(key, 1)
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		e := NewEncoder(Options{SchemaID: "LogRecord:1", MaxBytes: rapid.SampledFrom([]int{0, 700}).Draw(t, "max")})
		for range rapid.IntRange(0, 4).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "group") {
				e = e.WithGroup(name.Draw(t, "name"))
			} else {
				e = e.WithAttrs(rapid.SliceOfN(attr(2), 0, 5).Draw(t, "with"))
			}
		}
		r := slog.NewRecord(at, 0, "m", 0)
		r.AddAttrs(rapid.SliceOfN(attr(2), 0, 6).Draw(t, "attrs")...)
		text, _ := e.Append(nil, t.Context(), r)
		if err := unique(text); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if _, err := Decode(text); err != nil {
			t.Fatal(err)
		}
	})
}
