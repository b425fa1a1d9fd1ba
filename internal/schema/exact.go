package schema

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/jsonplan"
	"github.com/kafkaesk/kafkaesk/internal/rawjson"
	"github.com/kafkaesk/kafkaesk/internal/schema/rule"
)

var (
	unmarshalerType     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// exactness finds what encoding/json would decode past the check of a part that v5 checks: v5 sees the last of two
// members with one name, and takes a name in another case for one that is not declared. It goes by the Go type, as
// encoding/json does.
type exactness struct {
	data   []byte
	fields map[reflect.Type][]jsonplan.Field
	path   []step
	found  []Violation
}

// step is the name of a member, or an index.
type step struct {
	text  string
	index bool
}

// exactly returns what there is of this in data, the JSON of a value of the type.
func exactly(t reflect.Type, data []byte) []Violation {
	e := exactness{data: data, fields: map[reflect.Type][]jsonplan.Field{}}
	e.value(t, 0)
	slices.SortStableFunc(e.found, func(a, b Violation) int { return slices.Compare(a.Path, b.Path) })
	return e.found
}

// value looks at the value of the type that starts at i, and returns where it ends.
func (e *exactness) value(t reflect.Type, i int) int {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	first := e.data[i]
	switch {
	case t == nil, len(e.found) == rule.MaxViolations:
	case reflect.PointerTo(t).Implements(unmarshalerType), reflect.PointerTo(t).Implements(textUnmarshalerType):
	case t.Kind() == reflect.Struct && first == '{':
		return e.object(t, i)
	case t.Kind() == reflect.Map && first == '{':
		return e.members(i, func(string) reflect.Type { return t.Elem() })
	case (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && first == '[':
		for i, n := i+1, 0; ; n++ {
			at, ok := rawjson.NextElement(e.data, i)
			if !ok {
				return at + 1
			}
			i = e.inside(step{strconv.Itoa(n), true}, t.Elem(), at)
		}
	}
	return rawjson.Skip(e.data, i)
}

func (e *exactness) inside(s step, t reflect.Type, i int) int {
	e.path = append(e.path, s)
	end := e.value(t, i)
	e.path = e.path[:len(e.path)-1]
	return end
}

func (e *exactness) members(i int, typeOf func(name string) reflect.Type) int {
	for i++; ; {
		m, ok := rawjson.NextMember(e.data, i)
		if !ok {
			return m.Key + 1
		}
		name := rawjson.Unquote(e.data[m.Key:m.KeyEnd])
		i = e.inside(step{text: name}, typeOf(name), m.Value)
	}
}

func (e *exactness) object(t reflect.Type, i int) int {
	fields, known := e.fields[t]
	if !known {
		fields = jsonplan.Fields(t)
		e.fields[t] = fields
	}
	seen := map[string]bool{}
	return e.members(i, func(name string) reflect.Type {
		folded := ""
		for _, f := range fields {
			switch {
			case f.Name == name && seen[name]:
				e.say(name, "is there twice")
				return f.Type
			case f.Name == name:
				seen[name] = true
				return f.Type
			case folded == "" && strings.EqualFold(f.Name, name):
				folded = f.Name
			}
		}
		if folded != "" {
			e.say(name, "differs from the property "+folded+" by case only, and would be decoded in its place")
		}
		return nil
	})
}

// say notes a violation of a member of the object that is looked at.
func (e *exactness) say(name, text string) {
	if len(e.found) == rule.MaxViolations {
		return
	}
	v := Violation{Keyword: "properties", Text: text}
	for _, s := range append(slices.Clip(e.path), step{text: name}) {
		switch {
		case s.index:
			v.Field += "[" + s.text + "]"
		case len(v.Path) == 0:
			v.Field = s.text
		default:
			v.Field += "." + s.text
		}
		v.Path = append(v.Path, s.text)
	}
	e.found = append(e.found, v)
}
