package jsonplan

import (
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
	"github.com/kafkaesk/kafkaesk/internal/schema/rule"
)

// proof is what a Go type and its schema say about the values before there are any. A value that is not accepted may be
// valid all the same: its JSON decides.
type proof struct {
	always  bool           // the type alone proves all values
	accepts func(ptr) bool // proves some values cheaply; nil: none
}

var (
	proved   = proof{always: true}
	unproved = proof{}
)

// chain are the rules that apply to one value that is not null: a rule and those that it refers to.
type chain struct {
	rules  []*rule.Rule
	opaque bool // they cannot be told from here
}

func flatten(r *rule.Rule) chain {
	var c chain
	for r != nil {
		if r.Never || r.Delegated != "" || r.Ref != nil && r.Otherwise != nil {
			return chain{opaque: true}
		}
		c.rules = append(c.rules, r)
		if r.Ref != nil {
			r = r.Ref
		} else {
			r = r.Otherwise
		}
	}
	return c
}

// allows reports whether all values of a JSON type are allowed by the type and choice keywords.
func (c chain) allows(t rule.Type) bool {
	return !c.opaque && !slices.ContainsFunc(c.rules, func(r *rule.Rule) bool {
		return !r.Allows(t) || len(r.Choices) > 0
	})
}

// proveText is for values that are written as a text that is not known.
func proveText(c chain) proof {
	limited := func(r *rule.Rule) bool {
		return r.MinLength > 0 || r.MaxLength >= 0 || r.Pattern != nil || r.Format != nil
	}
	if c.allows(rule.String) && !slices.ContainsFunc(c.rules, limited) {
		return proved
	}
	return unproved
}

// proveTime: encoding/json writes a time.Time as RFC 3339, or fails.
func proveTime(c chain) proof {
	limited := func(r *rule.Rule) bool {
		return r.MinLength > 0 || r.MaxLength >= 0 || r.Pattern != nil || r.Format != nil && r.FormatName != "date-time"
	}
	if c.allows(rule.String) && !slices.ContainsFunc(c.rules, limited) {
		return proved
	}
	return unproved
}

// proveMethod: a type that has nothing but MarshalText is always a string.
func (ps *Plans) proveMethod(t reflect.Type, c chain) proof {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface || t.Implements(marshalerType) ||
		!t.Implements(textMarshalerType) ||
		ps.own != nil && (ps.own(t) != nil || t.Implements(errorType)) {
		return unproved
	}
	return proveText(c)
}

func limitedNumber(r *rule.Rule) bool {
	return r.Minimum != nil || r.Maximum != nil || r.ExclusiveMinimum != nil || r.ExclusiveMaximum != nil ||
		r.MultipleOf != nil
}

// proveNumber is for values that are written as a number that is not known.
func proveNumber(c chain) proof {
	if c.allows(rule.Number) && !slices.ContainsFunc(c.rules, limitedNumber) {
		return proved
	}
	return unproved
}

func proveScalar(t reflect.Type, r *rule.Rule) proof {
	if r == nil {
		return proved
	}
	c := flatten(r)
	if c.opaque {
		return unproved
	}
	switch t.Kind() {
	case reflect.Bool:
		return proveBool(r)
	case reflect.String:
		return proveString(c)
	case reflect.Int:
		return proveInt[int](c)
	case reflect.Int8:
		return proveInt[int8](c)
	case reflect.Int16:
		return proveInt[int16](c)
	case reflect.Int32:
		return proveInt[int32](c)
	case reflect.Int64:
		return proveInt[int64](c)
	case reflect.Uint, reflect.Uintptr, reflect.Uint64:
		return proveInt[uint64](c)
	case reflect.Uint8:
		return proveInt[uint8](c)
	case reflect.Uint16:
		return proveInt[uint16](c)
	case reflect.Uint32:
		return proveInt[uint32](c)
	case reflect.Float32:
		return proveFloat[float32](c, r)
	default:
		return proveFloat[float64](c, r)
	}
}

func proveBool(r *rule.Rule) proof {
	yes, no := r.Accepts([]byte("true")), r.Accepts([]byte("false"))
	if yes && no {
		return proved
	}
	return proof{accepts: func(p ptr) bool { return get[bool](p) && yes || !get[bool](p) && no }}
}

