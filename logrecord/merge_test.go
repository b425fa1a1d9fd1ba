package logrecord

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
)

type userLog struct {
	Model
	User  string  `json:"user"`
	Email *string `json:"email,omitempty"`
	Team  *string `json:"team"`
}

type levelLog struct {
	*Model        // nil: it cannot even answer that it is a model
	Level  string `json:"level,omitempty"`
	Host   string `json:"hostname,omitempty"`
}

type ownMark struct {
	X int `json:"x"`
}

func (*ownMark) IsLogModel() bool { return true }

type notModel struct {
	X int `json:"x"`
}

func (notModel) IsLogModel() bool { return false }

type mapModel map[string]any

func (mapModel) IsLogModel() bool { return true }

type textModel struct{ Model }

func (textModel) MarshalJSON() ([]byte, error) { return []byte(`"text"`), nil }

type valuerModel struct {
	Model
	Secret string
}

func (valuerModel) LogValue() slog.Value {
	return slog.GroupValue(slog.String("secret", "***"), slog.String("level", "high"))
}

type outer struct {
	Model
	Inner userLog `json:"inner"`
	userLog
}

func TestMerge(t *testing.T) {
	t.Parallel()
	ada := userLog{User: "ada"}
	for _, test := range []struct {
		name string
		with [][]any // each a With; a string is a WithGroup
		call []any
		want string // besides the base fields
	}{
		{name: "nothing", want: `{}`},
		{name: "plain", call: []any{"a", 1, "b", "x"}, want: `{"a":1,"b":"x"}`},
		{name: "model without a key", call: []any{ada}, want: `{"user":"ada"}`},
		{name: "model by pointer", call: []any{&ada}, want: `{"user":"ada"}`},
		{name: "model by Attr", call: []any{Attr(ada)}, want: `{"user":"ada"}`},
		{name: "model under a key", call: []any{"who", ada}, want: `{"user":"ada"}`},
		{name: "model in With", with: [][]any{{"who", ada}}, want: `{"user":"ada"}`},
		{name: "model in a group", call: []any{slog.Group("g", slog.Int("a", 1), Attr(ada))},
			want: `{"g":{"a":1,"user":"ada"}}`},
		{name: "model in an inlined group", call: []any{slog.Group("", Attr(ada))}, want: `{"user":"ada"}`},
		{name: "model in WithGroup", with: [][]any{{"g"}}, call: []any{ada}, want: `{"g":{"user":"ada"}}`},
		{name: "base names are free in groups",
			call: []any{slog.Group("g", slog.Int("level", 1), Attr(levelLog{Level: "x"}))}, want: `{"g":{"level":"x"}}`},
		{name: "nil model", call: []any{"a", 1, "who", (*userLog)(nil)}, want: `{"a":1}`},
		{name: "a method of its own, on the pointer", call: []any{"m", ownMark{X: 1}}, want: `{"x":1}`},
		{name: "a method of its own that says no", call: []any{"m", notModel{X: 1}}, want: `{"m":{"x":1}}`},
		{name: "a map", call: []any{mapModel{"b": 1, "level": "low"}}, want: `{"b":1,"level":"low"}`},
		{name: "an empty model", call: []any{struct{ Model }{}}, want: `{}`},
		{name: "a model that is no object", call: []any{"m", textModel{}}, want: `{"m":"text"}`},
		{name: "a model with LogValue", call: []any{"m", valuerModel{Secret: "x"}}, want: `{"secret":"***","level":"high"}`},
		{
			name: "models inside models are fields, embedded ones are not",
			call: []any{outer{Inner: ada, userLog: userLog{User: "bob"}}},
			want: `{"inner":{"user":"ada"},"user":"bob"}`,
		},
		{name: "a later attribute wins", call: []any{"a", 1, "b", 2, "a", 3}, want: `{"a":3,"b":2}`},
		{name: "the call wins over With", with: [][]any{{"a", 1}, {"a", 2}}, call: []any{"a", 3}, want: `{"a":3}`},
		{name: "later With wins", with: [][]any{{"a", 1}, {"a", 2}}, want: `{"a":2}`},
		{name: "a later model wins", call: []any{"user", "x", ada}, want: `{"user":"ada"}`},
		{name: "a later attribute wins over a model", call: []any{ada, "user", "x"}, want: `{"user":"x"}`},
		{name: "a later model wins over a model", call: []any{ada, userLog{User: "bob"}}, want: `{"user":"bob"}`},
		{name: "null does not overwrite", call: []any{"team", "red", ada, "user", nil}, want: `{"team":"red","user":"ada"}`},
		{name: "null is overwritten", call: []any{ada, "team", "red"}, want: `{"team":"red","user":"ada"}`},
		{name: "omitted does not overwrite", with: [][]any{{"email", "e"}}, call: []any{ada},
			want: `{"email":"e","user":"ada"}`},
		{name: "a model replaces a base field", call: []any{levelLog{Level: "high"}}, want: `{"level":"high"}`},
		{name: "a model in With too", with: [][]any{{levelLog{Level: "high", Host: "h"}}},
			want: `{"level":"high","hostname":"h"}`},
		{name: "a model's absent field does not", call: []any{levelLog{}}, want: `{}`},
		{name: "an attribute does not", call: []any{"level", 1, "message", "m", "cluster", "c"},
			want: `{"attr_level":1,"attr_message":"m","attr_cluster":"c"}`},
		{name: "an attribute of With does not", with: [][]any{{"level", 1}}, call: []any{"level", 2},
			want: `{"attr_level":2}`},
		{name: "a group does not", call: []any{slog.Group("stack", "a", 1)}, want: `{"attr_stack":{"a":1}}`},
		{name: "a group of WithGroup does not", with: [][]any{{"trace"}}, call: []any{"a", 1},
			want: `{"attr_trace":{"a":1}}`},
		{name: "not even after a model", call: []any{levelLog{Level: "high"}, "level", 1},
			want: `{"level":"high","attr_level":1}`},
		{name: "a model that follows leaves it", call: []any{"level", 1, levelLog{Level: "high"}},
			want: `{"level":"high","attr_level":1}`},
		{name: "attr_ names collide like others", call: []any{"attr_level", 1, "level", 2}, want: `{"attr_level":2}`},
		{name: "groups of one name are one", call: []any{slog.Group("g", "a", 1, "b", 1), slog.Group("g", "b", 2)},
			want: `{"g":{"a":1,"b":2}}`},
		{
			name: "groups in groups too", with: [][]any{{slog.Group("g", "a", 1, slog.Group("h", "b", 1))}},
			call: []any{"x", 1, slog.Group("g", slog.Group("h", "b", 2, "c", 3), "a", 4)},
			want: `{"x":1,"g":{"h":{"b":2,"c":3},"a":4}}`,
		},
		{name: "a group of WithGroup and one of With", with: [][]any{{slog.Group("g", "a", 1)}, {"g"}, {"b", 2}},
			call: []any{"c", 3}, want: `{"g":{"a":1,"b":2,"c":3}}`},
		{name: "a group of WithGroup and one of With, in the call", with: [][]any{{slog.Group("g", "a", 1)}, {"g"}},
			call: []any{"a", 2}, want: `{"g":{"a":2}}`},
		{name: "an empty group of With's name", with: [][]any{{slog.Group("g", "a", 1)}, {"g"}},
			call: []any{"n", slog.GroupValue()}, want: `{"g":{"a":1}}`},
		{name: "three groups of one name and a value between", call: []any{slog.Group("g", "a", 1), "g", 2,
			slog.Group("g", "b", 3), slog.Group("g", "c", 4)}, want: `{"g":{"b":3,"c":4}}`},
		{name: "a map is a value, and no group", call: []any{"g", map[string]int{"a": 1}, slog.Group("g", "b", 2)},
			want: `{"g":{"b":2}}`},
		{name: "groups of one name in a value",
			call: []any{"v", []any{valuer{slog.GroupValue(slog.Group("g", "a", 1), slog.Group("g", "b", 2), slog.Int("c", 1),
				slog.Int("c", 2))}}}, want: `{"v":[{"g":{"a":1,"b":2},"c":2}]}`},
		{name: "a group and an attribute", call: []any{slog.Group("g", "a", 1), "g", 2}, want: `{"g":2}`},
		{name: "an open group and an attribute of its name", with: [][]any{{"g", 1}, {"g"}}, call: []any{"a", 1},
			want: `{"g":{"a":1}}`},
		{name: "an empty open group replaces nothing", with: [][]any{{"g", 1}, {"g"}}, want: `{"g":1}`},
		{name: "later wins in groups", with: [][]any{{"g"}, {"a", 1}}, call: []any{"a", 2, ada, "user", "x"},
			want: `{"g":{"a":2,"user":"x"}}`},
		{name: "empty groups are left out", call: []any{slog.Group("g"), slog.Group("h", slog.Group("i"))}, want: `{}`},
		{name: "the inner of two open groups is empty", with: [][]any{{"g"}, {"a", 1}, {"h"}, {"i"}}, want: `{"g":{"a":1}}`},
		{name: "keys that differ in bytes only", call: []any{"\xff", 1, "\uFFFD", 2}, want: `{"�":2}`},
		{name: "no key", call: []any{slog.Any("", 1)}, want: `{"":1}`},
		{name: "no attribute", call: []any{slog.Attr{}}, want: `{}`},
		{
			name: "an error fills exception and stack", call: []any{"err", errors.New("boom")},
			want: `{"err":"boom","exception":"*errors.errorString","stack":"boom"}`,
		},
		{
			name: "an error of With too, and the first one counts", with: [][]any{{"error", errors.New("boom")}},
			call: []any{"err", traced{}},
			want: `{"error":"boom","err":"short","exception":"*errors.errorString","stack":"boom"}`,
		},
		{name: "not in a group", with: [][]any{{"g"}}, call: []any{"err", errors.New("boom")}, want: `{"g":{"err":"boom"}}`},
		{name: "under any key", call: []any{"cause", errors.New("boom")},
			want: `{"cause":"boom","exception":"*errors.errorString","stack":"boom"}`},
		{name: "no error", call: []any{"err", nil, "error", "text"}, want: `{"err":null,"error":"text"}`},
		{
			name: "a model's exception stays", call: []any{mapModel{"exception": "Mine"}, "err", errors.New("boom")},
			want: `{"err":"boom","exception":"Mine","stack":"boom"}`,
		},
		{
			name: "names of the record's own fields are never a plain attribute's",
			call: []any{"source", "s3", "trace_id", "t", "span_id", "s", "trace_flags", "f", "truncated", 1, "schema_errors", 1,
				slog.Group("invalid", "a", 1)},
			want: `{"attr_source":"s3","attr_trace_id":"t","attr_span_id":"s","attr_trace_flags":"f","attr_truncated":1,` +
				`"attr_schema_errors":1,"attr_invalid":{"a":1}}`,
		},
		{
			name: "nor a model's, where they say what is wrong with the record", with: [][]any{{mapModel{"truncated": 1}}},
			call: []any{mapModel{"source": "s3", "trace_id": "t", "invalid": 1, "schema_errors": 2}},
			want: `{"source":"s3","trace_id":"t","attr_truncated":1,"attr_invalid":1,"attr_schema_errors":2}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewEncoder(Options{Base: fixedBase()})
			for _, with := range test.with {
				if name, ok := with[0].(string); ok && len(with) == 1 {
					e = e.WithGroup(name)
				} else {
					e = e.WithAttrs(attrs(with...))
				}
			}
			text, _ := encode(t, e, test.call...)
			if diff := cmp.Diff(parse(t, test.want), fields(t, text)); diff != "" {
				t.Errorf("the fields differ (-want +got):\n%s\n%s", diff, text)
			}
		})
	}
}

type traced struct{}

func (traced) Error() string                 { return "short" }
func (traced) Format(s fmt.State, verb rune) { fmt.Fprint(s, "short\nand its trace") }

// valuedModel is a log model that LogValue writes, with a field of the record's own.
type valuedModel struct{}

func (valuedModel) IsLogModel() bool { return true }
func (valuedModel) LogValue() slog.Value {
	return slog.GroupValue(slog.String("invalid", "all"), slog.String("span_id", "model's"))
}

func TestOwnFieldsOfTheRecord(t *testing.T) {
	t.Parallel()
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := trace.ContextWithSpanContext(context.Background(), span)
	e := NewEncoder(Options{Base: fixedBase(), AddSource: true, Trace: slog.LevelError})
	var got map[string]any
	h := collector{e.WithGroup("g"), t, &got}
	slog.New(h).ErrorContext(ctx, "hello", "a", 1)
	if got["trace_id"] != span.TraceID().String() || got["span_id"] != span.SpanID().String() {
		t.Errorf("the span's ids are not at the root: %v", got)
	}
	source, _ := got["source"].(map[string]any)
	if file, _ := source["file"].(string); !strings.HasSuffix(file, "merge_test.go") {
		t.Errorf("source is %v", got["source"])
	}
	if text, _ := got["trace"].(string); !strings.HasPrefix(text,
		"github.com/kafkaesk/kafkaesk/logrecord.TestOwnFieldsOfTheRecord\n\t") {
		t.Errorf("trace is %v", got["trace"])
	}

	h = collector{e.WithAttrs(attrs("trace_id", "mine", mapModel{"span_id": "model's", "invalid": 1})), t, &got}
	slog.New(h).InfoContext(ctx, "hello", slog.String("source", "s3"), Attr(invalid{}))
	want := map[string]any{"attr_trace_id": "mine", "attr_source": "s3", "span_id": "model's",
		"attr_invalid": json.Number("1")}
	for name, v := range want {
		if !cmp.Equal(got[name], v) {
			t.Errorf("%s is %v, want %v, in %v", name, got[name], v, got)
		}
	}
	if got["trace_id"] != span.TraceID().String() || got["trace"] != nil ||
		got["invalid"].(map[string]any)["n"] != json.Number("0") {
		t.Errorf("the record is %v", got)
	}

	slog.New(collector{e, t, &got}).InfoContext(ctx, "hello", Attr(valuedModel{}))
	if got["attr_invalid"] != "all" || got["invalid"] != nil || got["span_id"] != "model's" {
		t.Errorf("the record of a model with LogValue is %v", got)
	}
}

// collector is the smallest handler.
type collector struct {
	e   *Encoder
	t   *testing.T
	got *map[string]any
}

func (c collector) Enabled(context.Context, slog.Level) bool { return true }
func (c collector) WithAttrs(attrs []slog.Attr) slog.Handler { c.e = c.e.WithAttrs(attrs); return c }
func (c collector) WithGroup(name string) slog.Handler       { c.e = c.e.WithGroup(name); return c }
func (c collector) Handle(ctx context.Context, r slog.Record) error {
	text, _ := encodeRecord(c.t, c.e, ctx, r)
	*c.got = parse(c.t, string(text))
	return nil
}

func TestReplaceAttr(t *testing.T) {
	t.Parallel()
	var seen []string
	e := NewEncoder(Options{Base: fixedBase(), ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		seen = append(seen, strings.Join(append(groups, a.Key), "."))
		switch a.Key {
		case "password":
			return slog.String(a.Key, "***")
		case "gone":
			return slog.Attr{}
		case "model":
			return slog.Any("", userLog{User: "ada"})
		case "bang":
			panic("bang")
		}
		return a
	}})
	e = e.WithAttrs(attrs("w", 1)).WithGroup("g")
	text, _ := encode(t, e, "password", "x", "gone", 1, slog.Group("h", "password", "y"), "model", 1, "bang", 1)
	want := parse(t, `{"w":1,"g":{"password":"***","h":{"password":"***"},"user":"ada","bang":"!PANIC:bang"}}`)
	if diff := cmp.Diff(want, fields(t, text)); diff != "" {
		t.Errorf("the fields differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"w", "g.password", "g.gone", "g.h.password", "g.model", "g.user", "g.team", "g.bang"},
		seen); diff != "" {
		t.Errorf("the calls differ (-want +got):\n%s", diff)
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	type site struct {
		Service string `json:"service"`
		Site    string `json:"site"`
	}
	e := NewEncoder(Options{SchemaID: "LogRecord:1", Base: fixedBase(),
		Format: func(_ context.Context, r slog.Record) any {
			switch r.NumAttrs() {
			case 0:
				return nil
			case 1:
				return site{Service: "mine", Site: "eu"}
			}
			panic("bang")
		}})
	for n, want := range []string{
		`{}`,
		`{"timestamp":null,"severity":null,"level":null,"message":null,"hostname":null,"namespace":null,"cluster":null,` +
			`"service":"mine","site":"us"}`,
		`{"site":"us","a":1,"schema_errors":["Format: panic: bang"]}`,
	} {
		text, _ := encode(t, e, []any{"site", "us", "a", 1}[:2*n]...)
		text = bytes.TrimSuffix(bytes.TrimPrefix(text, []byte(`{"schema":"LogRecord:1","data":`)), []byte("}"))
		if diff := cmp.Diff(parse(t, want), fields(t, text)); diff != "" {
			t.Errorf("%d attributes: the fields differ (-want +got):\n%s", n, diff)
		}
	}
}

// Handlers that are derived from one must not see each other's attributes, whatever the lengths of what they share.
func TestSiblings(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"groups", "attributes", "models", "both"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			e := NewEncoder(Options{Base: fixedBase()})
			for n := range 65 {
				siblings := make([]*Encoder, 4)
				done := make(chan string)
				for i := range siblings {
					go func() {
						name := fmt.Sprint("s", i)
						d := e.WithAttrs(attrs(name, i)).WithGroup(name).WithAttrs(attrs("in", i, invalid{}))
						text, _ := d.Append(nil, context.Background(), slog.NewRecord(at, 0, "hello", 0))
						done <- string(text)
					}()
				}
				for range siblings {
					text := <-done
					found := 0
					for i := range siblings {
						if strings.Contains(text, fmt.Sprintf(`"s%d":{"in":%d,"n":`, i, i)) ||
							strings.Contains(text, fmt.Sprintf(`"s%d":{"in":%d}`, i, i)) {
							found++
						}
						if strings.Contains(text, fmt.Sprintf(`"s%d"`, i)) && !strings.Contains(text, fmt.Sprintf(`"in":%d`, i)) {
							t.Fatalf("%d %s: siblings are mixed up: %s", n, kind, text)
						}
					}
					if err := unique([]byte(text)); err != nil || found != 1 {
						t.Fatalf("%d %s: %v, %d siblings in %s", n, kind, err, found, text)
					}
				}
				switch kind {
				case "groups":
					e = e.WithGroup(fmt.Sprint("g", n))
				case "attributes":
					e = e.WithAttrs(attrs(fmt.Sprint("a", n), n))
				case "models":
					e = e.WithAttrs(attrs(mapModel{fmt.Sprint("m", n): n}, invalid{N: n}))
				case "both":
					e = e.WithAttrs(attrs(fmt.Sprint("a", n), n)).WithGroup(fmt.Sprint("g", n))
				}
			}
		})
	}
}

type invalid struct {
	Model
	N int `json:"n" jsonschema:"minimum=1000"`
}
