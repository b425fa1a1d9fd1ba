package schema

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"
)

// limits are the keywords of a jsonschema tag that promise a check.
var limits = []string{"minLength", "maxLength", "pattern", "format", "enum", "multipleOf", "minimum", "maximum",
	"exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "uniqueItems"}

// effective makes sure that every constraint of a tag has got into the schema. invopop drops those that do not fit the type, or
// that it cannot read, without a word; then nothing would ever be checked.
func effective(tag reflect.StructTag, property *jsonschema.Schema) error {
	whole := strings.ReplaceAll(tag.Get("jsonschema"), `\,`, "\x00") // a comma inside a pattern
	for part := range strings.SplitSeq(whole, ",") {
		keyword, value, ok := strings.Cut(part, "=")
		if ok && slices.Contains(limits, keyword) && !limited(property, keyword) {
			return fmt.Errorf("jsonschema tag %s=%s has no effect on this type, or is not well written", keyword, strings.ReplaceAll(value, "\x00", ","))
		}
	}
	return nil
}

func limited(s *jsonschema.Schema, keyword string) bool {
	if s == nil {
		return false
	}
	has := map[string]bool{
		"minLength": s.MinLength != nil, "maxLength": s.MaxLength != nil, "pattern": s.Pattern != "", "format": s.Format != "",
		"enum": len(s.Enum) > 0, "multipleOf": s.MultipleOf != "", "minimum": s.Minimum != "", "maximum": s.Maximum != "",
		"exclusiveMinimum": s.ExclusiveMinimum != "", "exclusiveMaximum": s.ExclusiveMaximum != "",
		"minItems": s.MinItems != nil, "maxItems": s.MaxItems != nil, "uniqueItems": s.UniqueItems,
	}
	return has[keyword] || limited(s.Items, keyword) || slices.ContainsFunc(s.OneOf, func(o *jsonschema.Schema) bool { return limited(o, keyword) })
}
