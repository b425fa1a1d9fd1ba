package rule

import (
	"encoding/json"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// Compile returns the rule of a schema that v5 has compiled. The document is the decoded JSON of the schema, numbers as
// json.Number.
func Compile(s *jsonschema.Schema, document any) *Rule {
	c := compiler{document: document, known: map[*jsonschema.Schema]*Rule{}}
	// what they mean depends on all schemas around them
	if hasKey(document, "$dynamicRef") || hasKey(document, "$recursiveRef") {
		return &Rule{Delegated: "$dynamicRef", schema: s, doc: document, document: document}
	}
	return c.rule(s)
}

// hasKey reports whether a key is anywhere in a decoded document.
func hasKey(doc any, key string) bool {
	switch doc := doc.(type) {
	case []any:
		return slices.ContainsFunc(doc, func(item any) bool { return hasKey(item, key) })
	case map[string]any:
		for name, value := range doc {
			if name == key || hasKey(value, key) {
				return true
			}
		}
	}
	return false
}

type compiler struct {
	document any
	known    map[*jsonschema.Schema]*Rule
}

// rule returns nil for a schema that allows everything.
func (c *compiler) rule(s *jsonschema.Schema) *Rule {
	if s == nil || allowsAll(s) {
		return nil
	}
	if known, ok := c.known[s]; ok {
		return known
	}
	r := &Rule{schema: s, document: c.document}
	c.known[s] = r
	_, pointer, _ := strings.Cut(s.Location, "#")
	r.doc, _, _, _ = lookup(c.document, pointer)
	if r.Never = s.Always != nil && !*s.Always; r.Never {
		return r
	}
	for _, name := range s.Types {
		r.Types |= types[name]
	}
	if r.Delegated = delegatedKeyword(s); r.Delegated != "" {
		return r
	}
	r.Choices = slices.Concat(choices("enum", s.Enum), choices("const", s.Constant))
	r.Format, r.FormatName = jsonschema.Formats[s.Format], s.Format
	r.MinProperties, r.MaxProperties, r.Required = s.MinProperties, s.MaxProperties, s.Required
	r.MinItems, r.MaxItems, r.Unique, r.Items = s.MinItems, s.MaxItems, s.UniqueItems, c.rule(s.Items2020)
	r.MinLength, r.MaxLength, r.Pattern = s.MinLength, s.MaxLength, NewPattern(s.Pattern)
	r.Minimum, r.ExclusiveMinimum = limitOf(s.Minimum), limitOf(s.ExclusiveMinimum)
	r.Maximum, r.ExclusiveMaximum = limitOf(s.Maximum), limitOf(s.ExclusiveMaximum)
	r.MultipleOf = s.MultipleOf
	c.object(r, s)
	r.Ref = c.rule(s.Ref)
	if other := unlessNull(s); other != nil {
		r.Otherwise = c.rule(other)
		r.NullTwice = s.OneOf != nil && other.Validate(nil) == nil
	}
	return r
}

func (c *compiler) object(r *Rule, s *jsonschema.Schema) {
	switch extra := s.AdditionalProperties.(type) {
	case *jsonschema.Schema:
		r.Additional = c.rule(extra)
	case bool:
		if !extra {
			r.Additional = &Rule{Never: true}
		}
	}
	r.Properties = make(map[string]*Property, len(s.Properties))
	r.folded = make(map[string]string, len(s.Properties))
	for name, property := range s.Properties {
		r.Properties[name] = &Property{index: len(r.Properties), Rule: c.rule(property)}
		r.folded[fold(name)] = name
	}
	for _, name := range s.Required { // a property that is only required is looked for like the declared ones
		if r.Properties[name] == nil {
			r.Properties[name] = &Property{index: len(r.Properties), Rule: r.Additional, extra: true}
		}
	}
}

// lookedFor reports whether the members of objects matter.
func (r *Rule) lookedFor() bool {
	return len(r.Properties) > 0 || len(r.Required) > 0 || r.Additional != nil || r.MinProperties >= 0 ||
		r.MaxProperties >= 0
}

func choices(keyword string, list []any) []Choice {
	if len(list) == 0 {
		return nil
	}
	values := make(map[string]bool, len(list))
	for _, item := range list {
		text, _ := json.Marshal(item) // it comes from JSON
		canonical, _ := rawjson.AppendCanonical(nil, text, 0)
		values[string(canonical)] = true
	}
	return []Choice{{keyword, values}}
}

// limitOf returns a limit as the decimal that it was in the document.
func limitOf(r *big.Rat) *Limit {
	if r == nil {
		return nil
	}
	digits, _ := r.FloatPrec()
	return &Limit{Decimal: rawjson.ParseDecimal([]byte(r.FloatString(digits))), Rat: r}
}

// plain are the fields of a v5 schema that are checked here, or that check nothing.
var plain = []string{"Location", "Draft", "Format", "Always", "Ref", "RecursiveAnchor", "DynamicAnchor", "Types",
	"Constant", "Enum",
	"MinProperties", "MaxProperties", "Required", "Properties", "AdditionalProperties", "MinItems", "MaxItems",
	"UniqueItems", "Items2020",
	"ContainsEval", "MinContains", "MaxContains", "MinLength", "MaxLength", "Pattern", "ContentEncoding",
	"ContentMediaType", "ContentSchema",
	"Minimum", "ExclusiveMinimum", "Maximum", "ExclusiveMaximum", "MultipleOf", "Title", "Description", "Default",
	"Comment", "ReadOnly",
	"WriteOnly", "Examples", "Deprecated"}

// delegatedKeyword returns the keyword that v5 has to check, "" if there is none. It compares all fields of v5's
// Schema, so that no keyword is forgotten.
func delegatedKeyword(s *jsonschema.Schema) string {
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case !f.IsExported() || v.Field(i).IsZero() || slices.Contains(plain, f.Name):
		case (f.Name == "AnyOf" || f.Name == "OneOf") && unlessNull(s) != nil:
		default:
			return strings.ToLower(f.Name[:1]) + f.Name[1:]
		}
	}
	if s.Draft == jsonschema.Draft7 && (s.ContentEncoding != "" || s.ContentMediaType != "") {
		return "contentEncoding" // a constraint in that draft only
	}
	children := len(s.Properties) > 0 || s.AdditionalProperties != nil && s.AdditionalProperties != true ||
		s.Items2020 != nil
	if children && (s.Ref != nil || len(s.AnyOf)+len(s.OneOf) > 0) {
		// to follow both would look at what is inside twice, and at what is inside that four times
		return "$ref beside properties or items"
	}
	return ""
}

