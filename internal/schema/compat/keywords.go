package compat

import (
	"encoding/json"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// annotations are keywords that refuse nothing, and those that only hold definitions.
var annotations = map[string]bool{
	"$schema": true, "$id": true, "$anchor": true, "$defs": true, "definitions": true, "$comment": true,
	"$vocabulary": true,
	"title":       true, "description": true, "default": true, "examples": true, "deprecated": true, "readOnly": true,
	"writeOnly": true, "contentEncoding": true, "contentMediaType": true, "contentSchema": true,
}

// kinds is a set of JSON's types. A number is an integer or not.
type kinds uint8

const (
	null kinds = 1 << iota
	boolean
	objects
	arrays
	text
	integer
	fraction
	anything = null | boolean | objects | arrays | text | integer | fraction
)

var kindNames = []struct {
	kinds kinds
	name  string
}{
	{null, "null"}, {boolean, "boolean"}, {objects, "object"}, {arrays, "array"}, {text, "string"},
	{integer | fraction, "number"}, {integer, "integer"}, {fraction, "number that is no integer"},
}

func (k kinds) String() string {
	var names []string
	for _, n := range kindNames {
		if k&n.kinds == n.kinds {
			names = append(names, n.name)
			k &^= n.kinds
		}
	}
	return strings.Join(names, " or ")
}

// kindsOf returns the types that a keyword type names.
func kindsOf(keyword any) kinds {
	var k kinds
	switch keyword := keyword.(type) {
	case string:
		for _, n := range kindNames {
			if n.name == keyword {
				k |= n.kinds
			}
		}
	case []any:
		for _, name := range keyword {
			k |= kindsOf(name)
		}
	}
	return k
}

// kindOf returns the type of a value.
func kindOf(value any) kinds {
	switch value := value.(type) {
	case nil:
		return null
	case bool:
		return boolean
	case string:
		return text
	case []any:
		return arrays
	case json.Number:
		if r, ok := number(value); ok && !r.IsInt() {
			return fraction
		}
		return integer
	}
	return objects
}

// number reads a number; false when it is too large to be worked with.
func number(n json.Number) (*big.Rat, bool) {
	if _, exponent, ok := strings.Cut(strings.ToLower(n.String()), "e"); ok {
		if e, err := strconv.Atoi(exponent); err != nil || e > 400 || e < -400 {
			return nil, false
		}
	}
	return new(big.Rat).SetString(n.String())
}

// kinds returns the types that the schema's values may have.
func (c conjunction) kinds() kinds {
	k := anything
	for _, part := range c.parts {
		if keyword, ok := part["type"]; ok {
			k &= kindsOf(keyword)
		}
	}
	if values, ok := c.values(); ok {
		var own kinds
		for _, v := range values {
			own |= kindOf(v)
		}
		k &= own
	}
	return k
}

// values returns all values that the schema allows, when it lists them.
func (c conjunction) values() ([]any, bool) {
	for _, part := range c.parts {
		if value, ok := part["const"]; ok {
			return []any{value}, true
		}
		if values, ok := part["enum"].([]any); ok {
			return values, true
		}
	}
	return nil, false
}

// has reports whether one of the schema's parts has the same keyword with the same value.
func (c conjunction) has(keyword string, value any) bool {
	return c.hasGroup([]string{keyword}, object{keyword: value})
}

// hasGroup reports whether one of the schema's parts has the same keywords as r. What refers to elsewhere is never the
// same, because it may refer to something else in the other document.
func (c conjunction) hasGroup(keywords []string, r object) bool {
	if len(keywords) == 0 {
		return false
	}
	return slices.ContainsFunc(c.parts, func(part object) bool {
		for _, k := range keywords {
			if !reflect.DeepEqual(part[k], r[k]) || refers(r[k]) {
				return false
			}
		}
		return true
	})
}

func refers(value any) bool {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			if strings.HasSuffix(name, "$ref") || refers(member) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(value, refers)
	}
	return false
}

// part returns why the writer's values may not be what one part of the reader's schema wants.
func (c *comparison) part(field string, w conjunction, r object) []Problem {
	var found []Problem
	for _, keyword := range slices.Sorted(maps.Keys(r)) {
		if annotations[keyword] || keyword == "$ref" || keyword == "allOf" {
			continue
		}
		found = append(found, c.keyword(field, keyword, w, r)...)
	}
	return found
}

