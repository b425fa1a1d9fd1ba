package logrecord

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kafkaesk/kafkaesk/internal/testkit"
)

// Values whose LogValue never comes to an end.
type (
	modelOfItself  struct{ Model }
	unnamedItself  struct{}
	unnamedTwice   struct{}
	emptyTwice     struct{ n int }
	itselfByMarkup struct{ Model }
)

func (m modelOfItself) LogValue() slog.Value { return slog.GroupValue(slog.Any("user", m)) }
func (u unnamedItself) LogValue() slog.Value { return slog.GroupValue(slog.Any("", u)) }
func (u unnamedTwice) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("", u), slog.Any("", u))
}
func (e emptyTwice) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("", emptyTwice{e.n + 1}), slog.Any("", emptyTwice{e.n + 1}), slog.Any("", nil))
}
func (m itselfByMarkup) LogValue() slog.Value { return slog.AnyValue(m) }

// No attribute ends the process, which a stack that overflows does and no recover prevents: what has no end is cut, in
// the call and in With, and the other attributes are there. Each of the first four did end it.
func TestEndlessAttributes(t *testing.T) {
	t.Parallel()
	deep := slog.Int("bottom", 1)
	for range 100_000 {
		deep = slog.Attr{Value: slog.GroupValue(deep)}
	}
	for name, test := range map[string]struct {
		attr    slog.Attr
		replace func([]string, slog.Attr) slog.Attr
		cut     bool // it is cut by the work that it costs
	}{
		"a model whose LogValue holds the model": {attr: slog.Any("u", modelOfItself{})},
		"an unnamed group of itself":             {attr: slog.Any("u", unnamedItself{})},
		"unnamed groups, 100,000 deep":           {attr: deep},
		"ReplaceAttr that returns a group": {attr: slog.Int("u", 1), replace: func(_ []string, a slog.Attr) slog.Attr {
			return slog.Group("", a)
		}},
		"a model whose LogValue is the model":  {attr: slog.Any("u", itselfByMarkup{})},
		"unnamed groups that hold two of them": {attr: slog.Any("u", unnamedTwice{}), cut: true},
		"and write nothing":                    {attr: slog.Any("u", emptyTwice{}), cut: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			replace := test.replace
			if replace != nil {
				replace = func(g []string, a slog.Attr) slog.Attr {
					if calls++; a.Key == "after" {
						return a
					}
					return test.replace(g, a)
				}
			}
			e := NewEncoder(Options{Base: fixedBase(), ReplaceAttr: replace})
			for place, text := range map[string]func() ([]byte, Result){
				"the call": func() ([]byte, Result) { return encode(t, e, test.attr, "after", 1) },
				"a group":  func() ([]byte, Result) { return encode(t, e.WithGroup("g"), test.attr, "after", 1) },
				"With":     func() ([]byte, Result) { return encode(t, e.WithAttrs([]slog.Attr{test.attr}), "after", 1) },
			} {
				record, result := text()
				if result.Truncated != test.cut {
					t.Errorf("in %s: truncated is %v", place, result.Truncated)
				}
				if !bytes.Contains(record, []byte(`"after":1`)) && (!test.cut || place == "With") {
					t.Errorf("in %s: the other attribute is missing: %.300s", place, record)
				}
			}
			if calls > 1000 {
				t.Errorf("%d calls of ReplaceAttr", calls)
			}
		})
	}
}

