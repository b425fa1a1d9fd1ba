package schema

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fieldTypes are the types of the field F of a struct that tests give tags to.
var fieldTypes = map[string]reflect.Type{
	"string": reflect.TypeFor[string](), "int": reflect.TypeFor[int](), "float": reflect.TypeFor[float64](),
	"bool": reflect.TypeFor[bool](), "strings": reflect.TypeFor[[]string](), "ints": reflect.TypeFor[[]int](),
	"bools": reflect.TypeFor[[]bool](), "lists": reflect.TypeFor[[][]string](), "anys": reflect.TypeFor[[]any](),
	"map": reflect.TypeFor[map[string]string](), "any": reflect.TypeFor[any](), "struct": reflect.TypeFor[node](),
	"structs": reflect.TypeFor[[]node](), "pointer": reflect.TypeFor[*string](), "time": reflect.TypeFor[time.Time](),
	"text": reflect.TypeFor[netip.Addr](), "custom": reflect.TypeFor[customized](), "bytes": reflect.TypeFor[[]byte](),
}

// withTag returns a struct whose one field has the type and the whole tag.
func withTag(typ reflect.Type, tag string) reflect.Type {
	return reflect.StructOf([]reflect.StructField{{Name: "F", Type: typ, Tag: reflect.StructTag(tag)}})
}

func TestTagsThatCheckNothingAreErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		typ, tag string
		want     []string // parts of the error
	}{
		// A keyword that nobody knows.
		{"string", "minLenght=3", []string{`"minLenght=3": unknown keyword: did you mean minLength`}},
		{"string", "min=3", []string{"unknown keyword: did you mean ", "minLength"}},
		{"int", "Minimum=3", []string{"did you mean minimum"}},
		{"string", "maxlength=3", []string{"did you mean maxLength"}},
		{"string", "requird", []string{"unknown keyword"}},
		{"string", "gte=3", []string{"a tag can have anchor,", "maxLength", "required, nullable", "JSONSchemaExtend"}},
		{"map", "minProperties=1", []string{"unknown keyword", "JSONSchemaExtend"}},
		{"string", "const=x", []string{"write enum=..."}},
		{"string", "title", []string{"write title=..."}},
		{"string", "required=true", []string{"required has no value: write it alone"}},
		{"strings", "uniqueItems", []string{"write uniqueItems=..."}},
		// A comma.
		{"string", "pattern=^[0-9]+,[0-9]+$", []string{`"[0-9]+$"`, `written \\, as in "pattern=^[0-9]+\\,[0-9]+$"`}},
		{"string", "pattern=^[A-Z]{2,3}$", []string{`"pattern=^[A-Z]{2\\,3}$"`}},
		{"string", "pattern=^a,b,c$,minLength=2", []string{`as in "pattern=^a\\,b\\,c$"`}},
		{"string", "pattern=^a{2,}", []string{`as in "pattern=^a{2\\,}"`}},
		{"string", "pattern=a,", []string{`there is nothing beside a comma`, `as in "pattern=a\\,"`}},
		{"string", "pattern=^(a,required", []string{"no regular expression", `\\,`}},
		{"string", "enum=small,large", []string{"several values are written enum=small,enum=large"}},
		{"string", "description=one, two", []string{`as in "description=one\\, two"`}},
		{"string", "minLength=1,,maxLength=2", []string{"there is nothing beside a comma"}},
		{"string", ",minLength=1", []string{"there is nothing beside a comma"}},
		{"string", `enum=a\,required`, []string{"required behind an escaped comma"}},
		// A space.
		{"string", "minLength=1, maxLength=3", []string{"take out the space beside the keyword maxLength"}},
		{"string", "minLength =1", []string{"take out the space beside the keyword minLength"}},
		{"string", "minLength=1, required", []string{"take out the space beside the keyword required"}},
		{"string", "minLength= 1", []string{`" 1" is no number`}},
		{"float", "minimum= 1", []string{`" 1" is no JSON number`}},
		// A type that cannot have it.
		{"int", "minLength=1", []string{"minLength has no effect on type integer, which can have default, enum,", "minimum"}},
		{"string", "minimum=1", []string{"minimum has no effect on type string"}},
		{"bool", "enum=true", []string{"enum has no effect on type boolean, which can have default"}},
		{"bools", "enum=true", []string{"enum has no effect on type boolean"}},
		{"ints", "pattern=^a$", []string{"pattern has no effect on type integer"}},
		{"ints", "format=email", []string{"format has no effect on type integer"}},
		{"lists", "minLength=1", []string{"minLength has no effect on this type"}},
		{"strings", "minimum=1", []string{"minimum has no effect on type string"}},
		{"map", "minLength=1", []string{"put it on the fields inside"}},
		{"any", "minLength=1", []string{"minLength has no effect on this type"}},
		{"struct", "minLength=1", []string{"put it on the fields inside"}},
		{"structs", "pattern=^a$", []string{"pattern has no effect on this type"}},
		{"custom", "minLength=1", []string{"JSONSchemaExtend"}},
		{"string", "oneof_type=string;integer,minLength=1", []string{"minLength has no effect"}},
		{"string", "type=array,minLength=1", []string{"beside type=array"}},
		{"string", "pattern=^a$,type=array", []string{"beside type=array"}},
		{"strings", "pattern=a=b", []string{"no value with a = in it"}},
		{"strings", "enum=a=b", []string{"no value with a = in it"}},
		// A value that cannot be.
		{"string", "maxLength=ten", []string{`"ten" is no number`}},
		{"string", "maxLength=-1", []string{`"-1" is no number`}},
		{"string", "maxLength=18446744073709551615", []string{"is no number from 0 to 2147483647"}},
		{"strings", "minItems=1.5", []string{`"1.5" is no number`}},
		{"strings", "uniqueItems=false", []string{"it can only be true"}},
		{"string", "readOnly=yes", []string{"it can only be true"}},
		{"float", "minimum=ten", []string{"no JSON number"}},
		{"float", "minimum=+1", []string{"no JSON number"}},
		{"float", "minimum=0x10", []string{"no JSON number"}},
		{"float", "minimum=NaN", []string{"no JSON number"}},
		{"float", "maximum=1e400", []string{"no JSON number that a float64 can hold"}},
		{"float", "minimum=1e-99999999", []string{"nearer to 0"}},
		{"float", "multipleOf=0", []string{"not above 0"}},
		{"int", "multipleOf=-2", []string{"not above 0"}},
		{"int", "enum=1.5", []string{"no whole number"}},
		{"int", "enum=one", []string{"no JSON number"}},
		{"bool", "default=yes", []string{"neither true nor false"}},
		{"string", "pattern=", []string{"it has no value"}},
		{"string", "pattern=^(?=x)", []string{"no regular expression of Go", "(?="}},
		{"string", "format=emial", []string{"unknown format: did you mean email"}},
		{"string", "format=int64", []string{"unknown format: it can be date, date-time,"}},
		{"strings", "format=emial", []string{"unknown format"}},
		{"string", "type=text", []string{`"text" is no JSON type`}},
		{"any", "anyof_type=string;text", []string{`"text" is no JSON type`}},
		{"string", "anchor=1 2", []string{"an anchor is a letter"}},
		{"string", "minLength=1,minLength=2", []string{"minLength twice"}},
		{"string", "enum=\xff", []string{"not in UTF-8"}},
		{"string", "-,minLength=1", []string{"nothing can stand beside it"}},
	} {
		t.Run(tt.typ+" "+tt.tag, func(t *testing.T) {
			t.Parallel()
			_, err := For(withTag(fieldTypes[tt.typ], "json:\"f\" jsonschema:"+strconv.Quote(tt.tag)))
			if err == nil {
				t.Fatal("accepted")
			}
			text := err.Error()
			if !strings.Contains(text, `field "f" of struct {`) {
				t.Errorf("the field is not named: %s", text)
			}
			text = text[max(0, strings.LastIndex(text, "}: ")):] // without the struct, which shows the tag, too
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("%s\nwant in it: %s", text, want)
				}
			}
		})
	}
}

