package compat

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// object is a JSON Schema that is an object.
type object map[string]any

// id tells objects apart.
func (o object) id() string {
	return strconv.FormatUint(uint64(reflect.ValueOf(o).Pointer()), 36) + ","
}

// conjunction is a schema as a list of objects that all count, without $ref and allOf. An empty one allows everything.
type conjunction struct {
	parts []object
	never bool // it allows nothing
}

func (c conjunction) id() string {
	var b strings.Builder
	for _, part := range c.parts {
		b.WriteString(part.id())
	}
	return b.String()
}

func (c conjunction) and(other conjunction) conjunction {
	return conjunction{parts: append(append([]object{}, c.parts...), other.parts...), never: c.never || other.never}
}

// add is and for a conjunction that nobody else has.
func (c *conjunction) add(other conjunction) {
	c.parts, c.never = append(c.parts, other.parts...), c.never || other.never
}

// side is one of the two documents.
type side struct{ root any }

// flatten follows references and allOf. Each reference is followed once: the second time it says nothing new, and
// references to definitions that refer to one another multiply.
func (s side) flatten(schema any) (conjunction, error) {
	return s.flattenBelow(schema, make(map[string]bool))
}

func (s side) flattenBelow(schema any, followed map[string]bool) (conjunction, error) {
	switch schema := schema.(type) {
	case nil:
		return conjunction{}, nil
	case bool:
		return conjunction{never: !schema}, nil
	case map[string]any:
		all := conjunction{}
		if hasConstraint(schema) {
			all.parts = []object{schema}
		}
		if ref, ok := schema["$ref"].(string); ok && !followed[ref] {
			followed[ref] = true
			target, err := s.resolve(ref)
			if err != nil {
				return all, err
			}
			referred, err := s.flattenBelow(target, followed)
			if err != nil {
				return all, err
			}
			all.add(referred)
		}
		members, _ := schema["allOf"].([]any)
		for _, member := range members {
			more, err := s.flattenBelow(member, followed)
			if err != nil {
				return all, err
			}
			all.add(more)
		}
		return all, nil
	}
	return conjunction{}, fmt.Errorf("a schema is an object, true or false, and this is %T", schema)
}

// hasConstraint reports whether a schema says more than a reference and annotations.
func hasConstraint(schema map[string]any) bool {
	for keyword := range schema {
		if keyword != "$ref" && keyword != "allOf" && !annotations[keyword] {
			return true
		}
	}
	return false
}

// resolve finds what a reference within the document points to.
func (s side) resolve(ref string) (any, error) {
	pointer, ok := strings.CutPrefix(ref, "#")
	if root, isObject := s.root.(map[string]any); !ok && isObject {
		if id, hasID := root["$id"].(string); hasID {
			pointer, ok = strings.CutPrefix(strings.TrimPrefix(ref, id), "#")
		}
	}
	if !ok || pointer != "" && pointer[0] != '/' {
		return nil, fmt.Errorf("the reference %q is not followed: write it as #/$defs/NAME", ref)
	}
	pointer, err := url.PathUnescape(pointer)
	if err != nil {
		return nil, fmt.Errorf("the reference %q: %w", ref, err)
	}
	at := s.root
	for _, name := range strings.Split(pointer, "/")[1:] {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		at, err = child(at, name)
		if err != nil {
			return nil, fmt.Errorf("the reference %q leads nowhere", ref)
		}
	}
	return at, nil
}

var errNoChild = errors.New("no such member")

func child(at any, name string) (any, error) {
	switch at := at.(type) {
	case map[string]any:
		if next, ok := at[name]; ok {
			return next, nil
		}
	case []any:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(at) {
			return at[i], nil
		}
	}
	return nil, errNoChild
}
