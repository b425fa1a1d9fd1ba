package rule

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// MaxViolations is how many violations of one value are told. Nobody reads more, and they would cost more than the
// value.
const MaxViolations = 100

// Violation is one rule that a value breaks.
type Violation struct {
	// Field is where in the value, for people: "user.tags[2].name". Empty for the value itself.
	Field string
	// Path is the same step by step: property names, and the indices of arrays as decimal numbers.
	Path []string
	// Keyword is the schema's: "minLength", "required". Empty where a schema of false allows nothing.
	Keyword string
	// Text says what the rule asks: "must be at least 3 characters".
	Text string
	// Value says what the value is instead: "2". Long values are cut; empty where Text says it all.
	Value string

	at int
}

// At returns where the value starts in the JSON that was checked: of what v5 has checked, the value that it was given.
func (v Violation) At() int { return v.at }

// Sentence returns "must be at least 3 characters, is 2".
func (v Violation) Sentence() string {
	if v.Value == "" {
		return v.Text
	}
	return v.Text + ", " + v.Value
}

// String returns "user.name: minLength: must be at least 3 characters, is 2".
func (v Violation) String() string {
	text := v.Sentence()
	if v.Keyword != "" {
		text = v.Keyword + ": " + text
	}
	if v.Field != "" {
		text = v.Field + ": " + text
	}
	return text
}

// sorted orders violations by path, then keyword, and leaves out what is said twice.
func sorted(all []Violation) []Violation {
	slices.SortStableFunc(all, func(a, b Violation) int {
		return cmp.Or(slices.Compare(a.Path, b.Path), strings.Compare(a.Keyword, b.Keyword), strings.Compare(a.Text, b.Text))
	})
	same := func(a, b Violation) bool {
		return a.Field == b.Field && a.Keyword == b.Keyword && a.Text == b.Text && a.Value == b.Value
	}
	return slices.CompactFunc(all, same)
}

func (c *run) add(v Violation) {
	c.failed = true
	if len(c.violations) < MaxViolations {
		c.violations = append(c.violations, v)
	}
}

// say notes a violation of the value that starts at i, in words of its own.
func (c *run) say(r *Rule, keyword string, i int, text string) {
	if c.failed = true; !c.quick {
		c.add(Violation{Field: c.field(), Path: c.steps(), Keyword: keyword, Text: text, at: i})
	}
}

// violate notes that the value from i to end breaks a keyword.
func (c *run) violate(r *Rule, keyword string, i, end int) {
	if c.failed = true; c.quick {
		return
	}
	v := Violation{Field: c.field(), Path: c.steps(), Keyword: keyword, at: i}
	object, _ := r.doc.(map[string]any)
	v.Text, v.Value = sentence(keyword, object[keyword], shown(c.data[i:end]))
	if v.Text == "" {
		v.Text = "is not allowed"
	}
	c.add(v)
}

// missing notes a required property that the object at i does not have.
func (c *run) missing(r *Rule, name string, i int) {
	if c.failed = true; !c.quick {
		c.add(Violation{Field: join(c.field(), name), Path: append(c.steps(), name), Keyword: "required",
			Text: "is missing", at: i})
	}
}

// field returns the path of the value that is being checked, for people.
func (c *run) field() string {
	var field strings.Builder
	for i, s := range c.path {
		switch {
		case s.key == nil:
			field.WriteString("[" + strconv.Itoa(s.index) + "]")
			continue
		case i > 0:
			field.WriteByte('.')
		}
		field.WriteString(rawjson.Unquote(s.key))
	}
	return field.String()
}

func (c *run) steps() []string {
	var steps []string
	for _, s := range c.path {
		if s.key == nil {
			steps = append(steps, strconv.Itoa(s.index))
		} else {
			steps = append(steps, rawjson.Unquote(s.key))
		}
	}
	return steps
}

// join appends a name to a dotted path.
func join(field, name string) string {
	if field == "" || name == "" || name[0] == '[' {
		return field + name
	}
	return field + "." + name
}

// items and members stand for an array and an object of that size.
type (
	items   int
	members int
)

// shown decodes a value as far as messages need it.
func shown(value []byte) any {
	switch value[0] {
	case '[':
		n := 0
		rawjson.Elements(value, func([]byte) bool { n++; return true })
		return items(n)
	case '{':
		n := 0
		rawjson.Members(value, func(_, _ []byte) bool { n++; return true })
		return members(n)
	}
	in := json.NewDecoder(bytes.NewReader(value))
	in.UseNumber()
	var v any
	_ = in.Decode(&v) // it is valid
	return v
}

// sentence says what a keyword asks, and what the value is. Empty for keywords that v5's own words describe better.
func sentence(keyword string, limit, value any) (text, is string) {
	length := 0
	switch value := value.(type) {
	case string:
		length = utf8.RuneCountInString(value)
	case []any:
		length = len(value)
	case map[string]any:
		length = len(value)
	case items:
		length = int(value)
	case members:
		length = int(value)
	}
	switch keyword {
	case "type":
		return "must be " + typeNames(limit), "is " + typeName(value)
	case "minLength", "maxLength":
		return fmt.Sprintf("must be %s %s characters", bound[keyword], show(limit)), fmt.Sprintf("is %d", length)
	case "minItems", "maxItems":
		return fmt.Sprintf("must have %s %s items", bound[keyword], show(limit)), fmt.Sprintf("has %d", length)
	case "minProperties", "maxProperties":
		return fmt.Sprintf("must have %s %s properties", bound[keyword], show(limit)), fmt.Sprintf("has %d", length)
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "const":
		return fmt.Sprintf("must be %s%s", bound[keyword], show(limit)), "is " + show(value)
	case "pattern":
		expression, _ := limit.(string)
		return "must match " + Shorten(expression), "is " + show(value)
	case "format":
		name, _ := limit.(string)
		return "must be a valid " + name, "is " + show(value)
	case "enum":
		choices, _ := limit.([]any)
		names := make([]string, len(choices))
		for i, c := range choices {
			names[i] = show(c)
		}
		return "must be one of " + Shorten(strings.Join(names, ", ")), "is " + show(value)
	default:
		return "", ""
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
	case []any, items:
		return "array"
	case map[string]any, members:
		return "object"
	default:
		return "number"
	}
}

// show writes a value for a message: JSON, cut short; of arrays and objects only what they are.
func show(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case []any:
		return fmt.Sprintf("an array of %d", len(value))
	case items:
		return fmt.Sprintf("an array of %d", int(value))
	case map[string]any:
		return fmt.Sprintf("an object of %d", len(value))
	case members:
		return fmt.Sprintf("an object of %d", int(value))
	case string:
		return strconv.Quote(Shorten(value))
	case json.Number:
		return Shorten(value.String())
	default:
		return fmt.Sprint(value)
	}
}

// Shorten cuts a text for a message.
func Shorten(text string) string {
	const most = 60
	n := 0
	for i := range text {
		if n == most {
			return text[:i] + "..."
		}
		n++
	}
	return text
}

// fold returns the same text for all names that encoding/json takes for one field: those that differ by case only,
// letters like the Kelvin sign included.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, name)
}