// hostileAttrs are what a log call may be given: n attributes, or one of size n.
var hostileAttrs = map[string]func(n int) []slog.Attr{
	"different keys":   each(func(i int) slog.Attr { return slog.Int(fmt.Sprint("key", i), i) }),
	"one key":          each(func(i int) slog.Attr { return slog.Int("key", i) }),
	"groups of a name": each(func(i int) slog.Attr { return slog.Group("g", fmt.Sprint("key", i), i) }),
	"two groups' turns": each(func(i int) slog.Attr {
		return slog.Group(fmt.Sprint("g", i%2), fmt.Sprint("key", i), i)
	}),
	"long keys":              each(func(i int) slog.Attr { return slog.Int(fmt.Sprint(i, strings.Repeat("k", 300)), i) }),
	"names that are our own": each(func(i int) slog.Attr { return slog.Int([...]string{"message", "invalid"}[i%2], i) }),
	"one long key":           func(n int) []slog.Attr { return []slog.Attr{slog.Int(strings.Repeat("k", 16*n), 1)} },
	"one long key to escape": func(n int) []slog.Attr {
		return []slog.Attr{slog.Int(strings.Repeat("\x00", 16*n), 1)}
	},
	"one long group's name": func(n int) []slog.Attr {
		return []slog.Attr{slog.Group(strings.Repeat("\xff", 16*n), "a", 1)}
	},
	"a long text": func(n int) []slog.Attr { return []slog.Attr{slog.String("text", strings.Repeat("\x01", 16*n))} },
	"deep groups": func(n int) []slog.Attr {
		a := slog.Int("a", 1)
		for range n {
			a = slog.Group("g", a)
		}
		return []slog.Attr{a}
	},
	"deep values": func(n int) []slog.Attr {
		var v any = 1
		for range n {
			v = []any{v}
		}
		return []slog.Attr{slog.Any("a", v)}
	},
	"a model with many violations": func(n int) []slog.Attr {
		m := hostileModel{Items: make(map[string]hostileItem)}
		for i := range n / 8 {
			m.Items[fmt.Sprint(i)] = hostileItem{"x"}
		}
		return []slog.Attr{slog.Any("m", m)}
	},
	"a model with some violations in much": func(n int) []slog.Attr {
		m := hostileModel{List: make([]hostileItem, n)}
		for i := range m.List {
			m.List[i].Name = "name"
		}
		for i := range 20 {
			m.List[len(m.List)-1-i].Name = "x"
		}
		return []slog.Attr{slog.Any("m", m)}
	},
	"invalid models in many groups": each(func(i int) slog.Attr {
		return slog.Group(fmt.Sprint("g", i), "m", hostileModel{One: &hostileItem{"x"}})
	}),
	"invalid models in one group": each(func(int) slog.Attr {
		return slog.Group("g", "m", hostileModel{One: &hostileItem{"x"}})
	}),
}

type hostileItem struct {
	Name string `json:"name" jsonschema:"minLength=3"`
}

type hostileModel struct {
	Model
	Items map[string]hostileItem `json:"items"`
	List  []hostileItem          `json:"list"`
	One   *hostileItem           `json:"one"`
}

func each(attr func(i int) slog.Attr) func(n int) []slog.Attr {
	return func(n int) []slog.Attr {
		all := make([]slog.Attr, n)
		for i := range all {
			all[i] = attr(i)
		}
		return all
	}
}

func hostileRecord(attrs []slog.Attr) slog.Record {
	r := slog.NewRecord(at, 0, "m", 0)
	r.AddAttrs(attrs...)
	return r
}

// The work that a record costs grows with what is logged, and not with its square: four times as many attributes
// allocate about four times as much, twice as many take twice the steps, the table that finds their keys is never more
// than half full, and a key costs what is kept of it. It counts what the process allocates, so that it cannot run
// beside other tests.
func TestWorkIsLinear(t *testing.T) {
	for name, attrs := range hostileAttrs {
		t.Run(name, func(t *testing.T) {
			cost := func(n int) uint64 {
				all := attrs(n)
				r := hostileRecord(all)
				e := NewEncoder(Options{Base: fixedBase(), MaxBytes: 16 << 20})
				var text []byte
				allocated := testkit.AllocatedBytes(func() { text, _ = e.Append(nil, context.Background(), r) })
				if err := unique(text); err != nil {
					t.Errorf("%d: %v", n, err)
				}
				b := e.builder()
				defer e.release(b)
				b.buf = []byte{'{'}
				b.load(&e.with)
				b.attrs(all, false)
				if len(b.slots) < 2*len(b.members) && len(b.members) > few {
					t.Errorf("%d members in a table of %d", len(b.members), len(b.slots))
				}
				return allocated
			}
			small, large := cost(4_000), cost(16_000)
			if large > 8*small {
				t.Errorf("4,000 cost %d bytes, 16,000 cost %d", small, large)
			}
			if strings.HasPrefix(name, "one long") && large > 16<<10 {
				t.Errorf("a key of 256 kB costs %d bytes, of which 256 are kept", large)
			}
		})
	}
	t.Run("steps", func(t *testing.T) {
		testkit.StepsAreLinear(t, 1000, 100, func(n int) (bytes int) {
			for _, attrs := range hostileAttrs {
				e := NewEncoder(Options{Base: fixedBase(), MaxBytes: 16 << 20})
				text, _ := e.Append(nil, context.Background(), hostileRecord(attrs(n)))
				bytes += len(text)
			}
			return bytes
		}, "github.com/kafkaesk/kafkaesk/logrecord", "github.com/kafkaesk/kafkaesk/internal/...", "encoding/json")
	})
}

