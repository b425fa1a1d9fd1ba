package schema

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/invopop/jsonschema"

	"github.com/kafkaesk/kafkaesk/internal/near"
)

// invopop leaves out, without an error, the parts of a jsonschema tag that it does not know, that the field's type
// cannot have, and that it cannot read: then nothing would ever be checked. So tags are checked here, twice: checkTag
// sees what is wrong whatever the field's type is, before invopop reads the tag; checkEffect sees the rest, with the
// schema that invopop made. FuzzTags proves that all of a tag that passes both is in the schema.

// tagWords are the parts of a tag that have no value.
var tagWords = []string{"required", "nullable"}

// checkTag returns what is wrong with the tags of a field, of whatever type it is.
func checkTag(tag reflect.StructTag) error {
	if err := checkKeys(tag); err != nil {
		return err
	}
	text := tag.Get("jsonschema")
	if !utf8.ValidString(text) {
		return fmt.Errorf("jsonschema tag %q: it is not in UTF-8", text)
	}
	parts := splitTag(text)
	for i, part := range parts {
		if err := checkPart(part); err != nil {
			return fmt.Errorf("jsonschema tag %q: %w%s", part, err, adviseComma(parts, i))
		}
	}
	if len(parts) > 1 && slices.Contains(parts, "-") {
		return fmt.Errorf("jsonschema tag %q: - leaves the field out of the schema: nothing can stand beside it", text)
	}
	for _, part := range parts {
		name, _, _ := strings.Cut(part, "=")
		if k := tagKeywords[name]; slices.Contains(parts, "type=array") && k.types != "" && !k.isOf("array") {
			return fmt.Errorf("jsonschema tag %q: %s has no effect beside type=array, which says nothing of elements",
				part, name)
		}
	}
	for word := range strings.SplitSeq(text, ",") { // as invopop looks for these two
		if slices.Contains(tagWords, word) && !slices.Contains(parts, word) {
			return fmt.Errorf("jsonschema tag %q: invopop/jsonschema takes %s behind an escaped comma for the "+
				"keyword: write the value in another way", text, word)
		}
	}
	for _, extra := range splitTag(tag.Get("jsonschema_extras")) {
		if name, _, ok := strings.Cut(extra, "="); !ok || name != strings.TrimSpace(name) {
			return fmt.Errorf("jsonschema_extras tag %q: it wants keyword=value, without a space beside the keyword; "+
				`a comma inside a value is written \\,`, extra)
		}
	}
	return nil
}

// checkUnread returns which jsonschema tag nobody reads: that of an embedded struct, whose fields stand in the place of
// it, or of a field that encoding/json does not see.
func checkUnread(t reflect.Type) error {
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch isStruct := inner.Kind() == reflect.Struct; {
		case f.Tag.Get("jsonschema") == "":
		case f.Anonymous && isStruct && name == "":
			return fmt.Errorf("field %q of %s: jsonschema tag %q: it has no effect on an embedded struct: put it on the "+
				"fields inside, or name the field in its json tag", f.Name, t, f.Tag.Get("jsonschema"))
		case !f.IsExported() && !(f.Anonymous && isStruct):
			return fmt.Errorf("field %q of %s: jsonschema tag %q: it has no effect on a field that is not exported; "+
				"for keywords of the whole type give it a JSONSchemaExtend method", f.Name, t, f.Tag.Get("jsonschema"))
		}
	}
	return nil
}

// checkKeys returns what is wrong with the tag as a whole, so that reflect does not find the jsonschema tag in it.
func checkKeys(tag reflect.StructTag) error {
	if _, ok := tag.Lookup("jsonschema"); ok {
		return nil
	}
	for _, key := range tagKey.FindAllStringSubmatch(string(tag), -1) {
		switch near.Distance(strings.ToLower(key[1]), "jsonschema") {
		case 0, 1:
			return fmt.Errorf("tag `%s`: %q is not found as a jsonschema tag: tags are written as "+
				"`json:\"name\" jsonschema:\"minLength=1\"`, one space between them", tag, key[1])
		}
	}
	return nil
}

