package rule_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"pgregory.net/rapid"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
	"github.com/kafkaesk/kafkaesk/internal/schema/rule"
	"github.com/kafkaesk/kafkaesk/internal/testkit/property"
)

func decoded(data []byte) (v any) {
	in := json.NewDecoder(bytes.NewReader(data))
	in.UseNumber()
	if err := in.Decode(&v); err != nil {
		panic(err)
	}
	return v
}

// compiled returns v5's schema of a document, nil if it is none, and ours.
func compiled(doc []byte) (*jsonschema.Schema, *rule.Rule) {
	c := jsonschema.NewCompiler()
	c.Draft, c.AssertFormat = jsonschema.Draft2020, true
	if c.AddResource("schema:///x", bytes.NewReader(doc)) != nil {
		return nil, nil
	}
	s, err := c.Compile("schema:///x")
	if err != nil {
		return nil, nil
	}
	return s, rule.Compile(s, decoded(doc))
}

// agrees holds the verdict on a value against v5's.
func agrees(t interface{ Fatalf(string, ...any) }, s *jsonschema.Schema, r *rule.Rule, doc, value []byte) {
	want := s.Validate(decoded(value)) == nil
	got := r.Check(value, false)
	if (len(got) == 0) != want || r.Accepts(value) != want {
		t.Fatalf("schema %s\nvalue  %s\nv5: %v, ours: %v, %v", doc, value, want, r.Accepts(value), got)
	}
}

// documents draws schema documents of all keywords that are checked here, and some that v5 checks.
func documents(depth int) *rapid.Generator[map[string]any] {
	number := rapid.SampledFrom([]json.Number{"0", "1", "2", "-1.5", "2.5", "1e2", "0.1", "1e-2", "300"})
	count := rapid.IntRange(0, 3)
	value := rapid.SampledFrom([]any{nil, true, "a", "ab", json.Number("1"), json.Number("1.0"), json.Number("2e0"),
		[]any{}, []any{json.Number("1")},
		map[string]any{}, map[string]any{"a": json.Number("1"), "b": "a"}})
	name := rapid.SampledFrom([]string{"a", "b", "ü", "a/b"})
	return rapid.Custom(func(t *rapid.T) map[string]any {
		doc := map[string]any{}
		keywords := []string{"type", "type", "enum", "const", "format", "minLength", "maxLength", "pattern", "minimum",
			"maximum", "exclusiveMinimum",
			"exclusiveMaximum", "multipleOf", "minItems", "maxItems", "uniqueItems", "minProperties",
			"maxProperties", "required"}
		if depth < 2 {
			keywords = append(keywords, "properties", "properties", "items", "additionalProperties", "anyOf null", "oneOf null",
				"$ref", "not", "allOf", "contains",
				"patternProperties", "prefixItems", "if")
		}
		inner := func() map[string]any { return documents(depth+1).Draw(t, "inner") }
		for range rapid.IntRange(0, 3).Draw(t, "keywords") {
			switch k := rapid.SampledFrom(keywords).Draw(t, "keyword"); k {
			case "type":
				doc[k] = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"null", "boolean", "integer", "number", "string",
					"array", "object"}), 1, 3, rapid.ID[string]).Draw(t, "types")
			case "enum":
				doc[k] = []any{value.Draw(t, "value"), "zz" + rapid.SampledFrom([]string{"a", "b"}).Draw(t, "value")}
			case "const":
				doc[k] = value.Draw(t, "value")
			case "format":
				doc[k] = rapid.SampledFrom([]string{"ipv4", "date", "none", "regex"}).Draw(t, "format")
			case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties":
				doc[k] = count.Draw(t, "count")
			case "pattern":
				doc[k] = rapid.SampledFrom([]string{"^a", "b$", "^[a-c]{1,3}$", "ü", "^$", "a|^b", "\\bx"}).Draw(t, "pattern")
			case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
				doc[k] = number.Draw(t, "number")
			case "multipleOf":
				doc[k] = rapid.SampledFrom([]json.Number{"1", "2", "0.1", "1.5", "1e-3", "300"}).Draw(t, "step")
			case "uniqueItems":
				doc[k] = true
			case "required":
				doc[k] = rapid.SliceOfNDistinct(name, 1, 2, rapid.ID[string]).Draw(t, "names")
			case "properties":
				doc[k] = map[string]any{name.Draw(t, "name"): inner(), name.Draw(t, "name"): inner()}
			case "items":
				doc[k] = inner()
			case "additionalProperties":
				doc[k] = any(inner())
				if rapid.Bool().Draw(t, "never") {
					doc[k] = false
				}
			case "anyOf null":
				doc["anyOf"] = []any{inner(), map[string]any{"type": "null"}}
			case "oneOf null":
				doc["oneOf"] = []any{map[string]any{"type": "null"}, inner()}
			case "$ref":
				doc[k] = "#/$defs/d"
			case "not", "contains", "if":
				doc[k] = inner()
				if k == "if" {
					doc["then"] = inner()
				}
			case "allOf", "prefixItems":
				doc[k] = []any{inner()}
			case "patternProperties":
				doc[k] = map[string]any{"^a": inner()}
			}
		}
		if depth == 0 {
			doc["$defs"] = map[string]any{"d": documents(2).Draw(t, "definition")}
		}
		return doc
	})
}

