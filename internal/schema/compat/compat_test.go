package compat

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kafkaesk/kafkaesk/internal/schema"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	object := func(properties string, more ...string) string {
		return `{"type":"object","properties":{` + properties + `}` + strings.Join(more, "") + `}`
	}
	list := `{"$defs":{"N":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/N"},{"type":"null"}]},"v":{` +
		`"type":"%s"}}}},"$ref":"#/$defs/N"}`
	tests := []struct {
		name, older, newer string
		backward, forward  []string // field: keyword
	}{
		{name: "the same", older: object(`"a":{"type":"string","minLength":1,"pattern":"^x","format":"date"}`,
			`,"required":["a"]`),
			newer: object(`"a":{"format":"date","pattern":"^x","minLength":1,"type":"string"}`, `,"required":["a"]`)},
		{name: "annotations", older: `{"title":"a","type":"string"}`, newer: `{"description":"b","type":"string","$id":"x"}`},
		{name: "an optional field more", older: object(`"a":{"type":"string"}`),
			newer: object(`"a":{"type":"string"},"b":{"type":"integer"}`)},
		{name: "a required field more", older: object(`"a":true`), newer: object(`"a":true,"b":{"type":"integer"}`,
			`,"required":["b"]`),
			backward: []string{"b: required"}},
		{name: "a field is not required any more", older: object(`"a":true`, `,"required":["a"]`), newer: object(`"a":true`),
			forward: []string{"a: required"}},
		{name: "a field of a closed object", older: object(`"a":true`, `,"additionalProperties":false`),
			newer:   object(`"a":true,"b":true`, `,"additionalProperties":false`),
			forward: []string{"b: additionalProperties"}},
		{name: "a field's type", older: object(`"a":{"type":"integer"}`), newer: object(`"a":{"type":"number"}`),
			forward: []string{"a: type"}},
		{name: "null", older: object(`"a":{"type":"string"}`), newer: object(`"a":{"type":["string","null"]}`),
			forward: []string{"a: type"}},
		{name: "a choice with null", older: `{"type":"string"}`, newer: `{"anyOf":[{"type":"string"},{"type":"null"}]}`,
			forward: []string{": type"}},
		{name: "oneOf of two types", older: `{"type":"string"}`, newer: `{"oneOf":[{"type":"null"},{"type":"string"}]}`,
			forward: []string{": type"}},
		{name: "enum", older: `{"enum":["a","b"]}`, newer: `{"enum":["b","c"]}`, backward: []string{": enum"},
			forward: []string{": enum"}},
		{name: "an enum for a type", older: `{"type":"string"}`, newer: `{"type":"string","enum":["b","c"]}`,
			backward: []string{": enum"}},
		{name: "bounds", older: `{"type":"integer","minimum":1,"maximum":9}`,
			newer:    `{"type":"integer","minimum":0,"exclusiveMaximum":9}`,
			backward: []string{": exclusiveMaximum"}, forward: []string{": minimum"}},
		{name: "bounds of an enum", older: `{"enum":[1,5]}`, newer: `{"type":"integer","minimum":1,"maximum":5}`,
			forward: []string{": enum"}},
		{name: "lengths", older: `{"type":"string","maxLength":5}`, newer: `{"type":"string","minLength":0,"maxLength":6}`,
			forward: []string{": maxLength"}},
		{name: "a keyword of another type", older: `{"type":"string"}`, newer: `{"type":"string","minimum":5,"minItems":3,` +
			`"required":["a"]}`},
		{name: "pattern", older: `{"type":"string","pattern":"^a"}`, newer: `{"type":"string","pattern":"^b"}`,
			backward: []string{": pattern"}, forward: []string{": pattern"}},
		{name: "multiples", older: `{"type":"integer","multipleOf":6}`, newer: `{"type":"integer","multipleOf":3}`,
			forward: []string{": multipleOf"}},
		{name: "items", older: object(`"l":{"type":"array","items":{"type":"string"}}`),
			newer:    object(`"l":{"type":"array","items":{"type":"string","minLength":1}}`),
			backward: []string{"l[]: minLength"}},
		{name: "a map's values", older: `{"type":"object","additionalProperties":{"type":"integer"}}`,
			newer:    `{"type":"object","additionalProperties":{"type":"string"}}`,
			backward: []string{"*: type"}, forward: []string{"*: type"}},
		{name: "a map gets a field", older: `{"type":"object","additionalProperties":{"type":"integer"}}`,
			newer:    object(`"a":{"type":"string"}`),
			backward: []string{"a: type"}, forward: []string{"a: type"}},
		{name: "a type that holds itself", older: fmt.Sprintf(list, "integer"), newer: fmt.Sprintf(list, "number"),
			forward: []string{"v: type"}},
		{name: "a negation that changed", older: `{"type":"string","not":{"const":"a"}}`,
			newer:    `{"type":"string","not":{"const":"b"}}`,
			backward: []string{": not"}, forward: []string{": not"}},
		{name: "a negation of something that changed", older: `{"$defs":{"x":{"const":"a"}},"type":"string","not":{` +
			`"$ref":"#/$defs/x"}}`,
			newer:    `{"$defs":{"x":{"const":"b"}},"type":"string","not":{"$ref":"#/$defs/x"}}`,
			backward: []string{": not"}, forward: []string{": not"}},
		{name: "allOf", older: `{"allOf":[{"type":"string"},{"minLength":3}]}`, newer: `{"type":"string","minLength":2}`,
			forward: []string{": minLength"}},
		{name: "anything and nothing", older: `true`, newer: `false`, backward: []string{": false"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for direction, want := range map[string][]string{Backward: tt.backward, Forward: tt.forward} {
				problems, err := Check([]byte(tt.older), []byte(tt.newer), direction)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, p := range problems {
					got = append(got, p.Field+": "+p.Keyword)
					if p.Direction != direction || p.Reason == "" {
						t.Errorf("%+v", p)
					}
				}
				slices.Sort(got)
				slices.Sort(want)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", direction, diff)
				}
			}
			full, err := Check([]byte(tt.older), []byte(tt.newer), Full)
			if err != nil || len(full) != len(tt.backward)+len(tt.forward) {
				t.Errorf("full: %v, %v", full, err)
			}
		})
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	problems, err := Check([]byte(`{"type":"object","properties":{"n":{"type":"integer"}}}`),
		[]byte(`{"type":"object","properties":{"n":{"type":"string"}},"required":["n"]}`), Backward)
	if err != nil {
		t.Fatal(err)
	}
	want := []Problem{
		{Backward, "n", "type", "data of the old schema may be integer; the new schema wants string"},
		{Backward, "n", "required", "data of the old schema may lack it; the new schema requires it"},
	}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatIsNoSchema(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{`{"type":"strange"}`, `{}`}, {`{}`, `{"type"`},
		{`{}`, `{"$ref":"http://example.com/x"}`}} {
		if problems, err := Check([]byte(pair[0]), []byte(pair[1]), Full); err == nil {
			t.Errorf("%v: %v", pair, problems)
		}
	}
}