func (c *comparison) keyword(field, keyword string, w conjunction, r object) []Problem {
	value, kinds := r[keyword], w.kinds()
	one := func(may, wants string) []Problem { return []Problem{c.problem(field, keyword, may, wants)} }
	switch keyword {
	case "type":
		if extra := kinds &^ kindsOf(value); extra != 0 {
			return one("may be "+extra.String(), "wants "+kindsOf(value).String())
		}
	case "const":
		return c.listed(field, keyword, w, []any{value})
	case "enum":
		values, _ := value.([]any)
		return c.listed(field, keyword, w, values)
	case "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum":
		if kinds&(integer|fraction) != 0 {
			return c.bound(field, keyword, w, value, numbers())
		}
	case "minLength", "maxLength":
		if kinds&text != 0 {
			return c.bound(field, keyword, w, value, lengths())
		}
	case "minItems", "maxItems":
		if kinds&arrays != 0 {
			return c.bound(field, keyword, w, value, itemCounts())
		}
	case "minProperties", "maxProperties":
		if kinds&objects != 0 {
			return c.bound(field, keyword, w, value, propertyCounts())
		}
	case "multipleOf":
		if kinds&(integer|fraction) != 0 && !w.multipleOf(value) {
			return one("may be other numbers", "wants multiples of "+show(value))
		}
	case "pattern":
		if pattern, ok := value.(string); kinds&text != 0 && ok && !w.has(keyword, value) && !w.allMatch(pattern) {
			return one("may be other strings", "wants those that match "+show(value))
		}
	case "format":
		if kinds&text != 0 && !w.has(keyword, value) {
			return one("may be any string", "wants the format "+show(value))
		}
	case "uniqueItems":
		if kinds&arrays != 0 && value == true && !w.has(keyword, true) {
			return one("may have equal items", "wants them to differ")
		}
	case "items", "prefixItems":
		if kinds&arrays != 0 && (keyword == "prefixItems" || r["prefixItems"] == nil) {
			return c.items(field, w, r)
		}
	case "required":
		if kinds&objects != 0 {
			return c.required(field, w, value)
		}
	case "properties", "additionalProperties", "patternProperties":
		// They count together: the first of them that is there stands for all.
		first := slices.IndexFunc(propertyKeywords, func(k string) bool { _, ok := r[k]; return ok })
		if kinds&objects != 0 && propertyKeywords[first] == keyword {
			return c.properties(field, w, r)
		}
	case "anyOf":
		choices, _ := value.([]any)
		return c.choice(field, keyword, w, choices)
	case "oneOf":
		choices, _ := value.([]any)
		if c.exclusive(choices) {
			return c.choice(field, keyword, w, choices)
		}
		if !w.has(keyword, value) {
			return one("may be in none or several of the choices", "wants exactly one of them")
		}
	default:
		if group, ok := constraints[keyword]; ok && !w.hasGroup(group, r) {
			return one("may break it", "has it, and only an unchanged "+keyword+" can be compared")
		}
	}
	return nil
}

var propertyKeywords = []string{"properties", "additionalProperties", "patternProperties"}

// constraints are the keywords that are compared as a whole, each with those that it counts together with.
var constraints = map[string][]string{
	"not": {"not"}, "propertyNames": {"propertyNames"}, "dependentRequired": {"dependentRequired"},
	"dependentSchemas": {"dependentSchemas"}, "dependencies": {"dependencies"},
	"additionalItems": {"items", "additionalItems"},
	"if":              {"if", "then", "else"}, "then": {"if", "then", "else"}, "else": {"if", "then", "else"},
	"contains":    {"contains", "minContains", "maxContains"},
	"minContains": {"contains", "minContains", "maxContains"}, "maxContains": {"contains", "minContains", "maxContains"},
	// what is beside them counts
	"unevaluatedProperties": nil, "unevaluatedItems": nil, "$dynamicRef": nil, "$recursiveRef": nil,
}

// exclusive reports whether no value can be in two of the choices, because their types differ.
func (c *comparison) exclusive(choices []any) bool {
	var seen kinds
	for _, choice := range choices {
		r, err := c.reader.flatten(choice)
		if err != nil || seen&r.kinds() != 0 {
			return false
		}
		seen |= r.kinds()
	}
	return true
}

func (c *comparison) listed(field, keyword string, w conjunction, allowed []any) []Problem {
	list := show(allowed)
	if keyword == "const" {
		list = show(allowed[0])
	}
	values, ok := w.values()
	if !ok {
		return []Problem{c.problem(field, keyword, "may be other values", "allows only "+list)}
	}
	known, kinds := make(map[string]bool, len(allowed)), w.kinds()
	for _, a := range allowed {
		known[form(a)] = true
	}
	var missing []string
	for _, v := range values {
		if kinds&kindOf(v) != 0 && !known[form(v)] {
			missing = append(missing, show(v))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return []Problem{c.problem(field, keyword, "may be "+strings.Join(missing, " or "), "allows only "+list)}
}

// form returns the text of a value in which those are the same that JSON Schema holds equal: 1 and 1.0 are one.
func form(value any) string {
	if n, ok := value.(json.Number); ok {
		if r, ok := number(n); ok {
			return r.RatString()
		}
		return n.String()
	}
	text, _ := json.Marshal(value) // it was read from JSON
	return string(text)
}
