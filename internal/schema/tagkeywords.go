package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"
	v5 "github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/kafkaesk/kafkaesk/internal/near"
)

// tagKeyword is a keyword that invopop reads from a jsonschema tag, where it is written keyword=value.
type tagKeyword struct {
	types   string                             // the JSON types that can have it; "": every field can
	value   func(jsonType, value string) error // returns what is wrong with the value
	text    bool                               // the value is free text: it may have commas in it
	repeats bool                               // a tag may have it more than once
}

var tagKeywords = map[string]tagKeyword{
	"title":            {value: isText, text: true},
	"description":      {value: isText, text: true},
	"anchor":           {value: isAnchor},
	"type":             {value: isType},
	"oneof_type":       {value: areTypes, repeats: true},
	"anyof_type":       {value: areTypes, repeats: true},
	"oneof_ref":        {value: isText, repeats: true},
	"anyof_ref":        {value: isText, repeats: true},
	"oneof_required":   {value: isText, repeats: true},
	"anyof_required":   {value: isText, repeats: true},
	"minLength":        {types: "string", value: isCount},
	"maxLength":        {types: "string", value: isCount},
	"pattern":          {types: "string", value: isPattern, text: true},
	"format":           {types: "string", value: isFormat},
	"readOnly":         {types: "string", value: isTrue},
	"writeOnly":        {types: "string", value: isTrue},
	"minimum":          {types: "integer number", value: isNumber},
	"maximum":          {types: "integer number", value: isNumber},
	"exclusiveMinimum": {types: "integer number", value: isNumber},
	"exclusiveMaximum": {types: "integer number", value: isNumber},
	"multipleOf":       {types: "integer number", value: isFactor},
	"minItems":         {types: "array", value: isCount},
	"maxItems":         {types: "array", value: isCount},
	"uniqueItems":      {types: "array", value: isTrue},
	"default":          {types: "string integer number boolean array", value: isValue, text: true},
	"example":          {types: "string integer number", value: isValue, text: true, repeats: true},
	"enum":             {types: "string integer number", value: isValue, text: true, repeats: true},
}

// isOf reports whether fields of a JSON type can have the keyword.
func (k tagKeyword) isOf(jsonType string) bool {
	return slices.Contains(strings.Fields(k.types), jsonType)
}

// check returns why the keyword has no effect on a field with the schema s.
func (k tagKeyword) check(s *jsonschema.Schema, name, value string) error {
	jsonType := s.Type
	switch {
	case k.types == "":
	case jsonType == "array" && strings.Contains(value, "="):
		return errors.New("invopop/jsonschema reads no value with a = in it on an array: " +
			"give the elements a type of their own")
	case jsonType == "array" && !k.isOf("array"):
		jsonType = elementType(s.Items, name) // the keyword is about the elements
	}
	switch {
	case k.types == "", k.isOf(jsonType):
		return k.value(jsonType, value)
	case slices.Contains(strings.Fields("string integer number boolean array"), jsonType):
		return fmt.Errorf("%s has no effect on type %s, which can have %s",
			name, jsonType, strings.Join(keywordsOf(jsonType), ", "))
	default:
		return fmt.Errorf("%s has no effect on this type: put it on the fields inside, "+
			"or give the type a JSONSchemaExtend method", name)
	}
}

// elementType returns the JSON type of an array's elements, as far as it decides about a keyword: pattern and format
// also get into the schema of elements that may be anything, and hold for those that are strings.
func elementType(items *jsonschema.Schema, keyword string) string {
	switch {
	case items == nil || items.Type == "array": // [][]T: invopop goes no further
		return ""
	case items.Type == "" && items.Ref == "" && (keyword == "pattern" || keyword == "format"):
		return "string"
	}
	return items.Type
}

func keywordsOf(jsonType string) []string {
	var names []string
	for name, k := range tagKeywords {
		if k.isOf(jsonType) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func isText(_, value string) error {
	if value == "" {
		return errors.New("it has no value")
	}
	return nil
}

var anchor = regexp.MustCompile(`^[A-Za-z_][-A-Za-z0-9._]*$`)

func isAnchor(_, value string) error {
	if !anchor.MatchString(value) {
		return errors.New("an anchor is a letter, then letters, digits, dots, dashes and underscores")
	}
	return nil
}

var jsonTypes = []string{"string", "integer", "number", "boolean", "array", "object", "null"}

func isType(_, value string) error {
	if !slices.Contains(jsonTypes, value) {
		return fmt.Errorf("%q is no JSON type: write one of %s", value, strings.Join(jsonTypes, ", "))
	}
	return nil
}

func areTypes(_, value string) error {
	for name := range strings.SplitSeq(value, ";") {
		if err := isType("", name); err != nil {
			return err
		}
	}
	return nil
}

func isCount(_, value string) error {
	if n, err := strconv.ParseUint(value, 10, 64); err != nil || n > math.MaxInt32 {
		return fmt.Errorf("%q is no number from 0 to %d", value, math.MaxInt32)
	}
	return nil
}

func isNumber(_, value string) error {
	f, err := strconv.ParseFloat(value, 64)
	digits, _, _ := strings.Cut(strings.ToLower(value), "e")
	switch {
	case err != nil || !json.Valid([]byte(value)):
		return fmt.Errorf("%q is no JSON number that a float64 can hold", value)
	case f == 0 && strings.ContainsAny(digits, "123456789"):
		return fmt.Errorf("%q is nearer to 0 than a float64 can tell", value)
	}
	return nil
}

func isFactor(_, value string) error {
	if err := isNumber("", value); err != nil {
		return err
	}
	if f, err := strconv.ParseFloat(value, 64); err != nil || f <= 0 {
		return fmt.Errorf("%q is not above 0", value)
	}
	return nil
}

func isPattern(_, value string) error {
	if value == "" {
		return errors.New("it has no value")
	}
	if _, err := regexp.Compile(value); err != nil {
		return fmt.Errorf(`it is no regular expression of Go: %w (a comma inside a pattern is written \\,)`, err)
	}
	return nil
}

func isFormat(_, value string) error {
	if v5.Formats[value] != nil {
		return nil
	}
	if advice := near.DidYouMean(value, maps.Keys(v5.Formats)); advice != "" {
		return errors.New("unknown format" + advice)
	}
	return fmt.Errorf("unknown format: it can be %s", strings.Join(slices.Sorted(maps.Keys(v5.Formats)), ", "))
}

func isTrue(_, value string) error {
	if value != "true" {
		return errors.New("it can only be true: else leave it out")
	}
	return nil
}

// isValue returns why a value of the type cannot be that one.
func isValue(jsonType, value string) error {
	switch jsonType {
	case "integer", "number":
		if err := isNumber("", value); err != nil {
			return err
		}
		if f, err := strconv.ParseFloat(value, 64); err != nil || jsonType == "integer" && f != math.Trunc(f) {
			return fmt.Errorf("%q is no whole number", value)
		}
	case "boolean":
		if value != "true" && value != "false" {
			return fmt.Errorf("%q is neither true nor false", value)
		}
	}
	return nil
}