// Choices within choices end in an error, not in an endless comparison.
// The work on a schema that is nested deeper than people nest grows with the cube of its depth, and on a large one with
// what it repeats: such schemas are refused, and the error says the limit.
func TestTooLargeSchemas(t *testing.T) {
	t.Parallel()
	nested := func(n int, open, end string) string {
		return strings.Repeat(open, n) + `{"type":"string"}` + strings.Repeat(end, n)
	}
	for name, tt := range map[string]struct{ document, want string }{
		"nested objects": {nested(600, `{"properties":{"a":`, `}}`), "more than 128 levels of objects and arrays"},
		"nested choices": {nested(80_000, `{"anyOf":[{"type":"null"},`, `]}`), "the most that can be compared are 1048576"},
		"nested arrays":  {nested(129, `{"items":`, `}`), "more than 128 levels"},
		"members of allOf": {`{"allOf":[` + strings.Repeat(`{"minLength":1},`, 2_000) + `{"minLength":1}]}`,
			"too many choices within choices, or members of allOf"},
	} {
		if _, err := Check([]byte(tt.document), []byte(tt.document), Backward); err == nil ||
			!strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
	}
}

// Values of long lists are compared by their form, and not each with each.
func TestLongEnums(t *testing.T) {
	t.Parallel()
	var older, newer strings.Builder
	for n := range 5_000 {
		fmt.Fprintf(&older, "%d,", n)
		fmt.Fprintf(&newer, "%d.0,", n)
	}
	found, err := Check([]byte(`{"enum":[`+older.String()+`"x"]}`), []byte(`{"enum":[`+newer.String()+`"y"]}`), Backward)
	if err != nil || len(found) != 1 || !strings.Contains(found[0].Reason, `may be "x";`) {
		t.Errorf("%d problems, %v; want one, for x", len(found), err)
	}
}

