package schema

import (
	"reflect"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// plan encodes values and proves them valid, cheaply, without looking at the JSON. It is made once for a type and its schema, and may be
// used by several goroutines.
//
//   - proved means that v5 would accept the JSON. A value that is not proved may be valid all the same: v5 decides.
//   - err is the encoding's; then out is dst.
//   - slow lists the fields that are never proved, with the reason.
type plan interface {
	append(dst []byte, v any) (out []byte, proved bool, err error)
	slow() []string
}

// newPlan makes the plan of a type, which may be nil, under a schema.
func newPlan(t reflect.Type, s *jsonschema.Schema) plan {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return &walk{reasons: []string{"the schema is for no Go type"}}
	}
	p := &prover{known: map[subject]*proof{}}
	w := &walk{typ: t, proof: p.prove(t, s, ""), reasons: p.reasons}
	w.writer = newWriter(t, &w.encoders)
	return w
}

// walk is the plan in its simple form: the value is written, then walked once for the constraints that its type does not already prove.
type walk struct {
	typ      reflect.Type // nil: nothing can be proved, and encoding/json writes every value
	writer   *writer
	proof    *proof
	reasons  []string
	encoders encoders
}

func (w *walk) slow() []string { return w.reasons }

// append writes first: that finds cycles, which the walk would follow without end.
func (w *walk) append(dst []byte, v any) (out []byte, proved bool, err error) {
	value := reflect.ValueOf(v)
	for range nested { // a pointer may lead to itself
		if value.Kind() != reflect.Pointer {
			break
		}
		value = value.Elem()
	}
	if w.typ == nil || !value.IsValid() || value.Type() != w.typ {
		out, err = w.encoders.encode(dst, v)
		return out, false, err // another type, or a nil pointer
	}
	out, ok := w.writer.write(dst, value, 0)
	if !ok {
		if out, err = w.encoders.encode(dst, v); err != nil {
			return out, false, err
		}
	}
	return out, w.proof.holds(value), nil
}

// proof tells whether a value of one Go type keeps one schema.
type proof struct {
	check func(reflect.Value) bool // nil when the type alone proves it
	open  bool                     // being made: a recursive type refers to itself
}

func (p *proof) holds(v reflect.Value) bool { return p.check == nil || p.check(v) }

// byType tells whether the type alone is proof.
func (p *proof) byType() bool { return p.check == nil && !p.open }

// prover walks a Go type beside its schema.
type prover struct {
	known   map[subject]*proof
	reasons []string
}

type subject struct {
	typ    reflect.Type
	schema *jsonschema.Schema
}

// prove returns the proof of t under s; field is the path for reasons.
func (p *prover) prove(t reflect.Type, s *jsonschema.Schema, field string) *proof {
	key := subject{t, s}
	if known, ok := p.known[key]; ok {
		return known
	}
	made := &proof{open: true}
	p.known[key] = made
	made.check = p.compose(t, s, field)
	made.open = false
	return made
}

// compose joins the checks of s itself with those of the schemas that it applies to the same value.
func (p *prover) compose(t reflect.Type, s *jsonschema.Schema, field string) func(reflect.Value) bool {
	if allowsAll(s) {
		return nil
	}
	if t.Kind() == reflect.Pointer {
		return orNil(p.prove(t.Elem(), s, field), acceptsNull(s))
	}
	if keyword := beyond(s); keyword != "" {
		return p.unproved(field, keyword+" is checked on the JSON")
	}
	check := p.own(t, s, field)
	for _, other := range []*jsonschema.Schema{s.Ref, unlessNull(s)} {
		if other == nil {
			continue
		}
		if proof := p.prove(t, other, field); !proof.byType() {
			check = both(check, proof.holds)
		}
	}
	if k := t.Kind(); k != reflect.Slice && k != reflect.Map || custom(t) {
		return check
	}
	return orNil(&proof{check: check}, acceptsNull(s))
}

// own returns the check of the keywords that stand in s itself, for a value that is not nil.
func (p *prover) own(t reflect.Type, s *jsonschema.Schema, field string) func(reflect.Value) bool {
	switch {
	case t == timeType:
		return p.timeCheck(s, field)
	case custom(t):
		if textOnly(t) && onlyType(s, "string") {
			return nil
		}
		return p.unproved(field, t.String()+" writes its own JSON")
	case t == numberType:
		if onlyType(s, "number") {
			return nil
		}
		return p.unproved(field, "json.Number has its value as text")
	}
	switch t.Kind() {
	case reflect.Bool:
		return p.boolCheck(s, field)
	case reflect.String:
		return p.stringCheck(s, field)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return p.intCheck(s, field)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return p.uintCheck(s, field)
	case reflect.Float32, reflect.Float64:
		return p.floatCheck(t, s, field)
	case reflect.Slice, reflect.Array:
		return p.listCheck(t, s, field)
	case reflect.Map:
		return p.mapCheck(t, s, field)
	case reflect.Struct:
		return p.structCheck(t, s, field)
	default:
		return p.unproved(field, t.String()+" can hold any type")
	}
}

// unproved returns the check that leaves the value to v5, and notes why.
func (p *prover) unproved(field, reason string) func(reflect.Value) bool {
	if field == "" {
		field = "(value)"
	}
	if line := field + ": " + reason; !slices.Contains(p.reasons, line) {
		p.reasons = append(p.reasons, line)
	}
	return func(reflect.Value) bool { return false }
}

// orNil lets nil pass where null is allowed, and stops it where not.
func orNil(inner *proof, allowed bool) func(reflect.Value) bool {
	if allowed && inner.byType() {
		return nil
	}
	return func(v reflect.Value) bool {
		if v.IsNil() {
			return allowed
		}
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		return inner.holds(v)
	}
}

func both(a, b func(reflect.Value) bool) func(reflect.Value) bool {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return func(v reflect.Value) bool { return a(v) && b(v) }
}
