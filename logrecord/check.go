package logrecord

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/schema"
)

// moved is a field that breaks its model's schema, taken out of its place.
type moved struct {
	path  []string
	value []byte
}

// compiled returns the schema of a model's type, made at its first use.
func (t *typeInfo) compiled() (*schema.Schema, error) {
	t.once.Do(func() { t.schema, t.schemaErr = schema.For(t.typ) })
	return t.schema, t.schemaErr
}

// check validates the model whose JSON object starts at start and ends the buffer. Fields that break its schema are moved
// out, and the reasons noted. What cannot be checked is noted too.
func (b *builder) check(v reflect.Value, start int) {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	info := b.types.of(v.Type())
	s, err := info.compiled()
	if err == nil {
		err = s.Check(b.buf[start:])
	}
	var invalid *schema.Invalid
	switch {
	case err == nil:
		return
	case !errors.As(err, &invalid):
		b.schemaErrors = append(b.schemaErrors, info.typ.String()+": schema: "+err.Error())
		return
	}
	doc := bytes.Clone(b.buf[start:])
	place := b.place()
	for _, violation := range invalid.Violations {
		key, val, end, depth, found := lookup(doc, violation.Path)
		if found && excused(doc[val:end]) {
			continue
		}
		field := strings.TrimSuffix(strings.Join(append(slices.Clone(place), violation.Field), "."), ".")
		if field == "" { // the model as a whole, at the root
			field = info.typ.String()
		}
		b.schemaErrors = append(b.schemaErrors, field+": "+violation.Keyword+": "+violation.Sentence())
		if !found || depth == 0 {
			continue // nothing is there, or it is the model as a whole
		}
		if depth < len(violation.Path) { // in an array, which keeps its indices: it moves as a whole
			key, val, end, _, _ = lookup(doc, violation.Path[:depth])
		}
		path := slices.Concat(place, violation.Path[:depth])
		b.moved = append(b.moved, moved{path, bytes.Clone(doc[val:end])})
		doc = cut(doc, key, end)
	}
	b.buf = append(b.buf[:start], doc...)
}

// place is the path of the innermost object in the record, as its names are written: groups whose names differ in bytes only that are not
// UTF-8 are one, and a group may have another name than its own.
func (b *builder) place() []string {
	path := slices.Clone(b.path)
	for i, name := range path {
		path[i] = valid(name)
	}
	if len(path) > 0 {
		if _, isOwn := b.names.find(path[0]); isOwn {
			path[0] = attrPrefix + path[0]
		}
	}
	return path
}

// excused tells whether a value may break its schema: null, which a nil pointer, slice or map is, and a note that stands in
// the place of what could not be written.
func excused(value []byte) bool {
	return isNull(value) || bytes.HasPrefix(value, []byte(`"`+errorNote)) || bytes.HasPrefix(value, []byte(`"`+panicNote))
}

// lookup returns where the value of that path stands in doc. The key is that of the innermost member of an object on the
// way, and depth the length of the path to it.
func lookup(doc []byte, path []string) (key, val, end, depth int, found bool) {
	val, end = 0, len(doc)
	for n, name := range path {
		switch doc[val] {
		case '{':
			k, v, e, after := next(doc, val+1)
			for k >= 0 && unquote(doc[k:skipString(doc, k)]) != name {
				k, v, e, after = next(doc, after)
			}
			if k < 0 {
				return 0, 0, 0, 0, false
			}
			key, val, end, depth = k, v, e, n+1
		case '[':
			index, err := strconv.Atoi(name)
			if err != nil {
				return 0, 0, 0, 0, false
			}
			i := val + 1
			for ; index > 0 && doc[i] != ']'; index-- {
				if i = skip(doc, i); doc[i] == ',' {
					i++
				}
			}
			if index != 0 || doc[i] == ']' {
				return 0, 0, 0, 0, false
			}
			val, end = i, skip(doc, i)
		default:
			return 0, 0, 0, 0, false
		}
	}
	return key, val, end, depth, true
}

// cut takes the member from key to end out of doc, with one comma.
func cut(doc []byte, key, end int) []byte {
	switch {
	case doc[end] == ',':
		end++
	case doc[key-1] == ',':
		key--
	}
	return slices.Delete(doc, key, end)
}

// appendMoved appends the object that mirrors the paths of the fields that were moved. Of two of one path the later one
// stays; one that lies in another that was moved whole is left out.
func appendMoved(dst []byte, fields []moved) []byte {
	dst = append(dst, '{')
	for i, f := range fields {
		name := f.path[0]
		if slices.ContainsFunc(fields[:i], func(g moved) bool { return g.path[0] == name }) {
			continue // written with the first
		}
		var whole []byte
		var inner []moved
		for _, g := range fields[i:] {
			switch {
			case g.path[0] != name:
			case len(g.path) == 1:
				whole = g.value
			default:
				inner = append(inner, moved{g.path[1:], g.value})
			}
		}
		dst = append(appendString(dst, name), ':')
		if whole != nil {
			dst = append(dst, whole...)
		} else {
			dst = appendMoved(dst, inner)
		}
		dst = append(dst, ',')
	}
	return closeWith(dst, '}')
}