func TestManyChoices(t *testing.T) {
	t.Parallel()
	schema := `{"type":"object"}`
	for range 12 {
		schema = `{"allOf":[{"anyOf":[` + schema + `,{"type":"string"},{"type":"null"}]},{"anyOf":[{"type":"object"},{` +
			`"minLength":1}]}]}`
	}
	if _, err := Check([]byte(schema), []byte(`{"anyOf":[{"type":"integer"},`+schema+`]}`), Backward); !errors.Is(err,
		errTooLarge) {
		t.Errorf("error %v", err)
	}
}

// What is found compatible is: data of the writer's schema that has only its properties is valid for the reader's.
func TestCompatibleIsCompatible(t *testing.T) {
	t.Parallel()
	compatible := 0
	rapid.Check(t, func(t *rapid.T) {
		older := drawSchema(t, 2)
		newer := drawChange(t, older, 2)
		value := drawValue(t, older)
		before, after, data := encode(t, older), encode(t, newer), encode(t, value)
		problems, err := Check(before, after, Backward)
		if err != nil {
			t.Fatal(err)
		}
		if len(problems) > 0 {
			return
		}
		old, err1 := schema.FromJSON(nil, before)
		young, err2 := schema.FromJSON(nil, after)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if old.Check(data) != nil {
			return
		}
		compatible++
		if err := young.Check(data); err != nil {
			t.Fatalf("%s is valid for %s and not for %s: %v", data, before, after, err)
		}
	})
	if compatible == 0 {
		t.Error("no pair was compatible: the test shows nothing")
	}
}

func encode(t *rapid.T, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func drawSchema(t *rapid.T, depth int) any {
	pick := func(name string, n int) int { return rapid.IntRange(0, n-1).Draw(t, name) }
	s := map[string]any{}
	kind := pick("kind", 9)
	if depth == 0 {
		kind = pick("kind", 5)
	}
	switch kind {
	case 0:
		s["type"] = "string"
		if pick("bounded", 2) == 0 {
			s[[]string{"minLength", "maxLength"}[pick("which", 2)]] = pick("length", 4)
		}
		if pick("patterned", 4) == 0 {
			s["pattern"] = []string{"^a", "b"}[pick("which", 2)]
		}
	case 1:
		s["type"] = []string{"integer", "number"}[pick("which", 2)]
		if pick("bounded", 2) == 0 {
			s[[]string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
				"multipleOf"}[pick("which", 5)]] = pick("bound", 4) + 1
		}
	case 2:
		s["enum"] = []any{1, "a", nil, 2.5}[pick("from", 3):]
	case 3:
		s["type"] = []string{"boolean", "null"}[pick("which", 2)]
	case 4:
		return true
	case 5:
		s["type"] = "array"
		s["items"] = drawSchema(t, depth-1)
		if pick("bounded", 2) == 0 {
			s[[]string{"minItems", "maxItems"}[pick("which", 2)]] = pick("length", 3)
		}
		if pick("prefixed", 3) == 0 {
			s["prefixItems"] = []any{drawSchema(t, depth-1)}
		}
	case 6, 7:
		s["type"] = "object"
		properties := map[string]any{}
		for _, name := range []string{"a", "b", "c"}[pick("from", 3):] {
			properties[name] = drawSchema(t, depth-1)
		}
		s["properties"] = properties
		s["required"] = []string{"a", "b", "c"}[pick("required", 4):]
		switch pick("additional", 4) {
		case 0:
			s["additionalProperties"] = drawSchema(t, depth-1)
		case 1:
			s["additionalProperties"] = false
		case 2:
			s["patternProperties"] = map[string]any{"^[ax]": drawSchema(t, depth-1)}
		}
	case 8:
		s[[]string{"anyOf", "oneOf", "allOf"}[pick("which", 3)]] = []any{drawSchema(t, depth-1), drawSchema(t, depth-1)}
	}
	return s
}