// allowsAll reports whether every JSON value keeps the schema.
func allowsAll(s *jsonschema.Schema) bool {
	for range 100 {
		switch {
		case s.Always != nil:
			return *s.Always
		case delegatedKeyword(s) != "" || s.OneOf != nil || s.AnyOf != nil:
			return false
		}
		other := *s
		other.Ref = nil
		if constrains(&other) {
			return false
		}
		if s.Ref == nil {
			return true
		}
		s = s.Ref
	}
	return false
}

func constrains(s *jsonschema.Schema) bool {
	return len(s.Types)+len(s.Enum)+len(s.Constant)+len(s.Required)+len(s.Properties) > 0 ||
		jsonschema.Formats[s.Format] != nil ||
		s.MinProperties != -1 || s.MaxProperties != -1 || s.AdditionalProperties != nil && s.AdditionalProperties != true ||
		s.MinItems != -1 || s.MaxItems != -1 || s.UniqueItems || s.Items2020 != nil || s.MinLength != -1 ||
		s.MaxLength != -1 || s.Pattern != nil ||
		s.Minimum != nil || s.ExclusiveMinimum != nil || s.Maximum != nil || s.ExclusiveMaximum != nil || s.MultipleOf != nil
}

// unlessNull returns A for {"anyOf": [A, {"type": "null"}]} or the same with oneOf: for a value that is not null only A
// counts.
func unlessNull(s *jsonschema.Schema) *jsonschema.Schema {
	choice := s.AnyOf
	if choice == nil {
		choice = s.OneOf
	} else if s.OneOf != nil {
		return nil
	}
	if len(choice) != 2 {
		return nil
	}
	for i, c := range choice {
		if !slices.Equal(c.Types, []string{"null"}) || delegatedKeyword(c) != "" || c.Ref != nil {
			continue
		}
		untyped := *c
		untyped.Types = nil
		if !constrains(&untyped) && choice[1-i] != c {
			return choice[1-i]
		}
	}
	return nil
}
