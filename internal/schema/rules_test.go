package schema

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFromJSONRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, doc, want string }{
		{"no JSON", `{`, "is no JSON"},
		{"two values", `{} {}`, "more than one value"},
		{"no schema", `[]`, "must be a JSON object, true or false"},
		{"wrong keyword", `{"type":"text"}`, `"/type"`},
		{"network", `{"$ref":"https://example.com/a.json"}`, "https://example.com/a.json: only references inside"},
		{"file", `{"properties":{"a":{"$ref":"file:///etc/passwd"}}}`, "only references inside"},
		{"relative", `{"$ref":"other.json"}`, "only references inside"},
		{"unknown draft", `{"$schema":"https://example.com/draft"}`, "only references inside"},
		{"dangling", `{"$ref":"#/$defs/x"}`, "not found"},
		{"endless", `{"$ref":"#"}`, "infinite loop"},
		{"pattern", `{"pattern":"(?!x)"}`, "(?!"},
		{"a letter too few", `{"propertes":{}}`, `at "#" has an unknown keyword "propertes": did you mean properties`},
		{"letters swapped", `{"properties":{"a":{"maxLenght":1}}}`, `at "#/properties/a" has an unknown keyword "maxLenght"`},
		{"another case", `{"anyOf":[true,{"minlength":1}]}`, `at "#/anyOf/1" has an unknown keyword "minlength"`},
		{"in items", `{"items":{"formatt":"date"}}`, `at "#/items"`},
		{"in definitions", `{"$defs":{"d":{"not":{"requierd":["a"]}}}}`, `at "#/$defs/d/not"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := FromJSON(nil, []byte(tt.doc))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want one with %q", err, tt.want)
			}
		})
	}
}

// A keyword of a document's own is none that is misspelt, and neither is what stands where no schema is.
func TestFromJSONTakesKeywordsOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{
		`{"x-order":1,"id":"a","example":1,"nullable":true,"discriminator":{"mapping":{}},"unit":"m","min":1,"index":true}`,
		`{"properties":{"maxLenght":{"type":"integer"},"propertes":true}}`,
		`{"enum":[{"propertes":1}],"const":{"propertes":1},"default":{"propertes":1},"examples":[{"propertes":1}]}`,
		`{"x-ui":{"propertes":1}}`,
		`{"$schema":"http://json-schema.org/draft-07/schema#","dependencies":{"a":["b"],"c":{"type":"object"}}}`,
	} {
		if _, err := FromJSON(nil, []byte(doc)); err != nil {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

func TestFromJSON(t *testing.T) {
	t.Parallel()
	doc := []byte(`{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"name":{"type":"string",` +
		`"minLength":2}},"required":["name"]}`)
	typ := reflect.TypeFor[struct {
		Name string `json:"name"`
	}]()
	for _, given := range []reflect.Type{nil, typ} {
		s, err := FromJSON(given, doc)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Slow()) > 0 {
			t.Errorf("type %v: slow: %v", given, s.Slow())
		}
		for name, valid := range map[string]bool{"ada": true, "a": false} {
			v := reflect.New(typ).Elem()
			v.Field(0).SetString(name)
			if _, err := encode(s, nil, v.Interface()); (err == nil) != valid {
				t.Errorf("type %v, %q: %v", given, name, err)
			}
		}
		if string(s.JSON()) != string(doc) {
			t.Errorf("the document is changed: %s", s.JSON())
		}
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	const doc = `{"type":"object","required":["a","user"],"properties":{
		"user":{"type":"object","properties":{"name":{"minLength":3},"a/b~c d":{"type":["integer","null"]}}},
		"tags":{"maxItems":2,"uniqueItems":true,"items":{"pattern":"^[a-z]+$"}},
		"mail":{"format":"email"},"kind":{"enum":["a",1,null]},"n":{"minimum":0,"exclusiveMaximum":10,"multipleOf":2},
		"maybe":{"anyOf":[{"$ref":"#/$defs/short"},{"type":"null"}]},"not":{"not":{"const":1}},"never":false,
		"c":{"const":{"x":1}}},
		"$defs":{"short":{"type":"string","maxLength":2}}}`
	s, err := FromJSON(nil, []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("Ä", 1000)
	for _, tt := range []struct {
		name, value string
		want        []string
		path        []string // of the first
	}{
		{"root", `[]`, []string{`type: must be object, is array`}, nil},
		{"missing", `{}`, []string{`a: required: is missing`, `user: required: is missing`}, []string{"a"}},
		{"length", `{"a":1,"user":{"name":"äö"}}`, []string{`user.name: minLength: must be at least 3 characters, is 2`},
			[]string{"user", "name"}},
		{"escaped name", `{"a":1,"user":{"a/b~c d":"x"}}`, []string{`user.a/b~c d: type: must be integer or null, is string`},
			[]string{"user", "a/b~c d"}},
		{"items", `{"a":1,"user":{},"tags":["x","X","x"]}`, []string{`tags: maxItems: must have at most 2 items, has 3`,
			`tags: uniqueItems: items at index 0 and 2 are equal`, `tags[1]: pattern: must match ^[a-z]+$, is "X"`},
			[]string{"tags"}},
		{"format", `{"a":1,"user":{},"mail":"x"}`, []string{`mail: format: must be a valid email, is "x"`}, []string{"mail"}},
		{"enum", `{"a":1,"user":{},"kind":"b"}`, []string{`kind: enum: must be one of "a", 1, null, is "b"`},
			[]string{"kind"}},
		{"numbers", `{"a":1,"user":{},"n":-1}`, []string{`n: minimum: must be at least 0, is -1`,
			`n: multipleOf: must be a multiple of 2, is -1`}, []string{"n"}},
		{"exclusive", `{"a":1,"user":{},"n":10}`, []string{`n: exclusiveMaximum: must be less than 10, is 10`},
			[]string{"n"}},
		{"null or short", `{"a":1,"user":{},"maybe":"abc"}`, []string{`maybe: maxLength: must be at most 2 characters, is 3`},
			[]string{"maybe"}},
		{"not", `{"a":1,"user":{},"not":1}`, []string{`not: not: not failed`}, []string{"not"}},
		{"false", `{"a":1,"user":{},"never":1}`, []string{`never: is not allowed`}, []string{"never"}},
		{"const", `{"a":1,"user":{},"c":[1,2]}`, []string{`c: const: must be an object of 1, is an array of 2`},
			[]string{"c"}},
		{"number too large", `{"a":1,"user":{},"n":1e10000000}`, []string{`n: exclusiveMaximum: must be less than 10, is ` +
			`1e10000000`}, []string{"n"}},
		{"long value", `{"a":1,"user":{},"mail":"` + long + `"}`, []string{`mail: format: must be a valid email, is "` +
			strings.Repeat("Ä", 60) + `..."`}, []string{"mail"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var invalid *Invalid
			if err := s.Check([]byte(tt.value)); !errors.As(err, &invalid) {
				t.Fatalf("got %v, want *Invalid", err)
			}
			var got []string
			for _, v := range invalid.Violations {
				got = append(got, v.String())
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			if d := cmp.Diff(tt.path, invalid.Violations[0].Path); d != "" {
				t.Errorf("path: -want +got\n%s", d)
			}
			if len(invalid.Error()) > 600 {
				t.Errorf("the message has %d bytes", len(invalid.Error()))
			}
		})
	}
}

func TestInvalidError(t *testing.T) {
	t.Parallel()
	e := &Invalid{[]Violation{
		{Field: "user.name", Keyword: "minLength", Text: "must be at least 3 characters, is 2"}, {Text: "is odd"},
		{Field: "a", Text: "x"}, {}, {},
	}}
	if got, want := e.Error(), `field "user.name": minLength: must be at least 3 characters, is 2; is odd; field "a": `+
		`x; and 2 more`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestSameViolations: a value says the same whether Go or JSON came in.
func TestSameViolations(t *testing.T) {
	t.Parallel()
	s := must(t, reflect.TypeFor[order]())
	o := anOrder()
	o.Count, o.Status = 0, "lost"
	data, err := encode(s, []byte("x"), o)
	if err == nil || string(data[:2]) != "x{" {
		t.Fatalf("%s, %v: want the JSON and an error", data, err)
	}
	if d := cmp.Diff(s.Check(data[1:]).Error(), err.Error()); d != "" {
		t.Error(d)
	}
	var broken *Invalid
	if err := s.Check([]byte(`{"a":`)); err == nil || errors.As(err, &broken) {
		t.Errorf("got %v, want an error that is not *Invalid", err)
	}
}