// drawChange returns a schema that is like another one, or a different one.
func drawChange(t *rapid.T, s any, depth int) any {
	if rapid.IntRange(0, 5).Draw(t, "new") == 0 {
		return drawSchema(t, depth)
	}
	m, ok := s.(map[string]any)
	if !ok {
		return s
	}
	changed := map[string]any{}
	for _, k := range slices.Sorted(func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}) {
		switch v := m[k].(type) {
		case map[string]any:
			if k == "items" || k == "additionalProperties" {
				changed[k] = drawChange(t, v, depth-1)
				continue
			}
			members := map[string]any{}
			for name, member := range v {
				members[name] = member
			}
			for _, name := range []string{"a", "b", "c", "^[ax]"} {
				if member, ok := members[name]; ok {
					members[name] = drawChange(t, member, depth-1)
				}
			}
			changed[k] = members
		case []any:
			if k == "enum" {
				changed[k] = v
				continue
			}
			choices := make([]any, len(v))
			for i := range v {
				choices[i] = drawChange(t, v[i], depth-1)
			}
			changed[k] = choices
		case int:
			changed[k] = max(1, v+rapid.IntRange(-1, 1).Draw(t, "shift"))
		default:
			changed[k] = v
		}
		if k != "type" && rapid.IntRange(0, 5).Draw(t, "drop") == 0 {
			delete(changed, k)
		}
	}
	return changed
}

// drawValue returns a value that is likely to be one of the schema's, with no properties that the schema does not have.
func drawValue(t *rapid.T, s any) any {
	m, ok := s.(map[string]any)
	if !ok {
		return rapid.SampledFrom([]any{nil, true, 1, 2.5, "a", []any{}, map[string]any{}}).Draw(t, "any")
	}
	for _, k := range []string{"anyOf", "oneOf", "allOf"} {
		if choices, ok := m[k].([]any); ok {
			return drawValue(t, rapid.SampledFrom(choices).Draw(t, "choice"))
		}
	}
	if values, ok := m["enum"].([]any); ok {
		return rapid.SampledFrom(values).Draw(t, "listed")
	}
	switch m["type"] {
	case "string":
		return rapid.StringOfN(rapid.SampledFrom([]rune("abc")), 0, 4, -1).Draw(t, "string")
	case "integer":
		return rapid.IntRange(-1, 8).Draw(t, "integer")
	case "number":
		return float64(rapid.IntRange(-2, 16).Draw(t, "number")) / 2
	case "boolean":
		return rapid.Bool().Draw(t, "boolean")
	case "array":
		list := []any{}
		for i := range rapid.IntRange(0, 3).Draw(t, "length") {
			item := m["items"]
			if p, ok := m["prefixItems"].([]any); ok && i < len(p) {
				item = p[i]
			}
			list = append(list, drawValue(t, item))
		}
		return list
	case "object":
		value := map[string]any{}
		properties, _ := m["properties"].(map[string]any)
		for _, name := range []string{"a", "b", "c"} {
			if p, ok := properties[name]; ok && rapid.IntRange(0, 3).Draw(t, "there") > 0 {
				value[name] = drawValue(t, p)
			}
		}
		if additional, ok := m["additionalProperties"].(map[string]any); ok {
			value[rapid.SampledFrom([]string{"a", "b", "x", "y"}).Draw(t, "name")] = drawValue(t, additional)
		}
		if patterns, ok := m["patternProperties"].(map[string]any); ok {
			value[rapid.SampledFrom([]string{"a", "x"}).Draw(t, "name")] = drawValue(t, patterns["^[ax]"])
		}
		return value
	}
	return nil
}

// References to definitions that refer to others twice do not multiply.
func TestManyReferences(t *testing.T) {
	t.Parallel()
	const definitions = 40
	var b strings.Builder
	b.WriteString(`{"$ref":"#/$defs/0","$defs":{`)
	for i := range definitions {
		fmt.Fprintf(&b, `"%d":{"minLength":%d,"allOf":[{"$ref":"#/$defs/%d"},{"$ref":"#/$defs/%d"}]},`, i, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `"%d":{"type":"string"}}}`, definitions)
	got, err := side{root(t, b.String())}.flatten(root(t, b.String()))
	if err != nil || len(got.parts) != definitions+1 {
		t.Errorf("%d parts, %v; want %d", len(got.parts), err, definitions+1)
	}
	if problems, err := Check([]byte(`{"type":"string","minLength":39}`), []byte(b.String()), Full); err != nil ||
		len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func root(t *testing.T, document string) any {
	t.Helper()
	parsed, err := parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
