package logrecord

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
)

// valuer is no model; it resolves to a value.
type valuer struct{ v slog.Value }

func (v valuer) LogValue() slog.Value { return v.v }

// loggedError is an error that says itself how it is logged.
type loggedError struct{ v slog.Value }

func (loggedError) Error() string          { return "boom" }
func (e loggedError) LogValue() slog.Value { return e.v }

// errorModel is an error and a model.
type errorModel struct {
	Model
	Code int `json:"code" jsonschema:"maximum=99"`
}

func (*errorModel) Error() string { return "code" }

type nested struct {
	*userLog
	N int `json:"n"`
}

type eitherLog struct {
	Model
	A string `json:"a,omitempty" jsonschema:"oneof_required=a"`
	B string `json:"b,omitempty" jsonschema:"oneof_required=b"`
}

// The rules for log records, as the wire contract says them, each with the cases that it leaves no doubt about.
func TestRules(t *testing.T) {
	t.Parallel()
	type cases []struct {
		name     string
		with     [][]any // each a With; a single string is a WithGroup
		call     []any
		level    slog.Level
		timeless bool
		opts     Options
		span     bool
		want     string // besides the base fields of a plain record
	}
	ada := userLog{User: "ada"}
	for rule, cases := range map[string]cases{
		"The first twelve are always there, null when unknown": {
			{name: "of a record with nothing in it", want: `{}`}, // TestRules checks them in every record
			{name: "a logger's name by option", opts: Options{Base: Base{Logger: new("shop")}}, want: `{"logger":"shop"}`},
		},
		"plus source, trace_id, span_id, trace_flags where there are any": {
			{name: "a span, in a group too", with: [][]any{{"g"}}, span: true,
				want: `{"trace_id":"01000000000000000000000000000000","span_id":"0200000000000000","trace_flags":"00"}`},
			{name: "no call, no source", opts: Options{AddSource: true}, want: `{}`},
		},
		"plus every field of every log model and every plain attribute, groups nested": {
			{name: "all of them", call: []any{"a", 1, ada, slog.Group("g", "b", 2, slog.Group("h", "c", 3))},
				want: `{"a":1,"user":"ada","g":{"b":2,"h":{"c":3}}}`},
		},
		"The first attribute at the top whose value is an error fills exception and stack, and stays an attribute too": {
			{name: "err", call: []any{"err", errors.New("boom")}, want: `{"err":"boom","exception":"*errors.errorString",` +
				`"stack":"boom"}`},
			{name: "error", call: []any{"error", errors.New("boom")},
				want: `{"error":"boom","exception":"*errors.errorString","stack":"boom"}`},
			{name: "with its trace", call: []any{"err", traced{}}, want: `{"err":"short","exception":"logrecord.traced",` +
				`"stack":"short\nand its trace"}`},
			{name: "in With", with: [][]any{{"err", errors.New("boom")}, {"g"}}, call: []any{"a", 1},
				want: `{"err":"boom","g":{"a":1},"exception":"*errors.errorString","stack":"boom"}`},
			{name: "not in a group", call: []any{slog.Group("g", "err", errors.New("boom"))}, want: `{"g":{"err":"boom"}}`},
			{name: "at the top in an inlined group", call: []any{slog.Group("", "err", errors.New("boom"))},
				want: `{"err":"boom","exception":"*errors.errorString","stack":"boom"}`},
			{name: "from a LogValuer", call: []any{"err", valuer{slog.AnyValue(errors.New("boom"))}},
				want: `{"err":"boom","exception":"*errors.errorString","stack":"boom"}`},
			{
				name: "that is logged as a group", call: []any{"err", loggedError{slog.GroupValue(slog.Int("code", 7))}},
				want: `{"err":{"code":7},"exception":"logrecord.loggedError","stack":"boom"}`,
			},
			{name: "that is logged as a text", call: []any{"err", loggedError{slog.StringValue("code 7")}},
				want: `{"err":"code 7","exception":"logrecord.loggedError","stack":"boom"}`},
			{name: "that is a model", call: []any{"err", &errorModel{Code: 7}},
				want: `{"code":7,"exception":"*logrecord.errorModel","stack":"code"}`},
			{name: "what ReplaceAttr hides stays hidden", call: []any{"err", loggedError{slog.StringValue("code 7")}},
				opts: Options{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
					return slog.String(a.Key, "***")
				}}, want: `{"err":"***"}`},
			{name: "a nil one is none", call: []any{"err", (*errorModel)(nil), "error", error(nil)}, want: `{"error":null}`},
		},
		"A record without a time has timestamp null": {
			{name: "it has none", timeless: true, want: `{"timestamp":null}`},
		},
		"level the number 10 20 30 40 50 (slog level L is 20 + 10*L/4, Go's integer division); between two named levels " +
			"the severity is the lower one's; from slog level 12 on CRITICAL; below DEBUG still DEBUG": {
			{name: "-9", level: -9, want: `{"severity":"DEBUG","level":-2}`},
			{name: "DEBUG", level: slog.LevelDebug, want: `{"severity":"DEBUG","level":10}`},
			{name: "-1", level: -1, want: `{"severity":"DEBUG","level":18}`},
			{name: "INFO+1", level: slog.LevelInfo + 1, want: `{"level":22}`},
			{name: "WARN", level: slog.LevelWarn, want: `{"severity":"WARNING","level":30}`},
			{name: "ERROR", level: slog.LevelError, want: `{"severity":"ERROR","level":40}`},
			{name: "11", level: 11, want: `{"severity":"ERROR","level":47}`},
			{name: "12", level: 12, want: `{"severity":"CRITICAL","level":50}`},
			{name: "16", level: 16, want: `{"severity":"CRITICAL","level":60}`},
		},
		"base fields first, then models and plain attributes in order of appearance (With before the call's own), a later " +
			"one wins": {
			{name: "attributes", with: [][]any{{"a", 1}}, call: []any{"a", 2}, want: `{"a":2}`},
			{name: "a model, then an attribute", call: []any{ada, "user", "bob"}, want: `{"user":"bob"}`},
			{name: "an attribute, then a model", call: []any{"user", "bob", ada}, want: `{"user":"ada"}`},
			{name: "the call's attribute over With's model", with: [][]any{{ada}}, call: []any{"user", "bob"},
				want: `{"user":"bob"}`},
		},
		"absent (nil / omitempty) fields never overwrite": {
			{name: "nil", call: []any{"team", "red", ada}, want: `{"team":"red","user":"ada"}`},
			{name: "omitempty", call: []any{"email", "e", ada}, want: `{"email":"e","user":"ada"}`},
			{name: "a base field by nil", call: []any{mapModel{"level": nil, "hostname": nil}}, want: `{}`},
		},
		"Only a model may replace a base field; a plain attribute or group of that name is kept as attr_<name>": {
			{name: "a model", call: []any{mapModel{"level": "high"}}, want: `{"level":"high"}`},
			{name: "an attribute", call: []any{"level", 1, "timestamp", 2}, want: `{"attr_level":1,"attr_timestamp":2}`},
			{name: "a group", call: []any{slog.Group("service", "a", 1)}, want: `{"attr_service":{"a":1}}`},
			{name: "a group of WithGroup", with: [][]any{{"stack"}}, call: []any{"a", 1}, want: `{"attr_stack":{"a":1}}`},
			{name: "not inside of groups", call: []any{slog.Group("g", "level", 1)}, want: `{"g":{"level":1}}`},
			{name: "an attribute that a span needs the name of", span: true, call: []any{"span_id", 1},
				want: `{"attr_span_id":1,"trace_id":"01000000000000000000000000000000","span_id":"0200000000000000",` +
					`"trace_flags":"00"}`},
		},
		"A log model is taken from anywhere slog lets it be": {
			{name: "slog's !BADKEY", call: []any{ada}, want: `{"user":"ada"}`},
			{name: "Attr", call: []any{Attr(ada)}, want: `{"user":"ada"}`},
			{name: "any key", call: []any{"level", ada}, want: `{"user":"ada"}`},
			{name: "inside groups", call: []any{slog.Group("g", slog.Group("h", "k", ada))}, want: `{"g":{"h":{"user":"ada"}}}`},
			{name: "With", with: [][]any{{ada}}, want: `{"user":"ada"}`},
			{name: "With behind WithGroup", with: [][]any{{"g"}, {"k", ada}}, want: `{"g":{"user":"ada"}}`},
			{name: "a pointer", call: []any{&ada}, want: `{"user":"ada"}`},
			{name: "what a LogValuer resolves to", call: []any{"k", valuer{slog.AnyValue(ada)}}, want: `{"user":"ada"}`},
			{name: "what a LogValuer in With resolves to", with: [][]any{{"k", valuer{slog.AnyValue(&ada)}}},
				want: `{"user":"ada"}`},
			{name: "in a group that a LogValuer resolves to", call: []any{"k", valuer{slog.GroupValue(slog.Any("u", ada))}},
				want: `{"k":{"user":"ada"}}`},
			{name: "a model with LogValue that another LogValuer resolves to",
				call: []any{"k", valuer{slog.AnyValue(valuerModel{Secret: "x"})}}, want: `{"secret":"***","level":"high"}`},
			{name: "embedded by way of another model", call: []any{nested{userLog: &ada, N: 1}}, want: `{"user":"ada","n":1}`},
			{name: "by way of a nil one", call: []any{nested{N: 1}}, want: `{"n":1}`},
			{name: "an error", call: []any{"cause", &errorModel{Code: 7}},
				want: `{"code":7,"exception":"*logrecord.errorModel","stack":"code"}`},
			{name: "a nil pointer is no model at all", call: []any{"k", (*userLog)(nil), "l", (*errorModel)(nil)}, want: `{}`},
			{name: "a nil pointer with LogValue too", call: []any{"k", (*valuerModel)(nil)}, want: `{}`},
			{name: "Attr of nothing", call: []any{Attr(nil), Attr((*userLog)(nil))}, want: `{}`},
		},
		"It dissolves into the object it stands in: at the top into the record, in a group into that group; its own key is " +
			"gone": {
			{name: "with neighbours", call: []any{"a", 1, "k", ada, slog.Group("g", "b", 2, "k", ada)},
				want: `{"a":1,"user":"ada","g":{"b":2,"user":"ada"}}`},
		},
		"A model's jsonschema tags are its constraints, always checked, formats too": {
			{
				name: "a format", call: []any{order{Count: 1, Mail: "x"}},
				want: `{"count":1,"invalid":{"mail":"x"},"schema_errors":["mail: format: must be a valid email, is \"x\""]}`,
			},
			{
				name: "of an error", call: []any{&errorModel{Code: 100}},
				want: `{"exception":"*logrecord.errorModel","stack":"code","invalid":{"code":100},"schema_errors":["code: ` +
					`maximum: must be at most 99, is 100"]}`,
			},
		},
		"A nil pointer, slice or map is null, and allowed": {
			{name: "all three", call: []any{order{Count: 1}}, want: `{"count":1}`},
		},
		"invalid (at the root, an object that mirrors their path: the fields that break the schema, moved there), " +
			"schema_errors (strings, <field>: <keyword>: <text>)": {
			{
				name: "in groups", with: [][]any{{"g"}}, call: []any{slog.Group("h", "k", invalid{N: 1})},
				want: `{"invalid":{"g":{"h":{"n":1}}},"schema_errors":["g.h.n: minimum: must be at least 1000, is 1"]}`,
			},
			{
				name: "in a group of a base field's name", call: []any{slog.Group("stack", "k", invalid{N: 1})},
				want: `{"invalid":{"attr_stack":{"n":1}},"schema_errors":["attr_stack.n: minimum: must be at least 1000, is 1"]}`,
			},
			{
				name: "in a group of WithGroup of such a name", with: [][]any{{"trace"}, {invalid{N: 1}}},
				want: `{"invalid":{"attr_trace":{"n":1}},"schema_errors":["attr_trace.n: minimum: must be at least 1000, is 1"]}`,
			},
			{
				name: "the model as a whole", call: []any{eitherLog{A: "a", B: "b"}},
				want: `{"a":"a","b":"b","schema_errors":["logrecord.eitherLog: oneOf: valid against schemas at indexes 0 and 1"]}`,
			},
		},
		"truncated (true, when values were shortened to fit)": {
			{
				name: "a long text", opts: Options{MaxBytes: 500}, call: []any{"a", strings.Repeat("x", 1000)},
				want: `{"a":"` + strings.Repeat("x", 256) + `…","truncated":true}`,
			},
		},
		`A value that cannot be encoded, or panics, is written in its place as slog writes it: "!ERROR:...", "!PANIC:..."`: {
			{name: "an error", call: []any{"a", make(chan int), "b", 1}, want: `{"a":"!ERROR:json: unsupported type: chan ` +
				`int","b":1}`},
			{name: "a panic", call: []any{"a", badJSON{}, "b", badValuer{}}, want: `{"a":"!PANIC:MarshalJSON",` +
				`"b":"!PANIC:LogValue"}`},
		},
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			for _, test := range cases {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					name := test.opts.Base.Logger
					test.opts.Base = fixedBase()
					test.opts.Base.Logger = name
					e := NewEncoder(test.opts)
					for _, with := range test.with {
						if group, ok := with[0].(string); ok && len(with) == 1 {
							e = e.WithGroup(group)
						} else {
							e = e.WithAttrs(attrs(with...))
						}
					}
					ctx := context.Background()
					if test.span {
						ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1},
							SpanID: trace.SpanID{2}}))
					}
					r := slog.NewRecord(at, test.level, "hello", 0)
					if test.timeless {
						r.Time = time.Time{}
					}
					r.Add(test.call...)
					text, _ := encodeRecord(t, e, ctx, r)
					if diff := cmp.Diff(parse(t, test.want), fields(t, text)); diff != "" {
						t.Errorf("the fields differ (-want +got):\n%s\n%s", diff, text)
					}
				})
			}
		})
	}
}

// What lies deeper than 64 levels is a note; what lies there at the deepest is not.
func TestSixtyFourLevels(t *testing.T) {
	t.Parallel()
	for _, levels := range []int{64, 65} {
		var value any = "bottom"
		group := slog.String("v", "bottom")
		for range levels {
			value = map[string]any{"v": value}
			group = slog.Group("v", group)
		}
		for name, attr := range map[string]slog.Attr{"values": slog.Any("v", value), "groups": group} {
			text, _ := encode(t, NewEncoder(Options{}), attr)
			if deep := strings.Contains(string(text), tooDeep); deep != (levels > 64) ||
				deep == strings.Contains(string(text), "bottom") {
				t.Errorf("%d %s: %s", levels, name, text)
			}
		}
	}
}
