package schema

import (
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// timeCheck: encoding/json writes a time.Time as RFC 3339, or fails.
func (p *prover) timeCheck(s *jsonschema.Schema, field string) func(reflect.Value) bool {
	plain := *s
	if s.Format == "date-time" {
		plain.Format = ""
	}
	if onlyType(&plain, "string") {
		return nil
	}
	return p.unproved(field, "a time is text only in the JSON")
}

func (p *prover) boolCheck(s *jsonschema.Schema, field string) func(reflect.Value) bool {
	if !allowsType(s, "boolean") || len(s.Enum)+len(s.Constant) > 0 {
		return p.unproved(field, "the schema does not allow every boolean")
	}
	return nil
}

func (p *prover) stringCheck(s *jsonschema.Schema, field string) func(reflect.Value) bool {
	if !allowsType(s, "string") {
		return p.unproved(field, "the schema does not allow a string")
	}
	var check func(reflect.Value) bool
	if least := s.MinLength; least > 0 {
		check = func(v reflect.Value) bool { // characters are one to four bytes
			text := v.String()
			return len(text) >= least && (len(text)/utf8.UTFMax >= least || utf8.RuneCountInString(text) >= least)
		}
	}
	if most := s.MaxLength; most >= 0 {
		check = both(check, func(v reflect.Value) bool {
			text := v.String()
			return len(text) <= most || utf8.RuneCountInString(text) <= most
		})
	}
	if pattern := s.Pattern; pattern != nil {
		check = both(check, encodedAsIs(pattern.MatchString))
	}
	for _, list := range [][]any{s.Enum, s.Constant} {
		if len(list) == 0 {
			continue
		}
		var allowed []string
		for _, item := range list {
			if text, ok := item.(string); ok {
				allowed = append(allowed, text)
			}
		}
		check = both(check, encodedAsIs(func(text string) bool { return slices.Contains(allowed, text) }))
	}
	if format := formatOf(s); format != nil {
		check = both(check, encodedAsIs(func(text string) bool { return format(text) }))
	}
	return check
}

// encodedAsIs makes a check of a text that is the same in Go and in JSON. Broken UTF-8 is not: v5 sees U+FFFD in its place.
func encodedAsIs(check func(string) bool) func(reflect.Value) bool {
	return func(v reflect.Value) bool {
		text := v.String()
		return check(text) && utf8.ValidString(text)
	}
}

// span holds the integers that a schema allows, with bounds included. Nil is no bound.
type span struct {
	low, high *big.Int
	step      *big.Int   // nil: any; else only its multiples
	lists     [][]string // each has the allowed numbers in decimal
}

// integers reads the numeric keywords for a Go integer, exactly: the bounds may be fractions.
func integers(s *jsonschema.Schema) span {
	var out span
	lower := func(b *big.Int) {
		if out.low == nil || b.Cmp(out.low) > 0 {
			out.low = b
		}
	}
	upper := func(b *big.Int) {
		if out.high == nil || b.Cmp(out.high) < 0 {
			out.high = b
		}
	}
	one := big.NewInt(1)
	if s.Minimum != nil {
		lower(ceiling(s.Minimum))
	}
	if s.ExclusiveMinimum != nil {
		lower(new(big.Int).Add(floor(s.ExclusiveMinimum), one))
	}
	if s.Maximum != nil {
		upper(floor(s.Maximum))
	}
	if s.ExclusiveMaximum != nil {
		upper(new(big.Int).Sub(ceiling(s.ExclusiveMaximum), one))
	}
	if s.MultipleOf != nil { // in lowest terms: n/(a/b) is whole exactly when a divides n
		out.step = s.MultipleOf.Num()
	}
	for _, list := range [][]any{s.Enum, s.Constant} {
		if len(list) == 0 {
			continue
		}
		allowed := []string{}
		for _, item := range list {
			if r := rational(item); r != nil && r.IsInt() {
				allowed = append(allowed, r.Num().String())
			}
		}
		out.lists = append(out.lists, allowed)
	}
	return out
}

func floor(r *big.Rat) *big.Int { return new(big.Int).Div(r.Num(), r.Denom()) } // Euclidean, and Denom is positive

func ceiling(r *big.Rat) *big.Int {
	negative := new(big.Rat).Neg(r)
	return new(big.Int).Neg(floor(negative))
}

// rational returns a JSON number's exact value, nil for anything else.
func rational(item any) *big.Rat {
	number, ok := item.(json.Number)
	if !ok {
		return nil
	}
	r, _ := new(big.Rat).SetString(number.String())
	return r
}

func (p *prover) intCheck(s *jsonschema.Schema, field string) func(reflect.Value) bool {
	if !allowsType(s, "integer") && !allowsType(s, "number") {
		return p.unproved(field, "the schema does not allow an integer")
	}
	var check func(reflect.Value) bool
	in := integers(s)
	if in.low != nil || in.high != nil {
		low, high := int64(math.MinInt64), int64(math.MaxInt64)
		if in.low != nil && in.low.Cmp(big.NewInt(low)) > 0 {
			if !in.low.IsInt64() {
				return p.unproved(field, "no value of this type is large enough")
			}
			low = in.low.Int64()
		}
		if in.high != nil && in.high.Cmp(big.NewInt(high)) < 0 {
			if !in.high.IsInt64() {
				return p.unproved(field, "no value of this type is small enough")
			}
			high = in.high.Int64()
		}
		check = func(v reflect.Value) bool { n := v.Int(); return low <= n && n <= high }
	}
	if in.step != nil {
		step, exact := in.step.Int64(), in.step.IsInt64() // a larger step has the multiple 0 only, and perhaps MinInt64: left to v5
		check = both(check, func(v reflect.Value) bool { n := v.Int(); return n == 0 || exact && n%step == 0 })
	}
	for _, list := range in.lists {
		allowed := []int64{}
		for _, text := range list {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				allowed = append(allowed, n)
			}
		}
		check = both(check, func(v reflect.Value) bool { return slices.Contains(allowed, v.Int()) })
	}
	return check
}