// Some mistakes keep the whole tag from being found.
func TestTagsThatAreNotFoundAreErrors(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]string{
		`json:"f",jsonschema:"minLength=1"`:  `"jsonschema" is not found`,
		`json:"f" jsonschema: "minLength=1"`: `"jsonschema" is not found`,
		`json:"f" jsonshema:"minLength=1"`:   `"jsonshema" is not found`,
		`json:"f" JSONSchema:"minLength=1"`:  `"JSONSchema" is not found`,
		`json:"f" json_schema:"minLength=1"`: `"json_schema" is not found`,
		`json:"f" jsonschema_extras:"x-a=1,b"`: "jsonschema_extras tag \"b\": it wants " +
			"keyword=value",
		`json:"f" jsonschema_extras:"x-a=1, x-b=2"`:                       "without a space",
		`json:"f" jsonschema:"pattern=^a" jsonschema_extras:"pattern=^b"`: "the jsonschema tag has pattern too",
	} {
		if _, err := For(withTag(reflect.TypeFor[string](), tag)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("tag `%s`: %v, want it to say %s", tag, err, want)
		}
	}
}

// A tag of a field that is no property would say nothing, misspelt or not.
func TestTagsOfNoPropertyAreErrors(t *testing.T) {
	t.Parallel()
	type Base struct {
		A string `json:"a" jsonschema:"minLength=1"`
	}
	for want, typ := range map[string]reflect.Type{
		`jsonschema tag "minLength=1": it has no effect on an embedded struct`: reflect.TypeFor[struct {
			Base `jsonschema:"minLength=1"`
		}](),
		`jsonschema tag "requird": it has no effect on an embedded struct`: reflect.TypeFor[struct {
			*Base `jsonschema:"requird"`
		}](),
		`field "_"`: reflect.TypeFor[struct {
			_ struct{} `jsonschema:"additionalProperties=false"`
			A int
		}](),
		`field "b" of`: reflect.TypeFor[[]struct {
			A int
			b int `jsonschema:"minimum=1"`
		}](),
		"": reflect.TypeFor[struct {
			Base `json:"base" jsonschema:"title=the base"`
			B    Base `json:"-" jsonschema:"nothing"`
			c    int
		}](),
	} {
		_, err := For(typ)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", typ, err, want)
		}
	}
}

func TestTagsThatAreRight(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ typ, tag, want string }{
		{"string", `pattern=^[0-9]+\,[0-9]+$`, `"pattern":"^[0-9]+,[0-9]+$"`},
		{"string", "enum=small,enum=large", `"enum":["small","large"]`},
		{"string", `enum=a\,b,enum=`, `"enum":["a,b",""]`},
		{"string", "required,nullable,minLength=2", `"minLength":2`},
		{"string", "pattern=a=b", `"pattern":"a=b"`},
		{"string", "-", `"additionalProperties"`},
		{"string", "", `"type":"string"`},
		{"strings", "minItems=1,uniqueItems=true,minLength=3,pattern=^x", `"pattern":"^x"`},
		{"strings", "default=a,default=b", `"default":["a","b"]`},
		{"anys", "format=email", `"format":"email"`},
		{"ints", "maximum=3,enum=1,enum=2", `"enum":[1,2]`},
		{"pointer", "maxLength=3", `"maxLength":3`},
		{"float", "multipleOf=1e-3,example=1.5", `"multipleOf":1e-3`},
		{"bool", "default=false", `"default":false`},
		{"text", "format=ipv4", `"format":"ipv4"`},
		{"any", "type=string,minLength=1", `"minLength":1`},
		{"any", `description=a\, b,title=c`, `"description":"a, b"`},
		{"bytes", "maxLength=100", `"maxLength":100`},
	} {
		s, err := For(withTag(fieldTypes[tt.typ], "json:\"f\" jsonschema:"+strconv.Quote(tt.tag)))
		if err != nil {
			t.Errorf("%s %q: %v", tt.typ, tt.tag, err)
		} else if tt.tag != "-" && !strings.Contains(string(s.JSON()), tt.want) {
			t.Errorf("%s %q: %s\nwant in it: %s", tt.typ, tt.tag, s.JSON(), tt.want)
		}
	}
}

