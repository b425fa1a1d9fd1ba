package jsonplan

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

var (
	unmarshalerType     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// Adapt returns data, which is valid JSON without space around it, with the values written as encoding/json takes them
// for the type where others write them in another way that means the same: 3.0 and 2e3 for an integer, a time without a
// zone, which is UTC, and null for a slice or map, which is an empty one. It is not changed when there is none of
// these.
func Adapt(t reflect.Type, data []byte) (adapted []byte, changed bool) {
	a := adapter{in: data, fields: map[reflect.Type][]Field{}}
	a.value(t, 0)
	return a.out, a.changed
}

type adapter struct {
	in, out []byte
	fields  map[reflect.Type][]Field
	changed bool
}

// value appends the value of the type that starts at i, and returns where it ends.
func (a *adapter) value(t reflect.Type, i int) int {
	null := a.in[i] == 'n'
	for t != nil && t.Kind() == reflect.Pointer && !null {
		t = t.Elem()
	}
	first := a.in[i]
	switch {
	case t == nil:
	case t == timeType:
		if first == '"' {
			return a.time(i)
		}
	case reflect.PointerTo(t).Implements(unmarshalerType) || reflect.PointerTo(t).Implements(textUnmarshalerType):
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uintptr:
		if first == '-' || first >= '0' && first <= '9' {
			return a.integer(i)
		}
	case t.Kind() == reflect.Slice && null && IsBytes(t):
		return a.replace(i, `""`)
	case t.Kind() == reflect.Slice && null:
		return a.replace(i, "[]")
	case t.Kind() == reflect.Map && null:
		return a.replace(i, "{}")
	case (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && first == '[':
		return a.elements(t.Elem(), i)
	case t.Kind() == reflect.Map && first == '{':
		return a.members(i, func(string) reflect.Type { return t.Elem() })
	case t.Kind() == reflect.Struct && first == '{':
		return a.members(i, func(name string) reflect.Type { return a.field(t, name) })
	}
	end := rawjson.Skip(a.in, i)
	a.out = append(a.out, a.in[i:end]...)
	return end
}

func (a *adapter) replace(i int, by string) int {
	a.out, a.changed = append(a.out, by...), true
	return rawjson.Skip(a.in, i)
}

func (a *adapter) elements(t reflect.Type, i int) int {
	start := len(a.out)
	for i++; ; {
		at, ok := rawjson.NextElement(a.in, i)
		if !ok {
			a.out = rawjson.Close(a.out, start, "[]")
			return at + 1
		}
		a.out = append(a.out, ',')
		i = a.value(t, at)
	}
}

func (a *adapter) members(i int, typeOf func(name string) reflect.Type) int {
	start := len(a.out)
	for i++; ; {
		m, ok := rawjson.NextMember(a.in, i)
		if !ok {
			a.out = rawjson.Close(a.out, start, "{}")
			return m.Key + 1
		}
		key := a.in[m.Key:m.KeyEnd]
		a.out = append(append(append(a.out, ','), key...), ':')
		i = a.value(typeOf(rawjson.Unquote(key)), m.Value)
	}
}

// field returns the type of the field that encoding/json decodes a member into, nil for none, and for one whose JSON is
// in a string.
func (a *adapter) field(t reflect.Type, name string) reflect.Type {
	fields, known := a.fields[t]
	if !known {
		fields = Fields(t)
		a.fields[t] = fields
	}
	var found *Field
	for i := range fields {
		if fields[i].Name == name {
			found = &fields[i]
			break
		}
		if found == nil && strings.EqualFold(fields[i].Name, name) {
			found = &fields[i]
		}
	}
	if found == nil || found.Quoted {
		return nil
	}
	return found.Type
}

// mostDigits is how many digits an integer in Go may have.
const mostDigits = 20

func (a *adapter) integer(i int) int {
	end := rawjson.Skip(a.in, i)
	number := a.in[i:end]
	if strings.ContainsAny(string(number), ".eE") {
		if d := rawjson.ParseDecimal(number); d.IsInteger() && int64(len(d.Digits))+d.Exp <= mostDigits {
			a.changed = true
			if d.Negative {
				a.out = append(a.out, '-')
			}
			if len(d.Digits) == 0 {
				a.out = append(a.out, '0')
			}
			a.out = append(append(a.out, d.Digits...), strings.Repeat("0", int(d.Exp))...)
			return end
		}
	}
	a.out = append(a.out, number...)
	return end
}

func (a *adapter) time(i int) int {
	end := rawjson.SkipString(a.in, i)
	text := rawjson.Unquote(a.in[i:end])
	for _, form := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05"} { // a fraction may follow
		if at, err := time.Parse(form, text); err == nil {
			a.changed = true
			a.out = at.AppendFormat(append(a.out, '"'), time.RFC3339Nano)
			a.out = append(a.out, '"')
			return end
		}
	}
	a.out = append(a.out, a.in[i:end]...)
	return end
}
