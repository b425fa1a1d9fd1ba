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

// The work that a record costs grows with what is logged, and not with its square: four times as many attributes
// allocate about four times as much, and the table that finds their keys is never more than half full. It counts what
// the process allocates, so that it cannot run beside other tests.
func TestWorkIsLinear(t *testing.T) {
	for name, attr := range map[string]func(i int) slog.Attr{
		"different keys":    func(i int) slog.Attr { return slog.Int(fmt.Sprint("key", i), i) },
		"one key":           func(i int) slog.Attr { return slog.Int("key", i) },
		"groups of a name":  func(i int) slog.Attr { return slog.Group("g", fmt.Sprint("key", i), i) },
		"two groups' turns": func(i int) slog.Attr { return slog.Group(fmt.Sprint("g", i%2), fmt.Sprint("key", i), i) },
		"long keys":         func(i int) slog.Attr { return slog.Int(fmt.Sprint(i, strings.Repeat("k", 1000)), i) },
	} {
		t.Run(name, func(t *testing.T) {
			cost := func(n int) uint64 {
				all := make([]slog.Attr, n)
				for i := range all {
					all[i] = attr(i)
				}
				r := slog.NewRecord(at, 0, "m", 0)
				r.AddAttrs(all...)
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
				if len(b.slots) < 2*len(b.members) {
					t.Errorf("%d members in a table of %d", len(b.members), len(b.slots))
				}
				return allocated
			}
			if small, large := cost(4_000), cost(16_000); large > 8*small {
				t.Errorf("4,000 cost %d bytes, 16,000 cost %d", small, large)
			}
		})
	}
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