var tagKey = regexp.MustCompile(`([A-Za-z_]+)\s*:\s*"`)

// splitTag cuts a tag into its parts, as invopop does: at commas that have no backslash before them.
func splitTag(tag string) []string {
	if tag == "" {
		return nil
	}
	var parts []string
	for i, piece := range strings.Split(tag, ",") {
		if last := len(parts) - 1; i > 0 && strings.HasSuffix(parts[last], `\`) {
			parts[last] = strings.TrimSuffix(parts[last], `\`) + "," + piece
			continue
		}
		parts = append(parts, piece)
	}
	return parts
}

// checkPart returns what is wrong with one part of a tag.
func checkPart(part string) error {
	name, _, hasValue := strings.Cut(part, "=")
	_, known := tagKeywords[name]
	isWord := slices.Contains(tagWords, name) || part == "-"
	trimmed := strings.TrimSpace(name)
	_, spaced := tagKeywords[trimmed]
	switch {
	case known && hasValue, isWord && !hasValue:
		return nil
	case part == "":
		return errors.New("there is nothing beside a comma")
	case known:
		return fmt.Errorf("it has no value: write %s=...", name)
	case isWord:
		return fmt.Errorf("%s has no value: write it alone", name)
	case spaced, slices.Contains(tagWords, trimmed):
		return fmt.Errorf("take out the space beside the keyword %s", trimmed)
	case name == "const":
		return errors.New("unknown keyword: write enum=... with one value")
	}
	if advice := near.DidYouMean(trimmed, maps.Keys(tagKeywords)); advice != "" {
		return errors.New("unknown keyword" + advice)
	}
	return fmt.Errorf("unknown keyword: a tag can have %s; for others give the type a JSONSchemaExtend method",
		strings.Join(append(slices.Sorted(maps.Keys(tagKeywords)), tagWords...), ", "))
}

// adviseComma says how a comma is written, where the part at i may be the rest of a value that a comma has cut.
func adviseComma(parts []string, i int) string {
	if i == 0 {
		return ""
	}
	value := parts[i-1]
	name, _, _ := strings.Cut(value, "=")
	if !tagKeywords[name].text {
		return ""
	}
	if name == "enum" {
		return fmt.Sprintf(`; several values are written %s,enum=%s; a comma inside a value is written \\,`,
			value, parts[i])
	}
	for ; i < len(parts) && checkPart(parts[i]) != nil; i++ {
		value += `\\,` + parts[i]
	}
	return fmt.Sprintf(`; a comma inside a value is written \\, as in "%s"`, value)
}

// checkEffect returns which keyword of a field's tags has no effect on the field, although checkTag has passed them.
// property is the schema of the field, as invopop made it with the tags.
func checkEffect(tag reflect.StructTag, property *jsonschema.Schema) error {
	parts := splitTag(tag.Get("jsonschema"))
	if slices.Contains(parts, "nullable") {
		property = property.OneOf[0] // null stands beside it
	}
	seen := map[string]bool{}
	for _, part := range parts {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			continue // one of tagWords
		}
		k := tagKeywords[name]
		if err := k.check(property, name, value); err != nil {
			return fmt.Errorf("jsonschema tag %q: %w", part, err)
		}
		if seen[name] && !k.repeats && !(name == "default" && property.Type == "array") {
			return fmt.Errorf("jsonschema tag %q: the tag has %s twice, and only one counts", part, name)
		}
		seen[name] = true
	}
	for _, extra := range splitTag(tag.Get("jsonschema_extras")) {
		if name, _, _ := strings.Cut(extra, "="); seen[name] {
			return fmt.Errorf("jsonschema_extras tag %q: the jsonschema tag has %s too, and only one counts",
				extra, name)
		}
	}
	return nil
}
