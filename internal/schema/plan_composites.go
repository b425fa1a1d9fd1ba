package schema

import (
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// member is a struct field that needs a check.
type member struct {
	path     path
	skip     func(reflect.Value) bool // true for a value that is not written; nil when it always is
	required bool
	proof    *proof
}

func (p *prover) structCheck(t reflect.Type, s *jsonschema.Schema, field string) func(reflect.Value) bool {
	if !allowsType(s, "object") || len(s.Enum)+len(s.Constant) > 0 {
		return p.unproved(field, "the schema does not allow every object")
	}
	fields := fieldsOf(t)
	var members []member
	for _, f := range fields {
		property, declared := s.Properties[f.name]
		if !declared && s.AdditionalProperties != nil && s.AdditionalProperties != true {
			return p.unproved(join(field, f.name), "additionalProperties is checked on the JSON")
		}
		m := member{path: f.index, required: f.mayBeAbsent() && slices.Contains(s.Required, f.name), proof: &proof{}}
		if declared {
			m.proof = p.member(f, property, join(field, f.name))
		}
		if m.proof.byType() && !m.required {
			continue
		}
		var known bool
		if m.skip, known = absent(f); !known {
			m.skip, m.proof = nil, &proof{check: p.unproved(join(field, f.name), "its IsZero method decides whether it is written")}
		}
		members = append(members, m)
	}
	for _, name := range s.Required {
		if !slices.ContainsFunc(fields, func(f jsonField) bool { return f.name == name }) {
			return p.unproved(join(field, name), "is required, and the type does not have it")
		}
	}
	if len(members) == 0 {
		return nil
	}
	return func(v reflect.Value) bool {
		for i := range members {
			if !members[i].holds(v) {
				return false
			}
		}
		return true
	}
}

// holds checks one field of the struct v.
func (m *member) holds(v reflect.Value) bool {
	v, there := v.Field(m.path[0]), true
	if len(m.path) > 1 {
		v, there = m.path[1:].from(v)
	}
	if !there {
		return !m.required
	}
	if m.skip != nil && m.skip(v) {
		return !m.required
	}
	return m.proof.holds(v)
}

// member returns the proof of a field's value under its property's schema.
func (p *prover) member(f jsonField, s *jsonschema.Schema, name string) *proof {
	if !f.quoted {
		return p.prove(f.typ, s, name)
	}
	base := f.typ
	nilable := base.Kind() == reflect.Pointer
	if nilable {
		base = base.Elem()
	}
	switch {
	case allowsAll(s):
		return &proof{}
	case !custom(base) && onlyType(s, "string") && s.Ref == nil && unlessNull(s) == nil:
		if nilable {
			return &proof{check: orNil(&proof{}, acceptsNull(s))}
		}
		return &proof{}
	default:
		return &proof{check: p.unproved(name, "the string option makes it text only in the JSON")}
	}
}

func (p *prover) mapCheck(t reflect.Type, s *jsonschema.Schema, field string) func(reflect.Value) bool {
	if !allowsType(s, "object") || len(s.Enum)+len(s.Constant) > 0 {
		return p.unproved(field, "the schema does not allow every object")
	}
	if len(s.Properties)+len(s.Required) > 0 {
		return p.unproved(field, "the keys of a map are known only in the JSON")
	}
	switch extra := s.AdditionalProperties.(type) {
	case nil:
		return nil
	case *jsonschema.Schema:
		element := p.prove(t.Elem(), extra, field+"{}")
		if element.byType() {
			return nil
		}
		return func(v reflect.Value) bool {
			for entries := v.MapRange(); entries.Next(); {
				if !element.holds(entries.Value()) {
					return false
				}
			}
			return true
		}
	case bool:
		if extra {
			return nil
		}
	}
	return p.unproved(field, "additionalProperties is checked on the JSON")
}

func (p *prover) listCheck(t reflect.Type, s *jsonschema.Schema, field string) func(reflect.Value) bool {
	if t.Kind() == reflect.Slice && bytesLike(t) {
		if onlyType(s, "string") {
			return nil
		}
		return p.unproved(field, "bytes are text only in the JSON")
	}
	if !allowsType(s, "array") || len(s.Enum)+len(s.Constant) > 0 {
		return p.unproved(field, "the schema does not allow every array")
	}
	var check func(reflect.Value) bool
	if least := s.MinItems; least > 0 && !(t.Kind() == reflect.Array && t.Len() >= least) {
		check = func(v reflect.Value) bool { return v.Len() >= least }
	}
	if most := s.MaxItems; most >= 0 && !(t.Kind() == reflect.Array && t.Len() <= most) {
		check = both(check, func(v reflect.Value) bool { return v.Len() <= most })
	}
	if s.UniqueItems {
		same := equality(t.Elem())
		if same == nil {
			return p.unproved(field, "uniqueItems of "+t.Elem().String()+" is checked on the JSON")
		}
		check = both(check, func(v reflect.Value) bool { return distinct(v, same) })
	}
	if s.Items2020 == nil {
		return check
	}
	element := p.prove(t.Elem(), s.Items2020, field+"[]")
	if element.byType() {
		return check
	}
	return both(check, func(v reflect.Value) bool {
		for i := range v.Len() {
			if !element.holds(v.Index(i)) {
				return false
			}
		}
		return true
	})
}

// compared is how many items are compared pair by pair; longer lists are left to v5, which hashes them.
const compared = 64

// distinct tells whether no two items are the same.
func distinct(v reflect.Value, same func(a, b reflect.Value) bool) bool {
	n := v.Len()
	if n > compared {
		return false
	}
	for i := 1; i < n; i++ {
		item := v.Index(i)
		for j := range i {
			if same(item, v.Index(j)) {
				return false
			}
		}
	}
	return true
}

// equality returns how two items are compared as JSON, nil where it takes their JSON to know. A broken text counts as the same as any:
// different ones can become equal.
func equality(t reflect.Type) func(a, b reflect.Value) bool {
	if custom(t) || t == numberType {
		return nil
	}
	switch {
	case t.Kind() == reflect.String:
		return func(a, b reflect.Value) bool {
			return a.String() == b.String() || !utf8.ValidString(a.String()) || !utf8.ValidString(b.String())
		}
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		return func(a, b reflect.Value) bool { return a.Int() == b.Int() }
	case t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uintptr:
		return func(a, b reflect.Value) bool { return a.Uint() == b.Uint() }
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		return func(a, b reflect.Value) bool { return a.Float() == b.Float() }
	default:
		return nil
	}
}
