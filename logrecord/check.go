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

// moved is a field that breaks its model's schema, taken out of its place.
type moved struct {
	path  []string
	value []byte
}

// check validates the model whose JSON object starts at start and ends the buffer. Fields that break its schema are
// moved out, and the reasons noted. One with too many of them is moved as a whole.
func (b *builder) check(plan *jsonplan.Plan, m any, start int) {
	outer := b.lend()
	b.rules.Models, b.rules.Limit = true, math.MaxInt
	violations := plan.Violations(&b.writer, m)
	b.takeBack(outer)
	if len(violations) == 0 {
		return
	}
	doc := bytes.Clone(b.buf[start:])
	place := b.place()
	for _, violation := range violations {
		field := strings.TrimSuffix(strings.Join(append(slices.Clone(place), violation.Field), "."), ".")
		if field == "" { // the model as a whole, at the root
			field = plan.Type().String()
		}
		b.schemaErrors = append(b.schemaErrors, field+": "+violation.Keyword+": "+violation.Sentence())
		if len(violations) < rule.MaxViolations {
			doc = b.moveOut(doc, place, violation.Path)
		}
	}
	if len(violations) == rule.MaxViolations {
		rawjson.Members(doc, func(key, value []byte) bool {
			path := append(slices.Clone(place), rawjson.Unquote(key))
			b.moved = append(b.moved, moved{path, bytes.Clone(value)})
			return true
		})
		doc = []byte("{}")
	}
	b.buf = append(b.buf[:start], doc...)
}

// moveOut takes the field of that path out of the model doc. A field in an array, which keeps its indices, takes the
// array with it.
func (b *builder) moveOut(doc []byte, place, path []string) []byte {
	key, val, end, depth, found := lookup(doc, path)
	if !found || depth == 0 {
		return doc // nothing is there, or it is the model as a whole
	}
	if depth < len(path) {
		key, val, end, _, _ = lookup(doc, path[:depth])
	}
	b.moved = append(b.moved, moved{slices.Concat(place, path[:depth]), bytes.Clone(doc[val:end])})
	return cut(doc, key, end)
}

// place is the path of the innermost object in the record, as its names are written: groups whose names differ in bytes
// only that are not UTF-8 are one, and a group may have another name than its own.
func (b *builder) place() []string {
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

// lookup returns where the value of that path stands in doc. The key is that of the innermost member of an object on
// the way, and depth the length of the path to it.
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
// stays; one that lies in another that was moved whole is left out. There may be very many fields, so that none is
// searched for.
func appendMoved(dst []byte, fields []moved) []byte {
	type member struct {
		name  string
		whole []byte
		inner []moved
	}
	var members []member
	places := make(map[string]int)
	for _, f := range fields {
		place, known := places[f.path[0]]
		if !known {
			place = len(members)
			places[f.path[0]] = place
			members = append(members, member{name: f.path[0]})
		}
		if m := &members[place]; len(f.path) == 1 {
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