func TestKeysAreCut(t *testing.T) {
	t.Parallel()
	e := NewEncoder(Options{Base: fixedBase()})
	long := strings.Repeat("ä", 1<<20)
	text, result := encode(t, e, long, 1, slog.Group(long, "a", 2), "after", 3)
	if !result.Truncated || len(text) > 2000 {
		t.Errorf("truncated %v, %d bytes", result.Truncated, len(text))
	}
	want := map[string]any{strings.Repeat("ä", 126) + "…": map[string]any{"a": json.Number("2")},
		"after": json.Number("3"), "truncated": true}
	if diff := cmp.Diff(want, fields(t, text)); diff != "" {
		t.Errorf("the fields differ (-want +got):\n%s", diff)
	}
}

// fuzzed makes attributes of bytes: each byte is an instruction, so that the fuzzer finds its way.
type fuzzed struct{ data []byte }

func (f *fuzzed) next() byte {
	if len(f.data) == 0 {
		return 0
	}
	c := f.data[0]
	f.data = f.data[1:]
	return c
}

func (f *fuzzed) text() string {
	n := min(int(f.next()%12), len(f.data))
	text := string(f.data[:n])
	f.data = f.data[n:]
	return text
}

func (f *fuzzed) key() string {
	own := ownNames()
	if c := int(f.next()); c < len(own) {
		return own[c]
	}
	return f.text()
}

func (f *fuzzed) attrs(depth int) (all []slog.Attr) {
	for range f.next() % 6 {
		key := f.key()
		switch f.next() % 12 {
		case 0:
			all = append(all, slog.String(key, f.text()))
		case 1:
			all = append(all, slog.Any(key, nil))
		case 2, 3, 4:
			if depth > 0 {
				all = append(all, slog.Attr{Key: key, Value: slog.GroupValue(f.attrs(depth - 1)...)})
			}
		case 5:
			all = append(all, slog.Any(key, mapModel{f.key(): f.text(), f.key(): nil}))
		case 6:
			all = append(all, slog.Any(key, invalid{N: int(f.next())}))
		case 7:
			all = append(all, slog.Any(key, fmt.Errorf("%s: %w", f.text(), &stackError{f.text()})))
		case 8:
			all = append(all, slog.Any(key, valuer{slog.GroupValue(f.attrs(0)...)}))
		case 9:
			all = append(all, slog.Any(key, []any{f.text(), valuer{slog.GroupValue(f.attrs(0)...)},
				map[string]string{f.key(): f.text()}}))
		case 10:
			all = append(all, slog.Any(key, twiceJSON{}))
		default:
			all = append(all, slog.Int(key, int(f.next())))
		}
	}
	return all
}

// FuzzCall logs whatever the bytes say: a record is JSON, has no key twice, has its base fields, and is no longer than
// a small multiple of what was logged.
func FuzzCall(f *testing.F) {
	f.Add([]byte("\x05\x01\x02\x03\x01a\x02\x05\x01b\x00\x03abc\x04\x20\x06\x07\x01\x05\x09\x02"))
	f.Add(bytes.Repeat([]byte{5, 200, 1, 'g', 2}, 30))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := &fuzzed{data: data}
		o := Options{Base: fixedBase(), FromContext: func(context.Context) []slog.Attr { return in.attrs(2) }}
		mode := in.next()
		if mode&1 != 0 {
			o.SchemaID = "LogRecord:1"
		}
		if mode&2 != 0 {
			o.MaxBytes = 700
		}
		if mode&4 != 0 {
			o.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr {
				switch in.next() % 8 {
				case 0:
					return slog.Attr{}
				case 1:
					return slog.Attr{Key: a.Key, Value: slog.GroupValue(a)}
				case 2:
					a.Key = in.key()
				}
				return a
			}
		}
		e := NewEncoder(o)
		for range mode >> 5 {
			if key := in.key(); in.next()%2 == 0 {
				e = e.WithGroup(key)
			} else {
				e = e.WithAttrs(in.attrs(3))
			}
		}
		r := slog.NewRecord(at, 0, in.text(), 0)
		r.AddAttrs(in.attrs(3)...)
		text, _ := encodeRecord(t, e, t.Context(), r)
		if _, err := Decode(text); err != nil {
			t.Errorf("%v: %s", err, text)
		}
		if len(text) > 5000+100*len(data) {
			t.Errorf("%d bytes of %d", len(text), len(data))
		}
	})
}
