package logrecord

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/jsonplan"
	"github.com/kafkaesk/kafkaesk/internal/rawjson"
	"github.com/kafkaesk/kafkaesk/internal/schema/rule"
)

// moved is a field that breaks its model's schema. It was removed from the model.
type moved struct {
	path  []string
	value []byte
}

// check validates the model m, whose JSON object is the end of the buffer, from start on. Each field that breaks the
// schema is removed from the object and added to b.moved; the reason is added to schema_errors. If there are too many
// violations, all fields are moved.
func (b *builder) check(plan *jsonplan.Plan, m any, start int) {
	outer := b.lend()
	b.rules.Models, b.rules.Limit = true, math.MaxInt
	violations := plan.Violations(&b.writer, m)
	b.takeBack(outer)
	if len(violations) == 0 {
		return
	}
	doc := bytes.Clone(b.buf[start:])
	parent := b.objectPath()
	for _, violation := range violations {
		field := strings.TrimSuffix(strings.Join(append(slices.Clone(parent), violation.Field), "."), ".")
		if field == "" { // the model as a whole, at the root
			field = plan.Type().String()
		}
		b.schemaErrors = append(b.schemaErrors, field+": "+violation.Keyword+": "+violation.Sentence())
		if len(violations) < rule.MaxViolations {
			doc = b.moveOut(doc, parent, violation.Path)
		}
	}
	if len(violations) == rule.MaxViolations {
		rawjson.Members(doc, func(key, value []byte) bool {
			path := append(slices.Clone(parent), rawjson.Unquote(key))
			b.moved = append(b.moved, moved{path, bytes.Clone(value)})
			return true
		})
		doc = []byte("{}")
	}
	b.buf = append(b.buf[:start], doc...)
}

// moveOut removes the field at path from the model doc, and adds it to b.moved. If the field is an element of an array,
// the whole array is moved, because the indices of the other elements would change.
func (b *builder) moveOut(doc []byte, parent, path []string) []byte {
	key, val, end, depth, found := lookup(doc, path)
	if !found || depth == 0 {
		return doc // there is no such field, or the path is that of the whole model
	}
	if depth < len(path) {
		key, val, end, _, _ = lookup(doc, path[:depth])
	}
	b.moved = append(b.moved, moved{slices.Concat(parent, path[:depth]), bytes.Clone(doc[val:end])})
	return cut(doc, key, end)
}

// objectPath returns the path of the innermost open object, with the names that the record has: invalid UTF-8 in the
// name of a group is replaced, and a group that has the name of an own field of the record gets attrPrefix.
func (b *builder) objectPath() []string {
	path := slices.Clone(b.path)
	for i, name := range path {
		path[i] = strings.ToValidUTF8(name, rawjson.Plain)
	}
	if len(path) > 0 {
		if _, isOwn := b.names.find(path[0]); isOwn {
			path[0] = attrPrefix + path[0]
		}
	}
	return path
}

// lookup finds the value at path in doc, which it returns as the range from val to end. key is the start of the key of
// the last object member on the path, and depth is the length of the path to that member; 0 if there is none.
func lookup(doc []byte, path []string) (key, val, end, depth int, found bool) {
	val, end = 0, len(doc)
	for n, name := range path {
		switch doc[val] {
		case '{':
			k, v, e, after := next(doc, val+1)
			for k >= 0 && rawjson.Unquote(doc[k:rawjson.SkipString(doc, k)]) != name {
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
				if i = rawjson.Skip(doc, i); doc[i] == ',' {
					i++
				}
			}
			if index != 0 || doc[i] == ']' {
				return 0, 0, 0, 0, false
			}
			val, end = i, rawjson.Skip(doc, i)
		default:
			return 0, 0, 0, 0, false
		}
	}
	return key, val, end, depth, true
}

// cut removes the member from key to end, and one comma, from doc.
func cut(doc []byte, key, end int) []byte {
	switch {
	case doc[end] == ',':
		end++
	case doc[key-1] == ',':
		key--
	}
	return slices.Delete(doc, key, end)
}

// appendMoved appends an object that has the moved fields at their paths. If two fields have the same path, the later
// one is written. A field inside of another moved field is left out. A map finds the members, because a linear search
// would take too long for very many fields.
func appendMoved(dst []byte, fields []moved) []byte {
	type member struct {
		name  string
		whole []byte
		inner []moved
	}
	var members []member
	indices := make(map[string]int)
	for _, f := range fields {
		index, known := indices[f.path[0]]
		if !known {
			index = len(members)
			indices[f.path[0]] = index
			members = append(members, member{name: f.path[0]})
		}
		if m := &members[index]; len(f.path) == 1 {
			m.whole = f.value
		} else {
			m.inner = append(m.inner, moved{f.path[1:], f.value})
		}
	}
	dst = append(dst, '{')
	for _, m := range members {
		dst = append(appendString(dst, m.name), ':')
		if m.whole != nil {
			dst = append(dst, m.whole...)
		} else {
			dst = appendMoved(dst, m.inner)
		}
		dst = append(dst, ',')
	}
	return closeWith(dst, '}')
}
