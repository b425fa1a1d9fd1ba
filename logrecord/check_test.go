package logrecord

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
)

type address struct {
	City string `json:"city" jsonschema:"minLength=2"`
	Zip  string `json:"zip" jsonschema:"pattern=^[0-9]+$"`
}

type order struct {
	Model
	Mail    string             `json:"mail,omitempty" jsonschema:"format=email"`
	Count   int                `json:"count" jsonschema:"minimum=1,maximum=5"`
	Address *address           `json:"address"`
	Tags    []string           `json:"tags,omitzero" jsonschema:"minItems=1"`
	Items   []address          `json:"items,omitempty"`
	Prices  map[string]float64 `json:"prices"`
	Kind    string             `json:"kind,omitempty" jsonschema:"enum=a,enum=b"`
	When    time.Time          `json:"when,omitzero"`
	Ratio   float64            `json:"ratio,omitempty" jsonschema:"maximum=1"`
}

type noSchema struct {
	Model
	C chan int `json:"c"`
}

type node struct {
	Model
	N    int   `json:"n" jsonschema:"minimum=1"`
	Next *node `json:"next"`
}

type panicSchema struct {
	Model
	A int `json:"a"`
}

func (panicSchema) JSONSchemaExtend(*jsonschema.Schema) { panic("bang") }

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		with   []any
		group  string
		call   []any
		want   string   // besides the base fields, without schema_errors
		errors []string // how the schema_errors begin
	}{
		{name: "valid", call: []any{order{Count: 1}}, want: `{"count":1}`},
		{
			name: "a field", call: []any{"a", 1, order{Count: 9, Mail: "x"}}, want: `{"a":1,"invalid":{"count":9,"mail":"x"}}`,
			errors: []string{"count: maximum: ", "mail: format: "},
		},
		{
			name: "a nested one", call: []any{order{Count: 1, Address: &address{City: "x", Zip: "12"}}},
			want:   `{"count":1,"address":{"zip":"12"},"invalid":{"address":{"city":"x"}}}`,
			errors: []string{"address.city: minLength: "},
		},
		{
			name: "both of an object", call: []any{order{Count: 1, Address: &address{City: "x", Zip: "y"}}},
			want:   `{"count":1,"address":{},"invalid":{"address":{"city":"x","zip":"y"}}}`,
			errors: []string{"address.city: minLength: ", "address.zip: pattern: "},
		},
		{
			name: "in an array of objects", call: []any{order{Count: 1, Items: []address{{"ok", "1"}, {"x", "1"}}}},
			want:   `{"count":1,"items":[{"city":"ok","zip":"1"},{"zip":"1"}],"invalid":{"items":{"1":{"city":"x"}}}}`,
			errors: []string{"items[1].city: minLength: "},
		},
		{
			name: "an array as a whole", call: []any{order{Count: 1, Tags: []string{}}},
			want:   `{"count":1,"invalid":{"tags":[]}}`,
			errors: []string{"tags: minItems: "},
		},
		{
			name: "in a group", call: []any{slog.Group("g", Attr(order{Count: 1, Kind: "c"}))},
			want:   `{"g":{"count":1},"invalid":{"g":{"kind":"c"}}}`,
			errors: []string{"g.kind: enum: "},
		},
		{
			name: "in With and WithGroup", with: []any{order{Count: 7}}, group: "g", call: []any{order{Count: 8}},
			want:   `{"invalid":{"count":7,"g":{"count":8}}}`,
			errors: []string{"count: maximum: ", "g.count: maximum: "},
		},
		{
			name: "twice", with: []any{order{Count: 7}}, call: []any{order{Count: 8}},
			want:   `{"invalid":{"count":8}}`,
			errors: []string{"count: maximum: ", "count: maximum: "},
		},
		{
			name: "what cannot be written stays",
			call: []any{order{Count: 1, Prices: map[string]float64{"a": nan()}, Ratio: nan()}},
			want: `{"count":1,"prices":{"a":"!ERROR:json: unsupported value: NaN"},"ratio":"!ERROR:json: unsupported value: ` +
				`NaN"}`,
		},
		{name: "no schema", call: []any{noSchema{}}, want: `{"c":"!ERROR:json: unsupported type: chan int"}`},
		{name: "a schema that panics", call: []any{panicSchema{}}, want: `{"a":0}`},
		{
			name: "one that holds its like", call: []any{node{N: 1, Next: &node{N: 0}}},
			want:   `{"n":1,"next":{},"invalid":{"next":{"n":0}}}`,
			errors: []string{"next.n: minimum: "},
		},
		{name: "a map has no constraints", call: []any{mapModel{"a": 1}}, want: `{"a":1}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := NewEncoder(Options{Base: fixedBase()}).WithAttrs(attrs(test.with...)).WithGroup(test.group)
			for range 2 { // the second time from what was kept
				text, result := encode(t, e, test.call...)
				got := fields(t, text)
				var told []any
				if list, ok := got["schema_errors"].([]any); ok {
					told = list
				}
				delete(got, "schema_errors")
				if diff := cmp.Diff(parse(t, test.want), got); diff != "" {
					t.Errorf("the fields differ (-want +got):\n%s\n%s", diff, text)
				}
				if len(told) != len(test.errors) || result.Invalid != (len(told) > 0) {
					t.Fatalf("the errors are %v, want %v", told, test.errors)
				}
				for i, want := range test.errors {
					if !strings.HasPrefix(told[i].(string), want) {
						t.Errorf("error %d is %q, want %q", i, told[i], want)
					}
				}
			}
		})
	}
}

func nan() float64 {
	zero := 0.0
	return zero / zero
}

// One encoder serves all goroutines: types, schemas and sources are made once, and buffers are not mixed up.
func TestConcurrently(t *testing.T) {
	t.Parallel()
	e := NewEncoder(Options{Base: fixedBase(), AddSource: true}).WithAttrs(attrs("w", 1, order{Count: 1}))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				r := slog.NewRecord(at, 0, "hello", 0)
				r.Add("i", i, Attr(order{Count: i}), slog.Group("g", "i", i))
				text, _ := e.WithGroup("h").Append(nil, context.Background(), r)
				var got struct{ H struct{ I, Count int } }
				if err := json.Unmarshal(text, &got); err != nil || got.H.I != i || i > 0 && i < 6 && got.H.Count != i {
					t.Errorf("%v: %s", err, text)
					return
				}
			}
		})
	}
	wg.Wait()
}

// wrongLog is a log model with a tag that cannot be used.
type wrongLog struct {
	Model
	N int `json:"n" jsonschema:"minLength=1"`
}

// A model with a wrong tag is told once, and its records are as good as others.
func TestWrongTagsAreToldOnce(t *testing.T) {
	t.Parallel()
	var told []error
	e := NewEncoder(Options{Base: fixedBase(), Report: func(err error) { told = append(told, err) }})
	for _, args := range [][]any{{wrongLog{N: 1}}, {&wrongLog{N: 2}}, {slog.Group("g", "k", wrongLog{})}} {
		if text, result := encode(t, e, args...); result.Invalid || !strings.Contains(string(text), `"n":`) {
			t.Errorf("the record is %s", text)
		}
	}
	if len(told) != 1 || !strings.Contains(told[0].Error(), "logrecord.wrongLog") {
		t.Errorf("told: %v", told)
	}
	if err := Check[*wrongLog](); err == nil || err.Error() != told[0].Error() {
		t.Errorf("Check returns %v", err)
	}
	if err := Check[userLog](); err != nil {
		t.Error(err)
	}
}

// A ReplaceAttr that panics for a field of a model has a note there, the key stays whatever it returns, and no key
// comes twice.
func TestReplaceAttrInModelsIsGuarded(t *testing.T) {
	t.Parallel()
	type inner struct{ A, B int }
	type model struct {
		Model
		In     inner
		X, Bad int
	}
	e := NewEncoder(Options{Base: fixedBase(), ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case "A":
			return slog.Int("B", 7)
		case "X":
			return slog.Int("Bad", 8)
		case "Bad":
			panic("bang")
		}
		return a
	}})
	text, _ := encode(t, e, model{}, "after", 1)
	if diff := cmp.Diff(parse(t, `{"In":{"A":7,"B":0},"X":8,"Bad":"!PANIC:bang","after":1}`),
		fields(t, text)); diff != "" {
		t.Errorf("the fields differ (-want +got):\n%s", diff)
	}
}
