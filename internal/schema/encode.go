package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"sync"
)

// encoder is a reusable json.Encoder that writes behind what dst already has.
type encoder struct {
	json *json.Encoder
	dst  []byte
}

// encoders keeps idle encoders for values that follow. Encoding from several goroutines takes one each.
type encoders struct{ idle sync.Pool }

func (all *encoders) take() *encoder {
	if e, ok := all.idle.Get().(*encoder); ok {
		return e
	}
	e := new(encoder)
	e.json = json.NewEncoder(e)
	e.json.SetEscapeHTML(false)
	return e
}

// Write takes one whole value from the json.Encoder and leaves out the newline that it adds.
func (e *encoder) Write(value []byte) (int, error) {
	e.dst = append(e.dst, bytes.TrimSuffix(value, []byte{'\n'})...)
	return len(value), nil
}

// encode appends v's JSON to dst. An error names the field, and dst comes back as it was.
func (all *encoders) encode(dst []byte, v any) ([]byte, error) {
	e := all.take()
	e.dst = dst
	err := e.json.Encode(v)
	out := e.dst
	e.dst = nil
	all.idle.Put(e)
	if err != nil {
		return dst, encodeError(v, err)
	}
	return out[:len(dst)+len(plainText(out[len(dst):]))], nil
}

// escapes are the characters that encoding/json escapes although JSON does not ask for it, U+2028 and U+2029 always, the HTML ones when a
// MarshalJSON method calls json.Marshal.
var escapes = map[string]string{"003c": "<", "003e": ">", "0026": "&", "2028": "\u2028", "2029": "\u2029"}

// plainText replaces escapes by the characters themselves, in place, and returns the shortened slice. Texts without any backslash, nearly
// all, cost one search.
func plainText(b []byte) []byte {
	at := bytes.IndexByte(b, '\\')
	if at < 0 {
		return b
	}
	out := b[:at]
	for at < len(b) {
		if b[at] != '\\' {
			out = append(out, b[at])
			at++
			continue
		}
		if at+6 <= len(b) && b[at+1] == 'u' {
			if plain, ok := escapes[string(b[at+2:at+6])]; ok {
				out = append(out, plain...)
				at += 6
				continue
			}
		}
		out = append(out, b[at], b[at+1]) // a backslash is never last in JSON
		at += 2
	}
	return out
}

// encodeError adds the field's name to what encoding/json says.
func encodeError(v any, err error) error {
	var (
		value     *json.UnsupportedValueError
		typ       *json.UnsupportedTypeError
		marshaler *json.MarshalerError
		look      search
	)
	switch {
	case errors.As(err, &marshaler):
		look.bad = func(v reflect.Value) bool { return v.Type() == marshaler.Type }
	case errors.As(err, &value) && value.Value.CanFloat():
		look.bad = func(v reflect.Value) bool {
			return v.CanFloat() && (math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0))
		}
	case errors.As(err, &typ):
		look.bad = func(v reflect.Value) bool { return v.Type() == typ.Type }
	}
	if look.bad != nil {
		if field, ok := look.in(reflect.ValueOf(v), 0); ok && field != "" {
			return fmt.Errorf("schema: encode field %q: %w", field, err)
		}
	}
	return fmt.Errorf("schema: encode %T: %w", v, err)
}

// search looks for the first value that is bad. It gives up after looking at so many, or so deep: there may be a cycle elsewhere.
type search struct {
	bad    func(reflect.Value) bool
	looked int
}

const (
	widest  = 10_000
	deepest = 32
)

// in returns the dotted path from v.
func (s *search) in(v reflect.Value, depth int) (string, bool) {
	if s.looked++; !v.IsValid() || depth > deepest || s.looked > widest {
		return "", false
	}
	if s.bad(v) {
		return "", true
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return s.in(v.Elem(), depth+1)
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			at, err := v.FieldByIndexErr(f.index)
			if err != nil {
				continue
			}
			if inside, ok := s.in(at, depth+1); ok {
				return under(f.name, inside), true
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if inside, ok := s.in(v.Index(i), depth+1); ok {
				return under("["+strconv.Itoa(i)+"]", inside), true
			}
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			if inside, ok := s.in(entries.Value(), depth+1); ok {
				return under(fmt.Sprint(entries.Key()), inside), true
			}
		}
	}
	return "", false
}

// under puts a step before the path inside it.
func under(step, inside string) string {
	if inside == "" || inside[0] == '[' {
		return step + inside
	}
	return step + "." + inside
}