// FuzzTags proves that no tag panics, and that each constraint of one that is accepted is in the schema.
func FuzzTags(f *testing.F) {
	names := make([]string, 0, len(fieldTypes))
	for name := range fieldTypes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, seed := range []string{
		"minLength=1,maxLength=3", `pattern=^a\,b$`, "required,nullable", "enum=a,enum=b", "minimum=-1.5,multipleOf=0.1", "-",
		"minItems=1,uniqueItems=true,format=email", "default=true", "oneof_type=string;integer", "anyof_ref=#/$defs/x",
		"oneof_required=a,anyof_required=b", "type=array,minItems=1", "anchor=a,title=b,description=c,readOnly=true",
		"enum=1,example=2",
	} {
		for i := range names {
			f.Add(seed, uint8(i), false)
		}
	}
	f.Fuzz(func(t *testing.T, tag string, pick uint8, quoted bool) {
		name := names[int(pick)%len(names)]
		option := ""
		if quoted {
			option = ",string"
		}
		s, err := For(withTag(fieldTypes[name], "json:\"f"+option+"\" jsonschema:"+strconv.Quote(tag)))
		if err != nil {
			// A reference is only seen to lead nowhere when the document is compiled.
			if !strings.Contains(err.Error(), `field "f"`) && !strings.Contains(tag, "_ref=") {
				t.Fatalf("%s %q: the error does not name the field: %v", name, tag, err)
			}
			if strings.Contains(err.Error(), "runtime error") {
				t.Fatalf("%s %q: %v", name, tag, err)
			}
			return
		}
		var doc map[string]any
		if err := json.Unmarshal(s.JSON(), &doc); err != nil {
			t.Fatal(err)
		}
		if tag == "-" {
			return
		}
		for _, part := range splitTag(tag) {
			keyword, value, _ := strings.Cut(part, "=")
			if !inSchema(doc, keyword, value) {
				t.Fatalf("%s %q: %q is not in the schema %s", name, tag, part, s.JSON())
			}
		}
	})
}

var refKeyword = regexp.MustCompile(`^(one|any)of_(type|ref|required)$`)

// inSchema looks for a keyword of a tag anywhere in a schema.
func inSchema(doc any, keyword, value string) bool {
	switch doc := doc.(type) {
	case []any:
		return slices.ContainsFunc(doc, func(item any) bool { return inSchema(item, keyword, value) })
	case map[string]any:
		for key, item := range doc {
			if key == keyword && holds(item, value) || inSchema(item, keyword, value) {
				return true
			}
		}
		switch m := refKeyword.FindStringSubmatch(keyword); {
		case keyword == "required":
			required, _ := doc["required"].([]any)
			return slices.Contains(required, any("f"))
		case keyword == "nullable":
			either, _ := doc["oneOf"].([]any)
			return len(either) == 2 && reflect.DeepEqual(either[1], map[string]any{"type": "null"})
		case keyword == "anchor":
			return doc["$anchor"] == value
		case keyword == "example":
			return holds(doc["examples"], value)
		case m != nil && m[2] == "required":
			options, _ := doc[m[1]+"Of"].([]any)
			return slices.ContainsFunc(options, func(o any) bool { return o.(map[string]any)["title"] == value })
		case m != nil:
			options, _ := doc[m[1]+"Of"].([]any)
			for name := range strings.SplitSeq(value, ";") {
				key := map[string]string{"type": "type", "ref": "$ref"}[m[2]]
				if !slices.ContainsFunc(options, func(o any) bool { return o.(map[string]any)[key] == name }) {
					return false
				}
			}
			return true
		}
	}
	return false
}

// holds reports whether a keyword's value in the schema, or one of several, is what the tag says.
func holds(item any, value string) bool {
	switch item := item.(type) {
	case []any:
		return slices.ContainsFunc(item, func(i any) bool { return holds(i, value) })
	case string:
		return item == value
	case float64:
		f, err := strconv.ParseFloat(value, 64)
		return err == nil && f == item
	case bool:
		return strconv.FormatBool(item) == value
	}
	return false
}
