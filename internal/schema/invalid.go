package schema

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Invalid is the error of a value that breaks its schema. It has at least one violation, ordered by path, then keyword.
type Invalid struct {
	Violations []Violation
}

// Violation is one rule that a value breaks.
type Violation struct {
	// Field is where in the value, for people: "user.tags[2].name". Empty for the value itself.
	Field string
	// Path is the same step by step: property names, and the indices of arrays as decimal numbers.
	Path []string
	// Keyword is the schema's: "minLength", "required". Empty where a schema of false allows nothing.
	Keyword string
	// Text says what the rule asks and what the value is: "must be at least 3 characters, is 2". Long values are cut.
	Text string
}

// String returns "user.name: minLength: must be at least 3 characters, is 2".
func (v Violation) String() string {
	text := v.Text
	if v.Keyword != "" {
		text = v.Keyword + ": " + text
	}
	if v.Field != "" {
		text = v.Field + ": " + text
	}
	return text
}

// told is how many violations Error spells out.
const told = 3

// Error names the first violations and counts the rest. It never holds the whole value.
func (e *Invalid) Error() string {
	var out strings.Builder
	for i, v := range e.Violations {
		if i == told {
			fmt.Fprintf(&out, "; and %d more", len(e.Violations)-told)
			break
		}
		if i > 0 {
			out.WriteString("; ")
		}
		if v.Field != "" {
			fmt.Fprintf(&out, "field %q: ", v.Field)
		}
		if v.Keyword != "" {
			out.WriteString(v.Keyword + ": ")
		}
		out.WriteString(v.Text)
	}
	return out.String()
}

// explain turns v5's tree of causes into violations: its leaves, in an order of their own, because v5's is a map's.
func (r *rules) explain(broken *jsonschema.ValidationError, value any) *Invalid {
	out := r.leaves(nil, broken, value)
	slices.SortStableFunc(out, func(a, b Violation) int {
		return cmp.Or(slices.Compare(a.Path, b.Path), strings.Compare(a.Keyword, b.Keyword), strings.Compare(a.Text, b.Text))
	})
	same := func(a, b Violation) bool { return a.Field == b.Field && a.Keyword == b.Keyword && a.Text == b.Text }
	return &Invalid{slices.CompactFunc(out, same)}
}

func (r *rules) leaves(out []Violation, e *jsonschema.ValidationError, value any) []Violation {
	if len(e.Causes) == 0 {
		return r.leaf(out, e, value)
	}
	start := len(out)
	for _, cause := range e.Causes {
		if len(e.Causes) == 1 || !r.onlyNull(cause) {
			out = r.leaves(out, cause, value)
		}
	}
	if len(out) == start {
		return r.leaf(out, e, value)
	}
	return out
}

// onlyNull tells whether a cause is just that the value is not null, which nobody needs to know of a field that may be null.
func (r *rules) onlyNull(e *jsonschema.ValidationError) bool {
	if len(e.Causes) != 0 || keyword(e) != "type" {
		return false
	}
	limit, _ := r.limit(e)
	return limit == "null"
}

// leaf describes one broken keyword.
func (r *rules) leaf(out []Violation, e *jsonschema.ValidationError, value any) []Violation {
	is, path, field, _ := lookup(value, e.InstanceLocation)
	v := Violation{Field: field, Path: path, Keyword: keyword(e)}
	limit, known := r.limit(e)
	if v.Keyword == "required" && known {
		object, _ := is.(map[string]any)
		names, _ := limit.([]any)
		for _, n := range names {
			name, _ := n.(string)
			if _, there := object[name]; !there {
				out = append(out, Violation{join(field, name), append(slices.Clone(path), name), v.Keyword, "is missing"})
			}
		}
		return out
	}
	v.Text = sentence(v.Keyword, limit, is)
	if v.Text == "" || !known {
		v.Text = shorten(e.Message)
	}
	return append(out, v)
}

// keyword returns the last step of a cause's place in the schema that is a keyword; allOf/1 and the like end with a number.
func keyword(e *jsonschema.ValidationError) string {
	steps := strings.Split(e.KeywordLocation, "/")
	for _, step := range slices.Backward(steps) {
		if _, err := strconv.Atoi(step); err != nil {
			return step
		}
	}
	return ""
}

// limit returns the keyword's value in the schema document.
func (r *rules) limit(e *jsonschema.ValidationError) (any, bool) {
	_, pointer, ok := strings.Cut(e.AbsoluteKeywordLocation, "#")
	if !ok {
		return nil, false
	}
	value, _, _, ok := lookup(r.doc, pointer)
	return value, ok
}

// sentence says what a keyword asks and what the value is. Empty for keywords that v5's own words describe better.
func sentence(keyword string, limit, value any) string {
	switch keyword {
	case "type":
		return "must be " + typeNames(limit) + ", is " + typeName(value)
	case "minLength", "maxLength":
		text, _ := value.(string)
		return fmt.Sprintf("must be %s %s characters, is %d", bound[keyword], show(limit), utf8.RuneCountInString(text))
	case "minItems", "maxItems":
		items, _ := value.([]any)
		return fmt.Sprintf("must have %s %s items, has %d", bound[keyword], show(limit), len(items))
	case "minProperties", "maxProperties":
		object, _ := value.(map[string]any)
		return fmt.Sprintf("must have %s %s properties, has %d", bound[keyword], show(limit), len(object))
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "const":
		return fmt.Sprintf("must be %s%s, is %s", bound[keyword], show(limit), show(value))
	case "pattern":
		text, _ := limit.(string)
		return fmt.Sprintf("must match %s, is %s", shorten(text), show(value))
	case "format":
		text, _ := limit.(string)
		return fmt.Sprintf("must be a valid %s, is %s", text, show(value))
	case "enum":
		choices, _ := limit.([]any)
		names := make([]string, len(choices))
		for i, c := range choices {
			names[i] = show(c)
		}
		return fmt.Sprintf("must be one of %s, is %s", shorten(strings.Join(names, ", ")), show(value))
	default:
		return ""
	}
}

var bound = map[string]string{
	"minLength": "at least", "maxLength": "at most", "minItems": "at least", "maxItems": "at most",
	"minProperties": "at least", "maxProperties": "at most", "minimum": "at least ", "maximum": "at most ",
	"exclusiveMinimum": "more than ", "exclusiveMaximum": "less than ", "multipleOf": "a multiple of ",
}

func typeNames(limit any) string {
	if names, ok := limit.([]any); ok {
		all := make([]string, len(names))
		for i, n := range names {
			all[i], _ = n.(string)
		}
		return strings.Join(all, " or ")
	}
	name, _ := limit.(string)
	return name
}

func typeName(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	default:
		return "number"
	}
}

// show writes a value for a message: JSON, cut short; of arrays and objects only what they are.
func show(value any) string {
	switch value := value.(type) {
	case []any:
		return fmt.Sprintf("an array of %d", len(value))
	case map[string]any:
		return fmt.Sprintf("an object of %d", len(value))
	case string:
		return strconv.Quote(shorten(value))
	case json.Number:
		return shorten(value.String())
	default:
		return fmt.Sprint(jsonWord(value))
	}
}

func jsonWord(value any) any {
	if value == nil {
		return "null"
	}
	return value
}

// shown is how many characters of a value or a pattern a message holds.
const shown = 60

func shorten(text string) string {
	n := 0
	for i := range text {
		if n == shown {
			return text[:i] + "..."
		}
		n++
	}
	return text
}