func proveString(c chain) proof {
	least, most := 0, math.MaxInt
	var tests []func(string) bool
	anyUTF8 := true // broken texts keep the tests as their JSON does, which has U+FFFD in the place of what is no UTF-8
	for _, r := range c.rules {
		if !r.Allows(rule.String) {
			return unproved
		}
		least = max(least, r.MinLength)
		if r.MaxLength >= 0 {
			most = min(most, r.MaxLength)
		}
		if r.Pattern != nil {
			tests = append(tests, r.Pattern.Matches)
		}
		if format := r.Format; format != nil {
			tests, anyUTF8 = append(tests, func(s string) bool { return format(s) }), false
		}
		for _, choice := range r.Choices {
			tests = append(tests, oneOf(choice))
		}
	}
	if least == 0 && most == math.MaxInt && len(tests) == 0 {
		return proved
	}
	return proof{accepts: func(p ptr) bool {
		s := get[string](p)
		if len(s) > most && utf8.RuneCountInString(s) > most {
			return false
		}
		if len(s) < utf8.UTFMax*least-3 && utf8.RuneCountInString(s) < least { // characters are one to four bytes
			return false
		}
		for _, test := range tests {
			if !test(s) {
				return false
			}
		}
		return anyUTF8 || utf8.ValidString(s)
	}}
}

// oneOf returns the test of a choice among texts.
func oneOf(choice rule.Choice) func(string) bool {
	var texts []string
	for value := range choice.Values {
		if value[0] == '"' {
			texts = append(texts, rawjson.Unquote([]byte(value)))
		}
	}
	if len(texts) <= 8 {
		return func(s string) bool { return slices.Contains(texts, s) }
	}
	known := make(map[string]bool, len(texts))
	for _, text := range texts {
		known[text] = true
	}
	return func(s string) bool { return known[s] }
}

type integer interface{ signed | unsigned }

// proveInt is for integers up to MaxInt64: the JSON of larger ones decides.
func proveInt[T integer](c chain) proof {
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	var steps []int64
	var choices [][]int64
	for _, r := range c.rules {
		if !r.Allows(rule.Integer) {
			return unproved
		}
		least, ok1 := lowest(r.Minimum, false)
		more, ok2 := lowest(r.ExclusiveMinimum, true)
		most, ok3 := highest(r.Maximum, false)
		less, ok4 := highest(r.ExclusiveMaximum, true)
		if !ok1 || !ok2 || !ok3 || !ok4 {
			return unproved
		}
		low, high = max(low, least, more), min(high, most, less)
		if r.MultipleOf != nil {
			if !r.MultipleOf.Num().IsInt64() {
				return unproved
			}
			steps = append(steps, r.MultipleOf.Num().Int64()) // in lowest terms: n/(a/b) is whole exactly when a divides n
		}
		for _, choice := range r.Choices {
			choices = append(choices, integersOf(choice))
		}
	}
	if len(choices) == 0 && !slices.ContainsFunc(c.rules, limitedNumber) {
		return proved
	}
	simple := len(steps)+len(choices) == 0
	return proof{accepts: func(p ptr) bool {
		v := get[T](p)
		n := int64(v)
		if n < low || n > high || n < 0 && v > 0 {
			return false
		}
		if simple {
			return true
		}
		for _, step := range steps {
			if n%step != 0 {
				return false
			}
		}
		return !slices.ContainsFunc(choices, func(allowed []int64) bool { return !slices.Contains(allowed, n) })
	}}
}

// lowest returns the smallest integer that a minimum allows. It is not ok when that is larger than MaxInt64.
func lowest(l *rule.Limit, exclusive bool) (least int64, ok bool) {
	if l == nil {
		return math.MinInt64, true
	}
	n := floor(l.Rat)
	if exclusive || !l.Rat.IsInt() {
		n.Add(n, big.NewInt(1))
	}
	if n.IsInt64() {
		return n.Int64(), true
	}
	return math.MinInt64, n.Sign() < 0
}

// highest returns the largest integer that a maximum allows. It is not ok when that is smaller than MinInt64.
func highest(l *rule.Limit, exclusive bool) (most int64, ok bool) {
	if l == nil {
		return math.MaxInt64, true
	}
	n := floor(l.Rat)
	if exclusive && l.Rat.IsInt() {
		n.Sub(n, big.NewInt(1))
	}
	if n.IsInt64() {
		return n.Int64(), true
	}
	return math.MaxInt64, n.Sign() > 0
}

func floor(r *big.Rat) *big.Int { return new(big.Int).Div(r.Num(), r.Denom()) } // Euclidean, and Denom is positive