// instances draws JSON values in any notation, near what the documents ask for.
func instances(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		kinds := []string{"number", "text", "word"}
		if depth < 3 {
			kinds = append(kinds, "array", "object", "object")
		}
		switch rapid.SampledFrom(kinds).Draw(t, "kind") {
		case "number":
			return rapid.SampledFrom([]string{"0", "-0.0", "1", "1.0", "2e0", "20E-1", "-1.5", "2.50", "1e2", "100", "300",
				"3e2", "0.1", "0.10", "1e-2", "1e30", "0.3",
				"123456789012345678901234567890", "1e300", "-1e300"}).Draw(t, "number")
		case "text":
			return rapid.SampledFrom([]string{`""`, `"a"`, `"\u0061"`, `"ab"`, `"abc"`, `"ü"`, `"\u00fc"`, `"b` + "\xff" + `"`,
				`"1.2.3.4"`, `"2024-02-29"`, `"zza"`, `"x"`, `"("`}).Draw(t, "text")
		case "word":
			return rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "word")
		case "array":
			return "[" + strings.Join(rapid.SliceOfN(instances(depth+1), 0, 4).Draw(t, "items"), " ,") + "]"
		}
		keys := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{`"a"`, `"b"`, `"ü"`, `"a/b"`, `"c"`, `"\u0064"`}), 0, 4,
			rapid.ID[string]).Draw(t, "keys")
		for i, key := range keys {
			if key == `"a"` && rapid.Bool().Draw(t, "escaped") {
				key = `"\u0061"`
			}
			keys[i] = key + ": " + instances(depth+1).Draw(t, "value")
		}
		return "{" + strings.Join(keys, ",") + "}"
	})
}

func verdicts(t *rapid.T) {
	doc, err := json.Marshal(documents(0).Draw(t, "schema"))
	if err != nil {
		t.Fatal(err)
	}
	s, r := compiled(doc)
	if s == nil {
		t.Skip("no schema")
	}
	for range 8 {
		agrees(t, s, r, doc, []byte(instances(0).Draw(t, "value")))
	}
}

func TestVerdictIsThatOfV5(t *testing.T) {
	t.Parallel()
	rapid.Check(t, verdicts)
}

// FuzzVerdict gives the same generators to the fuzzer.
func FuzzVerdict(f *testing.F) { property.Fuzz(f, verdicts) }

