package schema

import (
	"encoding/json"
	"errors"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
)

type (
	ring       struct{ *ring }
	left       struct{ *right } //nolint:unused // it is embedded for what reflection makes of it
	right      struct{ *left }  //nolint:unused // likewise
	endless    *endless
	pairs      map[string]pairs
	chain      []chain
	aliased    string
	aliasLoop  string
	customized struct{ X int }
	extended   struct {
		X []int `json:"x"`
	}
	replaced struct {
		X []int `json:"x"`
	}
	page[T any] struct {
		Items []T `json:"items"`
	}
	writes struct{ *writes }
	code   uint8
	codes  []code
)

func (aliased) JSONSchemaAlias() any   { return 0 }
func (aliasLoop) JSONSchemaAlias() any { return aliasLoop("") }
func (customized) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: "^x"}
}
func (customized) MarshalJSON() ([]byte, error)        { return []byte(`"x"`), nil }
func (writes) MarshalJSON() ([]byte, error)            { return []byte(`"x"`), nil }
func (writes) JSONSchemaExtend(s *jsonschema.Schema)   { s.Type = "string" }
func (extended) JSONSchemaExtend(s *jsonschema.Schema) { s.Title = "extended" }
func (replaced) JSONSchemaProperty(name string) any    { return map[string]any{"x": ""}[name] }

type (
	plain    struct{ A, B int }
	embedded struct {
		Inner string `json:"inner" jsonschema:"minLength=2"`
		Same  int    `json:"same"`
	}
	node struct {
		Name  string           `json:"name" jsonschema:"minLength=1,maxLength=4"`
		Next  *node            `json:"next"`
		Kids  []node           `json:"kids,omitempty" jsonschema:"maxItems=2"`
		Named map[string]*node `json:"named,omitempty"`
	}
	tags      []string
	shadowing struct {
		Same string `json:"same" jsonschema:"maxLength=2"`
		embedded
		*plain
		A string `json:"B" jsonschema:"minLength=1"`
	}
)