// integersOf returns the integers among the values of a choice.
func integersOf(choice rule.Choice) []int64 {
	var all []int64
	for value := range choice.Values {
		digits, exp, _ := strings.Cut(value, "e")
		if zeros, err := strconv.Atoi(exp); err == nil && zeros >= 0 && zeros < 20 {
			digits += strings.Repeat("0", zeros)
		} else if exp != "" {
			continue
		}
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// proveFloat: a limit is compared with the decimal that is written, the shortest that reads back as the float. Floats
// and their decimals are in the same order, so that only the float nearest to the limit needs its decimal.
func proveFloat[T float32 | float64](c chain, whole *rule.Rule) proof {
	low, high := math.Inf(-1), math.Inf(1)
	for _, r := range c.rules {
		if !r.Allows(rule.Number) || len(r.Choices) > 0 || r.MultipleOf != nil {
			return unproved
		}
		for _, l := range []*rule.Limit{r.Minimum, r.ExclusiveMinimum} {
			low = max(low, nearest[T](l, low))
		}
		for _, l := range []*rule.Limit{r.Maximum, r.ExclusiveMaximum} {
			high = min(high, nearest[T](l, high))
		}
	}
	if math.IsInf(low, -1) && math.IsInf(high, 1) && !slices.ContainsFunc(c.rules, limitedNumber) {
		return proved
	}
	accepted := func(f float64) bool {
		text, ok := rawjson.AppendFloat(nil, f, reflect.TypeFor[T]().Bits())
		return ok && whole.Accepts(text)
	}
	lowKeeps, highKeeps := accepted(low), accepted(high)
	return proof{accepts: func(p ptr) bool {
		f := float64(get[T](p))
		return (f > low || f == low && lowKeeps) && (f < high || f == high && highKeeps)
	}}
}

// nearest returns the float that is nearest to a limit, other for no limit.
func nearest[T float32 | float64](l *rule.Limit, other float64) float64 {
	if l == nil {
		return other
	}
	if reflect.TypeFor[T]().Bits() == 32 {
		f, _ := l.Rat.Float32()
		return float64(f)
	}
	f, _ := l.Rat.Float64()
	return f
}

// proveList returns the rule of the items too.
func proveList(t reflect.Type, c chain) (items *rule.Rule, p proof) {
	if !c.allows(rule.Array) {
		return nil, unproved
	}
	least, most, unique := 0, math.MaxInt, false
	for _, r := range c.rules {
		if r.Items != nil && items != nil {
			return nil, unproved
		}
		if r.Items != nil {
			items = r.Items
		}
		least = max(least, r.MinItems)
		if r.MaxItems >= 0 {
			most = min(most, r.MaxItems)
		}
		unique = unique || r.Unique
	}
	if t.Kind() == reflect.Array {
		if least <= t.Len() && t.Len() <= most && (!unique || t.Len() < 2) {
			return items, proved
		}
		return items, unproved
	}
	if least == 0 && most == math.MaxInt && !unique {
		return items, proved
	}
	texts := t.Elem().Kind() == reflect.String && t.Elem() != numberType
	return items, proof{accepts: func(p ptr) bool {
		n := get[sliceHeader](p).len
		return n >= least && n <= most && (!unique || n < 2 || texts && distinct(get[[]string](p)))
	}}
}

// distinct reports whether a few texts are surely different from each other.
func distinct(texts []string) bool {
	if len(texts) > 16 {
		return false
	}
	for i, text := range texts {
		if !utf8.ValidString(text) || slices.Contains(texts[:i], text) {
			return false
		}
	}
	return true
}

// proveMap returns the rule of the values too.
func proveMap(c chain) (values *rule.Rule, p proof) {
	if !c.allows(rule.Object) {
		return nil, unproved
	}
	for _, r := range c.rules {
		if r.MinProperties >= 0 || r.MaxProperties >= 0 || len(r.Properties) > 0 || r.Additional != nil &&
			(r.Additional.Never || values != nil) {
			return nil, unproved
		}
		if r.Additional != nil {
			values = r.Additional
		}
	}
	return values, proved
}

// structRules are the rules of a struct's fields.
type structRules struct{ rules []*rule.Rule }

// of returns the rule of a field.
func (s structRules) of(name string) *rule.Rule {
	for _, r := range s.rules {
		if property := r.Properties[name]; property != nil {
			return property.Rule
		}
		if r.Additional != nil {
			return r.Additional
		}
	}
	return nil
}

func (s structRules) requires(name string) bool {
	return slices.ContainsFunc(s.rules, func(r *rule.Rule) bool { return slices.Contains(r.Required, name) })
}

// proveStruct returns the rules of the fields too.
func proveStruct(fields []Field, c chain) (structRules, proof) {
	if !c.allows(rule.Object) {
		return structRules{}, unproved
	}
	looking := 0
	for _, r := range c.rules {
		if len(r.Properties) > 0 || r.Additional != nil {
			looking++
		}
		if r.MinProperties >= 0 || r.MaxProperties >= 0 || looking > 1 {
			return structRules{}, unproved
		}
		for _, f := range fields {
			if r.Properties[f.Name] == nil && r.Additional != nil && r.Additional.Never {
				return structRules{}, unproved
			}
		}
		for _, name := range r.Required {
			if !slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name }) {
				return structRules{}, unproved
			}
		}
	}
	return structRules{c.rules}, proved
}
