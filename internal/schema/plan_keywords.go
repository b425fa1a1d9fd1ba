package schema

import (
	"reflect"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// What a schema node says, as far as the plan must know it.

// keywords lists the constraints of one schema node.
func keywords(s *jsonschema.Schema) []string {
	var out []string
	note := func(keyword string, there bool) {
		if there {
			out = append(out, keyword)
		}
	}
	note("false", s.Always != nil && !*s.Always)
	note("type", len(s.Types) > 0)
	note("enum", len(s.Enum) > 0)
	note("const", len(s.Constant) > 0)
	note("format", formatOf(s) != nil)
	note("$ref", s.Ref != nil)
	note("$recursiveRef", s.RecursiveRef != nil)
	note("$dynamicRef", s.DynamicRef != nil)
	note("not", s.Not != nil)
	note("allOf", len(s.AllOf) > 0)
	note("anyOf", len(s.AnyOf) > 0)
	note("oneOf", len(s.OneOf) > 0)
	note("if", s.If != nil)
	note("minProperties", s.MinProperties != -1)
	note("maxProperties", s.MaxProperties != -1)
	note("required", len(s.Required) > 0)
	note("properties", len(s.Properties) > 0)
	note("propertyNames", s.PropertyNames != nil || s.RegexProperties)
	note("patternProperties", len(s.PatternProperties) > 0)
	note("additionalProperties", s.AdditionalProperties != nil && s.AdditionalProperties != true)
	note("dependencies", len(s.Dependencies) > 0)
	note("dependentRequired", len(s.DependentRequired) > 0)
	note("dependentSchemas", len(s.DependentSchemas) > 0)
	note("unevaluatedProperties", s.UnevaluatedProperties != nil)
	note("minItems", s.MinItems != -1)
	note("maxItems", s.MaxItems != -1)
	note("uniqueItems", s.UniqueItems)
	note("items", s.Items2020 != nil)
	note("items (before draft 2020-12)", s.Items != nil || s.AdditionalItems != nil)
	note("prefixItems", len(s.PrefixItems) > 0)
	note("contains", s.Contains != nil)
	note("unevaluatedItems", s.UnevaluatedItems != nil)
	note("minLength", s.MinLength != -1)
	note("maxLength", s.MaxLength != -1)
	note("pattern", s.Pattern != nil)
	note("contentEncoding", s.Draft != nil && contentChecked(s))
	note("minimum", s.Minimum != nil)
	note("maximum", s.Maximum != nil)
	note("exclusiveMinimum", s.ExclusiveMinimum != nil)
	note("exclusiveMaximum", s.ExclusiveMaximum != nil)
	note("multipleOf", s.MultipleOf != nil)
	return out
}

// known are the keywords that the plan can prove, for the kinds that it knows. anyOf and oneOf are where they only add null.
var known = []string{"type", "enum", "const", "format", "$ref", "required", "properties", "additionalProperties", "minItems",
	"maxItems", "uniqueItems", "items", "minLength", "maxLength", "pattern", "minimum", "maximum", "exclusiveMinimum",
	"exclusiveMaximum", "multipleOf"}

// beyond returns a keyword that the plan does not know, or "".
func beyond(s *jsonschema.Schema) string {
	for _, k := range keywords(s) {
		if (k == "anyOf" || k == "oneOf") && unlessNull(s) != nil {
			continue
		}
		if !slices.Contains(known, k) {
			return k
		}
	}
	return ""
}

// allowsAll tells whether every JSON value keeps the schema.
func allowsAll(s *jsonschema.Schema) bool {
	return s == nil || len(keywords(s)) == 0 || s.Ref != nil && slices.Equal(keywords(s), []string{"$ref"}) && allowsAll(s.Ref)
}

// onlyType tells whether the schema allows every value of a JSON type, whatever else it may allow.
func onlyType(s *jsonschema.Schema, name string) bool {
	for _, k := range keywords(s) {
		if k != "type" && k != "$ref" && !(unlessNull(s) != nil && (k == "anyOf" || k == "oneOf")) {
			return false // $ref and the choice are proved on their own
		}
	}
	return allowsType(s, name)
}

func allowsType(s *jsonschema.Schema, name string) bool {
	return len(s.Types) == 0 || slices.Contains(s.Types, name)
}

// unlessNull returns A for {"anyOf": [A, {"type": "null"}]} or the same with oneOf: for a value that is not null only A counts.
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
		if slices.Equal(c.Types, []string{"null"}) && slices.Equal(keywords(c), []string{"type"}) {
			return choice[1-i]
		}
	}
	return nil
}

// acceptsNull tells whether null surely keeps the schema.
func acceptsNull(s *jsonschema.Schema) bool {
	if allowsAll(s) {
		return true
	}
	if beyond(s) != "" || !allowsType(s, "null") || len(s.Enum) > 0 || len(s.Constant) > 0 || s.Ref != nil && !acceptsNull(s.Ref) {
		return false
	}
	if other := unlessNull(s); other != nil && s.OneOf != nil {
		return len(other.Types) > 0 && !slices.Contains(other.Types, "null") // oneOf means exactly one
	}
	return true
}

// formatOf returns v5's check of the format, nil where it has none of that name.
func formatOf(s *jsonschema.Schema) func(any) bool { return jsonschema.Formats[s.Format] }

// contentChecked tells whether contentEncoding and contentMediaType are constraints: in draft 7 only.
func contentChecked(s *jsonschema.Schema) bool {
	old := s.Draft == jsonschema.Draft7
	return old && (s.ContentEncoding != "" || s.ContentMediaType != "")
}

// custom tells whether a type, or the pointer to it, writes its own JSON.
func custom(t reflect.Type) bool {
	pointer := reflect.PointerTo(t)
	return pointer.Implements(marshalerType) || pointer.Implements(textMarshalerType)
}

// textOnly tells whether a type always writes a string, by MarshalText.
func textOnly(t reflect.Type) bool {
	return t.Kind() != reflect.Interface && t.Implements(textMarshalerType) && !reflect.PointerTo(t).Implements(marshalerType)
}
