package logrecord

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// No attribute ends the process, which a stack that overflows does and no recover prevents: what has no end is cut, in the
// call and in With, and the other attributes are there. Each of the first four did end it.
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

// The work that a record costs grows with what is logged, and not with its square: four times as many attributes allocate
// about four times as much, and the table that finds their keys is never more than half full. It counts what the process
// allocates, so that it cannot run beside other tests.
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
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				text, _ := e.Append(nil, context.Background(), r)
				runtime.ReadMemStats(&after)
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
				return after.TotalAlloc - before.TotalAlloc
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
	want := map[string]any{strings.Repeat("ä", 126) + "…": map[string]any{"a": json.Number("2")}, "after": json.Number("3"), "truncated": true}
	if diff := cmp.Diff(want, fields(t, text)); diff != "" {
		t.Errorf("the fields differ (-want +got):\n%s", diff)
	}
}
