package rule

import (
	"fmt"
	"math/bits"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// run is one check of one value.
type run struct {
	data       []byte
	quick      bool // the first violation is enough
	exact      bool // keys that differ from a property's by case only are refused
	path       []step
	violations []Violation
	failed     bool
	budget     int // bytes that may still be brought into canonical form
	text       []byte
}

// step is one step of the path to the value that is being checked.
type step struct {
	key   []byte // as it is written; nil for an element
	index int
}

// Accepts reports whether the value, which is valid JSON without space around it, keeps the rule.
func (r *Rule) Accepts(value []byte) bool {
	if r == nil {
		return true
	}
	c := newRun(value)
	c.quick = true
	r.check(&c, 0)
	return !c.failed
}

// Check returns the violations of the value, which is valid JSON without space around it; none means that it keeps the
// rule. At most MaxViolations are returned. With exact a key is a violation that differs from that of a declared
// property by case only, which encoding/json would decode into the same field.
func (r *Rule) Check(value []byte, exact bool) []Violation {
	if r == nil {
		return nil
	}
	c := newRun(value)
	c.exact = exact
	r.check(&c, 0)
	return sorted(c.violations)
}

// newRun allows as much to be compared as one comparison of everything costs, several times over: only arrays in arrays
// in arrays, each of unique items, need more.
func newRun(value []byte) run { return run{data: value, budget: 16*len(value) + 1<<16} }

// ended tells that nothing more needs to be looked at.
func (c *run) ended() bool { return c.failed && c.quick || len(c.violations) >= MaxViolations }

// check checks the value that starts at i and returns where it ends; when the run has ended, anywhere.
func (r *Rule) check(c *run, i int) int {
	if c.ended() {
		return i
	}
	if r == nil {
		return rawjson.Skip(c.data, i)
	}
	if r.Never {
		end := rawjson.Skip(c.data, i)
		c.violate(r, "", i, end)
		return end
	}
	if r.Delegated != "" {
		end := rawjson.Skip(c.data, i)
		c.delegate(r, i, end)
		return end
	}
	t := typeOf(c.data, i)
	if r.Types != 0 && r.Types&t == 0 || t == Number && r.Types&Number == Integer && !c.integer(i) {
		end := rawjson.Skip(c.data, i)
		c.violate(r, "type", i, end)
		return end
	}
	var end int
	switch {
	case t == Object && r.lookedFor():
		end = r.object(c, i)
	case t == Array && (r.Items != nil || r.MinItems >= 0 || r.MaxItems >= 0 || r.Unique):
		end = r.array(c, i)
	case (t == Object || t == Array) && len(r.Choices) == 0 && (r.Ref != nil || r.Otherwise != nil):
		// Ref or Otherwise finds the end: to skip the value first would read it once more for each level of nesting.
	default:
		end = rawjson.Skip(c.data, i)
	}
	switch {
	case c.ended():
		return end
	case t == String:
		r.string(c, i, end)
	case t == Number:
		r.number(c, i, end)
	}
	if len(r.Choices) > 0 {
		r.choices(c, i, end)
	}
	if r.Ref != nil {
		end = r.Ref.check(c, i)
	}
	if t == Null && r.NullTwice {
		c.violate(r, "oneOf", i, end)
	}
	if t != Null && r.Otherwise != nil {
		end = r.Otherwise.check(c, i)
	}
	return end
}

func (c *run) integer(i int) bool {
	for at := i; at < len(c.data); at++ {
		switch c.data[at] {
		case '.', 'e', 'E':
			return rawjson.ParseDecimal(c.data[i:rawjson.Skip(c.data, i)]).IsInteger()
		case '-', '+', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		default:
			return true
		}
	}
	return true
}

func (r *Rule) choices(c *run, i, end int) {
	if !c.spend(r, "enum", i, end) {
		return
	}
	c.text, _ = rawjson.AppendCanonical(c.text[:0], c.data, i)
	for _, choice := range r.Choices {
		if !choice.Has(c.text) {
			c.violate(r, choice.keyword, i, end)
		}
	}
}

// spend takes the value from i to end from the budget of what is compared. When there is not enough, that is a
// violation, once.
func (c *run) spend(r *Rule, keyword string, i, end int) bool {
	if c.budget < 0 {
		return false
	}
	if c.budget -= end - i; c.budget < 0 {
		c.say(r, keyword, i, "has arrays inside each other that cost too much to be compared")
	}
	return c.budget >= 0
}

func (r *Rule) string(c *run, i, end int) {
	if r.MinLength < 0 && r.MaxLength < 0 && r.Pattern == nil && r.Format == nil {
		return
	}
	text := rawjson.Unquote(c.data[i:end])
	if r.MinLength >= 0 || r.MaxLength >= 0 {
		n := utf8.RuneCountInString(text)
		if n < r.MinLength {
			c.violate(r, "minLength", i, end)
		}
		if r.MaxLength >= 0 && n > r.MaxLength {
			c.violate(r, "maxLength", i, end)
		}
	}
	if r.Pattern != nil && !r.Pattern.Matches(text) {
		c.violate(r, "pattern", i, end)
	}
	if r.Format != nil && !r.Format(text) {
		c.violate(r, "format", i, end)
	}
}

func (r *Rule) number(c *run, i, end int) {
	if r.Minimum == nil && r.Maximum == nil && r.ExclusiveMinimum == nil && r.ExclusiveMaximum == nil &&
		r.MultipleOf == nil {
		return
	}
	d := rawjson.ParseDecimal(c.data[i:end])
	if r.Minimum != nil && d.Compare(r.Minimum.Decimal) < 0 {
		c.violate(r, "minimum", i, end)
	}
	if r.ExclusiveMinimum != nil && d.Compare(r.ExclusiveMinimum.Decimal) <= 0 {
		c.violate(r, "exclusiveMinimum", i, end)
	}
	if r.Maximum != nil && d.Compare(r.Maximum.Decimal) > 0 {
		c.violate(r, "maximum", i, end)
	}
	if r.ExclusiveMaximum != nil && d.Compare(r.ExclusiveMaximum.Decimal) >= 0 {
		c.violate(r, "exclusiveMaximum", i, end)
	}
	if r.MultipleOf != nil {
		switch whole, known := multiple(d, r.MultipleOf); {
		case !known:
			c.say(r, "multipleOf", i, "has more digits than can be checked")
		case !whole:
			c.violate(r, "multipleOf", i, end)
		}
	}
}

// object checks the object that starts at i.
func (r *Rule) object(c *run, i int) int {
	var few [4]uint64
	seen := few[:]
	if n := len(r.Properties); n > 64*len(few) {
		seen = make([]uint64, n/64+1)
	}
	var names map[string]bool // of the others, where they must be counted
	if r.MinProperties >= 0 || r.MaxProperties >= 0 {
		names = map[string]bool{}
	}
	start := i
	for i++; ; {
		m, ok := rawjson.NextMember(c.data, i)
		if !ok {
			i = m.Key + 1
			break
		}
		key := c.data[m.Key:m.KeyEnd]
		property, declared := r.property(key)
		rule := r.Additional
		c.path = append(c.path, step{key: key})
		if declared {
			rule = property.Rule
			word, bit := property.index/64, uint64(1)<<(property.index%64)
			if seen[word]&bit != 0 {
				c.say(r, "properties", m.Value, "is there twice")
			}
			seen[word] |= bit
		} else {
			if names != nil {
				names[rawjson.Unquote(key)] = true
			}
			if c.exact {
				r.refuseFolded(c, key, m.Value)
			}
		}
		if rule == r.Additional && rule != nil && rule.Never && (!declared || property.extra) {
			i = rawjson.Skip(c.data, m.Value)
			c.say(r, "additionalProperties", m.Value, "is not allowed")
		} else {
			i = rule.check(c, m.Value)
		}
		c.path = c.path[:len(c.path)-1]
		if c.ended() {
			return i
		}
	}
	r.required(c, seen, start)
	if names != nil {
		n := len(names)
		for _, word := range seen {
			n += bits.OnesCount64(word)
		}
		if n < r.MinProperties {
			c.violate(r, "minProperties", start, i)
		}
		if r.MaxProperties >= 0 && n > r.MaxProperties {
			c.violate(r, "maxProperties", start, i)
		}
	}
	return i
}

// property returns the declared property of a key as it is written.
func (r *Rule) property(key []byte) (*Property, bool) {
	if len(r.Properties) == 0 {
		return nil, false
	}
	if rawjson.Simple(key) {
		property, ok := r.Properties[string(key[1:len(key)-1])]
		return property, ok
	}
	property, ok := r.Properties[rawjson.Unquote(key)]
	return property, ok
}

func (r *Rule) refuseFolded(c *run, key []byte, at int) {
	if len(r.folded) == 0 {
		return
	}
	if name, ok := r.folded[fold(rawjson.Unquote(key))]; ok {
		c.say(r, "properties", at, "differs from the property "+name+" by case only, and would be decoded in its place")
	}
}

// required notes the required properties that are missing.
func (r *Rule) required(c *run, seen []uint64, at int) {
	for _, name := range r.Required {
		property := r.Properties[name]
		if seen[property.index/64]&(1<<(property.index%64)) != 0 {
			continue
		}
		c.missing(r, name, at)
		if c.ended() {
			return
		}
	}
}

// array checks the array that starts at i.
func (r *Rule) array(c *run, i int) int {
	start, n := i, 0
	for i++; ; n++ {
		at, ok := rawjson.NextElement(c.data, i)
		if !ok {
			i = at + 1
			break
		}
		c.path = append(c.path, step{index: n})
		i = r.Items.check(c, at)
		c.path = c.path[:len(c.path)-1]
		if c.ended() {
			return i
		}
	}
	if n < r.MinItems {
		c.violate(r, "minItems", start, i)
	}
	if r.MaxItems >= 0 && n > r.MaxItems {
		c.violate(r, "maxItems", start, i)
	}
	if r.Unique && n > 1 {
		r.unique(c, start, i)
	}
	return i
}

// unique notes two items that are the same.
func (r *Rule) unique(c *run, start, end int) {
	if !c.spend(r, "uniqueItems", start, end) {
		return
	}
	seen := map[string]int{}
	for i, n := start+1, 0; ; n++ {
		at, ok := rawjson.NextElement(c.data, i)
		if !ok {
			return
		}
		c.text, i = rawjson.AppendCanonical(c.text[:0], c.data, at)
		if first, there := seen[string(c.text)]; there {
			c.say(r, "uniqueItems", start, fmt.Sprintf("items at index %d and %d are equal", first, n))
			return
		}
		seen[string(c.text)] = n
	}
}