func (p *prover) uintCheck(s *jsonschema.Schema, field string) func(reflect.Value) bool {
	if !allowsType(s, "integer") && !allowsType(s, "number") {
		return p.unproved(field, "the schema does not allow an integer")
	}
	var check func(reflect.Value) bool
	in := integers(s)
	if in.low != nil || in.high != nil {
		low, high := uint64(0), uint64(math.MaxUint64)
		if in.low != nil && in.low.Sign() > 0 {
			if !in.low.IsUint64() {
				return p.unproved(field, "no value of this type is large enough")
			}
			low = in.low.Uint64()
		}
		if in.high != nil && (in.high.Sign() < 0 || in.high.IsUint64()) {
			if in.high.Sign() < 0 {
				return p.unproved(field, "no value of this type is small enough")
			}
			high = in.high.Uint64()
		}
		check = func(v reflect.Value) bool { n := v.Uint(); return low <= n && n <= high }
	}
	if in.step != nil {
		step, exact := in.step.Uint64(), in.step.IsUint64()
		check = both(check, func(v reflect.Value) bool { n := v.Uint(); return n == 0 || exact && n%step == 0 })
	}
	for _, list := range in.lists {
		allowed := []uint64{}
		for _, text := range list {
			if n, err := strconv.ParseUint(text, 10, 64); err == nil {
				allowed = append(allowed, n)
			}
		}
		check = both(check, func(v reflect.Value) bool { return slices.Contains(allowed, v.Uint()) })
	}
	return check
}

// threshold is a limit as a Go float. v5 compares the decimal that encoding/json writes, the shortest that reads back as the
// float. Floats and their decimals are in the same order, so that only the float nearest to the limit needs its decimal.
type threshold struct {
	float float64
	side  int // the decimal of float compared with the limit: -1, 0, 1
}

func thresholdOf(r *big.Rat, bits int) threshold {
	var t threshold
	if bits == 32 {
		f, _ := r.Float32()
		t.float = float64(f)
	} else {
		t.float, _ = r.Float64()
	}
	if !math.IsInf(t.float, 0) {
		t.side = decimal(t.float, bits).Cmp(r)
	}
	return t
}

// decimal returns the exact value of what encoding/json writes for a float.
func decimal(f float64, bits int) *big.Rat {
	r, _ := new(big.Rat).SetString(strconv.FormatFloat(f, 'e', -1, bits))
	return r
}

// compare returns where the decimal of f is: -1 below the limit, 0 at it, 1 above.
func (t threshold) compare(f float64) int {
	switch {
	case f < t.float:
		return -1
	case f > t.float:
		return 1
	default:
		return t.side
	}
}

func (p *prover) floatCheck(t reflect.Type, s *jsonschema.Schema, field string) func(reflect.Value) bool {
	if !allowsType(s, "number") {
		return p.unproved(field, "the schema does not allow every number")
	}
	bits := t.Bits()
	var check func(reflect.Value) bool
	for _, limit := range []struct {
		value *big.Rat
		keeps func(side int) bool
	}{
		{s.Minimum, func(side int) bool { return side >= 0 }},
		{s.ExclusiveMinimum, func(side int) bool { return side > 0 }},
		{s.Maximum, func(side int) bool { return side <= 0 }},
		{s.ExclusiveMaximum, func(side int) bool { return side < 0 }},
	} {
		if limit.value == nil {
			continue
		}
		at, keeps := thresholdOf(limit.value, bits), limit.keeps
		check = both(check, func(v reflect.Value) bool { return keeps(at.compare(v.Float())) })
	}
	if step := s.MultipleOf; step != nil {
		check = both(check, func(v reflect.Value) bool {
			n := decimal(v.Float(), bits)
			return n.Quo(n, step).IsInt()
		})
	}
	for _, list := range [][]any{s.Enum, s.Constant} {
		if len(list) == 0 {
			continue
		}
		allowed := []float64{}
		for _, item := range list {
			if r := rational(item); r != nil {
				if at := thresholdOf(r, bits); at.side == 0 {
					allowed = append(allowed, at.float)
				}
			}
		}
		check = both(check, func(v reflect.Value) bool { return slices.Contains(allowed, v.Float()) })
	}
	return check
}