// FuzzValue holds one schema of many keywords against v5, for any value.
func FuzzValue(f *testing.F) {
	doc := []byte(`{"type":["object","array","string","number","null"],"properties":{"s":{"type":"string","minLength":1,
	"maxLength":5,"pattern":"^[a-z]*$"},
		"n":{"type":"integer","minimum":-3,"exclusiveMaximum":1000,"multipleOf":3},"f":{"multipleOf":0.01,"maximum":1e3},
		"u":{"type":"array","uniqueItems":true,"maxItems":5,"items":{"type":["number","string","array","object"]}},
		"m":{"type":"object","additionalProperties":{"$ref":"#/$defs/e"},"minProperties":1},"c":{"anyOf":[{"$ref":"#"},
		{"type":"null"}]},
		"x":{"not":{"const":[1,{"a":2}]}}},"required":["s"],"additionalProperties":{"enum":[1,"a",null,{"b":[1]}]},
		"$defs":{"e":{"enum":["a",1e1,{"a":1,"b":2}]}}}`)
	s, r := compiled(doc)
	for _, seed := range []string{`{"s":"a"}`, `{"s":"abcdef","n":3.0,"f":0.07,"u":[1,1.0,"a",[1e0],[1]],"c":{"s":""},` +
		`"x":[1,{"a":2}],"more":{"b":[1.0]}}`,
		`{"s":"\ud83d\ude00","m":{"a":10,"b":{"b":2,"a":1}},"c":null}`, `[]`, `"a"`, `{"n":1e400,"s":"` + "\xff" + `"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		value = bytes.TrimSpace(value)
		if !json.Valid(value) || len(value) > 1000 || twice(value) || regexp.MustCompile(`[eE][-+]?[0-9]{4}`).Match(value) {
			return // v5 needs too long, or counts the last of two
		}
		agrees(t, s, r, doc, value)
	})
}

// twice reports whether a key comes twice in an object.
func twice(value []byte) bool {
	found := false
	var walk func(b []byte)
	walk = func(b []byte) {
		switch b[0] {
		case '[':
			rawjson.Elements(b, func(e []byte) bool { walk(e); return !found })
		case '{':
			seen := map[string]bool{}
			rawjson.Members(b, func(key, v []byte) bool {
				found = found || seen[rawjson.Unquote(key)]
				seen[rawjson.Unquote(key)] = true
				walk(v)
				return !found
			})
		}
	}
	walk(value)
	return found
}

func FuzzPattern(f *testing.F) {
	for _, seed := range [][2]string{{"^[a-z]+$", "abc"}, {"a|^b", "ab"}, {"(?i)k", "K"}, {"x*", ""}, {"^$|a$", "ba"},
		{"[^a]", "\xff"}, {"(a?){20}a{20}$", "aaa"}, {"\\d{3}-\\w", "123-x"},
		{"^(?:[a-f0-9]{8}-){3}$", "0123abcd-"}, {"(?s).$", "a\n"}, {"(?m)^a$", "b\na"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, expression, text string) {
		re, err := regexp.Compile(expression)
		if err != nil || len(expression) > 100 {
			return
		}
		if got, want := rule.NewPattern(re).Matches(text), re.MatchString(text); got != want {
			t.Errorf("%q matches %q: %v, want %v", expression, text, got, want)
		}
	})
}

func TestSimplePatternsAreTables(t *testing.T) {
	t.Parallel()
	for _, expression := range []string{"^[a-z]+$", "^[A-Z]{2}[0-9]{4,8}$", "a|b", "^(?:[a-f0-9]{8}-){3}$", "^\\w+@\\w+$",
		"(?i)abc", "x$"} {
		if !rule.NewPattern(regexp.MustCompile(expression)).Simple() {
			t.Errorf("%s is no table", expression)
		}
	}
}

func FuzzDecimal(f *testing.F) {
	f.Add("1.50", "15e-1")
	f.Add("-0.0", "0")
	f.Add("1e3", "999.99")
	f.Add("-12", "-1.2e1")
	f.Fuzz(func(t *testing.T, a, b string) {
		number := regexp.MustCompile(`^-?(0|[1-9][0-9]{0,50})(\.[0-9]{1,50})?([eE][-+]?[0-9]{1,2})?$`)
		if !number.MatchString(a) || !number.MatchString(b) {
			return
		}
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		m, n := rawjson.ParseDecimal([]byte(a)), rawjson.ParseDecimal([]byte(b))
		if got, want := m.Compare(n), x.Cmp(y); got != want {
			t.Errorf("%s and %s compare as %d, want %d", a, b, got, want)
		}
		if m.IsInteger() != x.IsInt() || (string(m.Append(nil)) == string(n.Append(nil))) != (x.Cmp(y) == 0) {
			t.Errorf("%s is %s, and %s is %s", a, m.Append(nil), b, n.Append(nil))
		}
	})
}
