package schema

import (
	"reflect"
	"slices"
	"strings"
)

// pointerTo returns the writer of a pointer to what element writes.
func pointerTo(element *writer) writer {
	return writer{write: func(dst []byte, v reflect.Value, depth int) ([]byte, bool) {
		if v.IsNil() {
			return append(dst, "null"...), true
		}
		if depth == nested {
			return dst, false
		}
		return element.write(dst, v.Elem(), depth+1)
	}}
}

// list is for slices and arrays.
func (all *writers) list(t reflect.Type) writer {
	element, nilable := all.of(t.Elem()), t.Kind() == reflect.Slice
	if element.standard {
		return all.leave() // all at once costs less
	}
	return writer{write: func(dst []byte, v reflect.Value, depth int) (_ []byte, ok bool) {
		if nilable && v.IsNil() {
			return append(dst, "null"...), true
		}
		if depth == nested {
			return dst, false
		}
		n := v.Len()
		if n == 0 {
			return append(dst, "[]"...), true
		}
		start := len(dst)
		for i := range n {
			if dst, ok = element.write(append(dst, ','), v.Index(i), depth+1); !ok {
				return dst, false
			}
		}
		dst[start] = '['
		return append(dst, ']'), true
	}}
}

// entry is one member of a map.
type entry struct {
	key   string
	value reflect.Value
}

// mapping is for maps. Keys of other kinds than string are written by rules of their own, and left to encoding/json.
func (all *writers) mapping(t reflect.Type) writer {
	element := all.of(t.Elem())
	if t.Key().Kind() != reflect.String || element.standard {
		return all.leave()
	}
	if t == labelsType {
		return writer{write: writeLabels}
	}
	return writer{write: func(dst []byte, v reflect.Value, depth int) (_ []byte, ok bool) {
		if v.IsNil() {
			return append(dst, "null"...), true
		}
		if depth == nested {
			return dst, false
		}
		if v.Len() == 0 {
			return append(dst, "{}"...), true
		}
		members := make([]entry, 0, v.Len())
		for each := v.MapRange(); each.Next(); {
			members = append(members, entry{each.Key().String(), each.Value()})
		}
		slices.SortFunc(members, func(a, b entry) int { return strings.Compare(a.key, b.key) })
		start := len(dst)
		for _, m := range members {
			dst = append(appendText(append(dst, ','), m.key), ':')
			if dst, ok = element.write(dst, m.value, depth+1); !ok {
				return dst, false
			}
		}
		dst[start] = '{'
		return append(dst, '}'), true
	}}
}

var labelsType = reflect.TypeFor[map[string]string]()

// writeLabels writes the most frequent type of map, without allocating for a dozen members.
func writeLabels(dst []byte, v reflect.Value, _ int) ([]byte, bool) {
	labels, _ := reflect.TypeAssert[map[string]string](v)
	if labels == nil {
		return append(dst, "null"...), true
	}
	if len(labels) == 0 {
		return append(dst, "{}"...), true
	}
	var few [12]string
	keys := few[:0]
	for key := range labels {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	start := len(dst)
	for _, key := range keys {
		dst = append(appendText(append(dst, ','), key), ':')
		dst = appendText(dst, labels[key])
	}
	dst[start] = '{'
	return append(dst, '}'), true
}

// slot is one field of a struct as it is written.
type slot struct {
	key   string // the comma before it, the name, the colon
	path  path
	skip  func(reflect.Value) bool
	value *writer
}

// structure leaves a struct to encoding/json as a whole when one of its fields has an option that takes encoding/json's own way of
// seeing the field.
func (all *writers) structure(t reflect.Type) writer {
	var slots []slot
	for _, f := range fieldsOf(t) {
		value := all.of(f.typ)
		if f.quoted {
			if value = all.quoted(f.typ); value == nil {
				return all.leave()
			}
		}
		skip, known := absent(f)
		if !known {
			return all.leave()
		}
		slots = append(slots, slot{key: `,"` + f.name + `":`, path: f.index, skip: skip, value: value})
	}
	return writer{write: func(dst []byte, v reflect.Value, depth int) (_ []byte, ok bool) {
		start := len(dst)
		for i := range slots {
			s := &slots[i]
			field, there := v.Field(s.path[0]), true // a call less for nearly all
			if len(s.path) > 1 {
				field, there = s.path[1:].from(field)
			}
			if !there || s.skip != nil && s.skip(field) {
				continue
			}
			if dst, ok = s.value.write(append(dst, s.key...), field, depth); !ok {
				return dst, false
			}
		}
		if len(dst) == start {
			return append(dst, "{}"...), true
		}
		dst[start] = '{'
		return append(dst, '}'), true
	}}
}

// quoted returns the writer of a number or boolean with the string option, or of a pointer to one, nil for other types: a text is not
// simply put in quotes, and one with methods not at all.
func (all *writers) quoted(t reflect.Type) *writer {
	if t.Kind() == reflect.Pointer {
		inner := all.quoted(t.Elem())
		if inner == nil {
			return nil
		}
		outer := pointerTo(inner)
		return &outer
	}
	inner := all.of(t)
	if inner.standard || t.Kind() == reflect.String {
		return nil
	}
	return &writer{write: func(dst []byte, v reflect.Value, depth int) ([]byte, bool) {
		dst, ok := inner.write(append(dst, '"'), v, depth)
		return append(dst, '"'), ok
	}}
}