// otherNode returns a second type with the name node.
func otherNode() reflect.Type {
	type node struct {
		Other int `json:"other"`
	}
	return reflect.TypeFor[node]()
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		typ  reflect.Type
		want string // the document less $schema and $id
	}{
		{"field names and required", reflect.TypeFor[struct {
			A string `json:"a"`
			B int    `json:",omitempty"`
			C bool   `json:"c,omitzero"`
			D uint8  `json:"-"`
			e int
			F string `json:"a\\b"` //nolint:staticcheck // encoding/json takes the field's own name where the tag's is no name
		}](), `{"type":"object","properties":{"a":{"type":"string"},"B":{"type":"integer"},"c":{"type":"boolean"},"F":{` +
			`"type":"string"}},"required":["a","F"]}`},
		{"embedded, hidden and indirect fields", reflect.TypeFor[shadowing](), `{"type":"object","properties":{
			"same":{"type":"string","maxLength":2},"inner":{"type":"string","minLength":2},"A":{"type":"integer"},
			"B":{"type":"string","minLength":1}},
			"required":["same","inner","B"]}`},
		{"a nil pointer is null", reflect.TypeFor[struct {
			P *string        `json:"p" jsonschema:"minLength=1"`
			S []*int         `json:"s" jsonschema:"minItems=1"`
			M map[int][]bool `json:"m"`
			E *string        `json:"e" jsonschema:"enum=a"`
			N *string        `json:"n" jsonschema:"nullable"`
			A any            `json:"a"`
		}](), `{"type":"object","properties":{
			"p":{"type":["string","null"],"minLength":1},"s":{"type":"array","items":{"type":["integer","null"]},"minItems":1},
			"m":{"type":"object","additionalProperties":{"type":"array","items":{"type":"boolean"}}},
			"e":{"anyOf":[{"type":"string","enum":["a"]},{"type":"null"}]},"n":{"oneOf":[{"type":"string"},{"type":"null"}]},
			"a":true},
			"required":["p","s","m","e","n","a"]}`},
		{"types with their own JSON", reflect.TypeFor[struct {
			T time.Time       `json:"t"`
			D time.Duration   `json:"d"`
			A netip.Addr      `json:"a" jsonschema:"format=ipv4"`
			B big.Int         `json:"b"`
			N json.Number     `json:"n"`
			R json.RawMessage `json:"r"`
			X []byte          `json:"x"`
			C codes           `json:"c"`
			E error           `json:"e"`
			S int             `json:"s,string"`
			K customized      `json:"k"`
			L aliased         `json:"l"`
			M replaced        `json:"m"`
		}](),
			`{"type":"object","properties":{"t":{"type":"string","format":"date-time"},"d":{"type":"integer"},
			"a":{"type":"string","format":"ipv4"},"b":true,
			"n":{"type":"number"},"r":true,"x":{"type":"string","contentEncoding":"base64"},"c":{"type":"string",
			"contentEncoding":"base64"},
			"e":true,"s":{"type":"string"},"k":{"$ref":"#/$defs/customized"},"l":{"type":"integer"},
			"m":{"$ref":"#/$defs/replaced"}},
			"required":["t","d","a","b","n","r","x","c","e","s","k","l","m"],
			"$defs":{"customized":{"type":"string","pattern":"^x"},"replaced":{"type":"object",
			"properties":{"x":{"type":"string"}},"required":["x"]}}}`},
		{"extended", reflect.TypeFor[extended](), `{"type":"object","title":"extended","properties":{"x":{"type":"array",` +
			`"items":{"type":"integer"}}},"required":["x"]}`},
		{"extended, with its own JSON", reflect.TypeFor[[]writes](), `{"type":"array","items":{"type":"string"}}`},
		{"recursive struct", reflect.TypeFor[*node](), `{"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{
			"name":{"type":"string","minLength":1,"maxLength":4},"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]},
			"kids":{"type":"array","items":{"$ref":"#/$defs/node"},"maxItems":2},
			"named":{"type":"object","additionalProperties":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}}},
			"required":["name","next"]}}}`},
		{"recursive slice", reflect.TypeFor[chain](), `{"$ref":"#/$defs/chain",
			"$defs":{"chain":{"type":"array","items":{"$ref":"#/$defs/chain"}}}}`},
		{"recursive map", reflect.TypeFor[struct {
			P pairs `json:"p"`
		}](), `{"type":"object","properties":{"p":{"$ref":"#/$defs/pairs"}},"required":["p"],
			"$defs":{"pairs":{"type":"object","additionalProperties":{"$ref":"#/$defs/pairs"}}}}`},
		{"embeds itself", reflect.TypeFor[ring](), `{"type":"object"}`},
		{"embed each other", reflect.TypeFor[left](), `{"type":"object"}`},
		{"tags reach a named slice", reflect.TypeFor[struct {
			T tags `json:"t" jsonschema:"minItems=1,minLength=2"`
		}](), `{"type":"object","properties":{"t":{"type":"array","items":{"type":"string","minLength":2},"minItems":1}},` +
			`"required":["t"]}`},
		{"generic type", reflect.TypeFor[struct {
			P page[url.Error] `json:"p,omitempty"`
		}](), `{"type":"object","properties":{"p":{"$ref":"#/$defs/page_url_Error"}},"$defs":{
			"page_url_Error":{"type":"object","properties":{"items":{"type":"array","items":{"$ref":"#/$defs/Error"}}},
			"required":["items"]},
			"Error":{"type":"object","properties":{"Op":{"type":"string"},"URL":{"type":"string"},"Err":true},"required":["Op",
			"URL","Err"]}}}`},
		{"HTML characters as they are", reflect.TypeFor[struct {
			A string `json:"a" jsonschema:"pattern=^<&>$"`
		}](), `{"type":"object","properties":{"a":{"type":"string","pattern":"^<&>$"}},"required":["a"]}`},
		{"no struct", reflect.TypeFor[[2]int](), `{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":2}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := must(t, tt.typ)
			var got, want map[string]any
			if err := json.Unmarshal(s.JSON(), &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
				t.Fatal(err)
			}
			if got["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
				t.Errorf("$schema is %v", got["$schema"])
			}
			delete(got, "$schema")
			delete(got, "$id")
			if p, ok := got["properties"].(map[string]any); ok && len(p) == 0 {
				delete(got, "properties")
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("-want +got\n%s\n%s", d, s.JSON())
			}
			if strings.Contains(string(s.JSON()), `\u00`) {
				t.Errorf("HTML characters are escaped: %s", s.JSON())
			}
			if _, err := encode(s, nil, reflect.Zero(tt.typ).Interface()); err != nil {
				if invalid := (*Invalid)(nil); !errors.As(err, &invalid) {
					t.Errorf("zero value: %v", err)
				}
			}
		})
	}
}

func TestGenerateID(t *testing.T) {
	t.Parallel()
	if doc := string(must(t, reflect.TypeFor[shadowing]()).JSON()); !strings.Contains(doc,
		`"$id":"https://github.com/kafkaesk/kafkaesk/internal/schema/shadowing"`) {
		t.Error(doc)
	}
}

func TestEqualNamesInTwoPlaces(t *testing.T) {
	t.Parallel()
	both := reflect.StructOf([]reflect.StructField{
		{Name: "A", Type: reflect.TypeFor[node]()}, {Name: "B", Type: otherNode()},
		{Name: "C", Type: reflect.TypeFor[time.Time]()},
	})
	s := must(t, both)
	if err := s.Check([]byte(`{"A":{"name":"x","next":null},"B":{"other":1},"C":"2024-02-29T01:02:03Z"}`)); err != nil {
		t.Errorf("%v\n%s", err, s.JSON())
	}
	if err := s.Check([]byte(`{"A":{"other":1},"B":{"other":1},"C":"2024-02-29T01:02:03Z"}`)); err == nil {
		t.Errorf("one definition serves both types: %s", s.JSON())
	}
}

func TestForRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		typ  reflect.Type
		want string
	}{
		{"no type", nil, "no type"},
		{"channel", reflect.TypeFor[struct{ C chan int }](), "unsupported type chan int"},
		{"function", reflect.TypeFor[func()](), "unsupported type func()"},
		{"endless pointer", reflect.TypeFor[struct{ P endless }](), `field "P": type schema.endless leads to itself`},
		{"alias of itself", reflect.TypeFor[[]aliasLoop](), "JSONSchemaAlias"},
		{"limit of another type", reflect.TypeFor[struct {
			N int `json:"n" jsonschema:"minLength=1"`
		}](), `field "n"`},
		{"limit that is no number", reflect.TypeFor[struct {
			S string `json:"s" jsonschema:"maxLength=ten"`
		}](), `jsonschema tag "maxLength=ten": "ten" is no number`},
		{"pattern of another dialect", reflect.TypeFor[struct {
			S string `json:"s" jsonschema:"pattern=^(?=x)"`
		}](), "(?="},
		{"reference out", reflect.TypeFor[struct {
			S any `json:"s" jsonschema:"oneof_ref=https://example.com/x;#/$defs/y"`
		}](), "only references inside the document"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := For(tt.typ)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "schema: ") {
				t.Errorf("got %v, want one with %q", err, tt.want)
			}
		})
	}
}
