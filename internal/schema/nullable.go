package schema

import (
	"maps"
	"reflect"
	"slices"

	"github.com/invopop/jsonschema"
)

// nullable returns the schema of a Go type with null allowed wherever null is written for nil, which is for pointers:
// the value itself, its elements, and theirs. The tags of a field must have been read before, because invopop finds
// their place by the type keyword.
func nullable(s *jsonschema.Schema, t reflect.Type) *jsonschema.Schema {
	nullableInside(s, t)
	switch t.Kind() {
	case reflect.Pointer:
		return orNull(s)
	default:
		return s
	}
}

// nullableInside does the same for the elements only.
func nullableInside(s *jsonschema.Schema, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if takesNull(s) && len(s.OneOf) == 2 {
		s = s.OneOf[0] // the nullable tag
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		if s.Items != nil {
			s.Items = nullable(s.Items, t.Elem())
		}
	case reflect.Map:
		if s.AdditionalProperties != nil {
			s.AdditionalProperties = nullable(s.AdditionalProperties, t.Elem())
		}
	}
}

// orNull allows null beside what s allows: by a second type where that is enough, else by a choice.
func orNull(s *jsonschema.Schema) *jsonschema.Schema {
	if takesNull(s) || reflect.DeepEqual(s, &jsonschema.Schema{}) {
		return s
	}
	_, typed := s.Extras["type"]
	_, constant := s.Extras["const"]
	_, choice := s.Extras["enum"]
	if s.Type == "" || typed || constant || choice || s.Enum != nil || s.OneOf != nil || s.AnyOf != nil || s.Const != nil {
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{s, {Type: "null"}}}
	}
	both := *s
	both.Type = ""
	both.Extras = map[string]any{"type": []string{s.Type, "null"}}
	maps.Copy(both.Extras, s.Extras)
	return &both
}

// takesNull reports whether a tag has already made null a choice.
func takesNull(s *jsonschema.Schema) bool {
	isNull := func(o *jsonschema.Schema) bool { return o.Type == "null" }
	return s.Type == "null" || slices.ContainsFunc(s.OneOf, isNull) || slices.ContainsFunc(s.AnyOf, isNull)
}
