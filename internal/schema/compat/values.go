package compat

import (
	"encoding/json"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// measure is something about values that keywords bound.
type measure struct {
	low, high []string // the keywords: inclusive, exclusive
	natural   bool     // it is never below 0
	of        func(any) (*big.Rat, bool)
}

func numbers() measure {
	return measure{
		low: []string{"minimum", "exclusiveMinimum"}, high: []string{"maximum", "exclusiveMaximum"},
		of: func(v any) (*big.Rat, bool) {
			n, ok := v.(json.Number)
			if !ok {
				return nil, false
			}
			return number(n)
		},
	}
}

func lengths() measure {
	return measure{low: []string{"minLength"}, high: []string{"maxLength"}, natural: true,
		of: func(v any) (*big.Rat, bool) {
			s, ok := v.(string)
			return big.NewRat(int64(utf8.RuneCountInString(s)), 1), ok
		}}
}

func itemCounts() measure {
	return measure{low: []string{"minItems"}, high: []string{"maxItems"}, natural: true, of: func(v any) (*big.Rat, bool) {
		s, ok := v.([]any)
		return big.NewRat(int64(len(s)), 1), ok
	}}
}

func propertyCounts() measure {
	return measure{low: []string{"minProperties"}, high: []string{"maxProperties"}, natural: true,
		of: func(v any) (*big.Rat, bool) {
			s, ok := v.(map[string]any)
			return big.NewRat(int64(len(s)), 1), ok
		}}
}

// limit is a bound of a measure; value is nil for none.
type limit struct {
	value     *big.Rat
	exclusive bool
}

// tighter reports whether l leaves less than other does. sign is 1 for lower limits and -1 for upper ones.
func (l limit) tighter(other limit, sign int) bool {
	switch {
	case l.value == nil:
		return false
	case other.value == nil:
		return true
	}
	order := l.value.Cmp(other.value) * sign
	return order > 0 || order == 0 && l.exclusive && !other.exclusive
}

// limitOf returns the tightest limit that the schema has for a measure.
func (c conjunction) limitOf(m measure, sign int) limit {
	keywords := m.low
	if sign < 0 {
		keywords = m.high
	}
	var tightest limit
	if m.natural && sign > 0 {
		tightest.value = new(big.Rat)
	}
	for _, part := range c.parts {
		for i, keyword := range keywords {
			if l := limitIn(part[keyword], i == 1); l.tighter(tightest, sign) {
				tightest = l
			}
		}
	}
	if l := c.limitOfValues(m, sign); l.tighter(tightest, sign) {
		tightest = l
	}
	return tightest
}

func limitIn(keyword any, exclusive bool) limit {
	n, ok := keyword.(json.Number)
	if !ok {
		return limit{}
	}
	value, ok := number(n)
	if !ok {
		return limit{}
	}
	return limit{value, exclusive}
}

// limitOfValues returns the limit of the values that the schema lists.
func (c conjunction) limitOfValues(m measure, sign int) limit {
	values, _ := c.values()
	var loosest limit
	for _, v := range values {
		l := limit{}
		var ok bool
		if l.value, ok = m.of(v); ok && (loosest.value == nil || loosest.tighter(l, sign)) {
			loosest = l
		}
	}
	return loosest
}

func (c *comparison) bound(field, keyword string, w conjunction, value any, m measure) []Problem {
	sign := -1
	if slices.Contains(m.low, keyword) {
		sign = 1
	}
	own, wanted := w.limitOf(m, sign), limitIn(value, strings.HasPrefix(keyword, "exclusive"))
	if wanted.value != nil && !wanted.tighter(own, sign) {
		return nil
	}
	may := "has no such limit"
	if own.value != nil {
		may = "may go to " + own.value.RatString()
	}
	return []Problem{c.problem(field, keyword, may, "wants "+keyword+" "+show(value))}
}

// multipleOf reports whether all numbers of the schema are multiples of a number.
func (c conjunction) multipleOf(value any) bool {
	n, ok := value.(json.Number)
	if !ok {
		return false
	}
	divisor, ok := number(n)
	if !ok || divisor.Sign() == 0 {
		return false
	}
	isMultiple := func(n json.Number) bool {
		r, ok := number(n)
		return ok && new(big.Rat).Quo(r, divisor).IsInt()
	}
	if c.kinds()&fraction == 0 && isMultiple("1") {
		return true
	}
	for _, part := range c.parts {
		if own, ok := part["multipleOf"].(json.Number); ok && isMultiple(own) {
			return true
		}
	}
	values, ok := c.values()
	return ok && !slices.ContainsFunc(values, func(v any) bool {
		n, ok := v.(json.Number)
		return ok && !isMultiple(n)
	})
}

// allMatch reports whether the schema lists its values, and their strings match a pattern.
func (c conjunction) allMatch(pattern string) bool {
	values, ok := c.values()
	if !ok {
		return false
	}
	re, err := regexp.Compile(pattern)
	return err == nil && !slices.ContainsFunc(values, func(v any) bool {
		s, ok := v.(string)
		return ok && !re.MatchString(s)
	})
}

// show writes a part of a schema for a reason, shortened.
func show(value any) string {
	const longest = 200
	b, err := json.Marshal(value)
	if err != nil {
		return "?"
	}
	if s := string(b); len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(string(b[:longest]), "") + "..."
}
