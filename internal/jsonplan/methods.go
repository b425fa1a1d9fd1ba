package jsonplan

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

var (
	marshalerType     = reflect.TypeFor[json.Marshaler]()
	textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()
	errorType         = reflect.TypeFor[error]()
	anyType           = reflect.TypeFor[any]()
	timeType          = reflect.TypeFor[time.Time]()
	numberType        = reflect.TypeFor[json.Number]()
)

// Method writes the values of type t by a method of theirs, which v has: v is the value, or a pointer to it.
type Method func(w *Writer, t reflect.Type, v reflect.Value)

// method returns how the values of a type are written by a method of theirs, nil if they are not. Only with pointers
// the methods of the pointer count, and onPointer tells that it is one.
func (ps *Plans) method(t reflect.Type, pointers bool) (m Method, onPointer bool) {
	pointers = pointers && t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface
	has := func(method reflect.Type) bool {
		if t.Implements(method) {
			return true
		}
		onPointer = pointers && reflect.PointerTo(t).Implements(method)
		return onPointer
	}
	if ps.own != nil {
		if own := ps.own(t); own != nil {
			return own, false
		}
		if pointers {
			if own := ps.own(reflect.PointerTo(t)); own != nil {
				return own, true
			}
		}
	}
	switch {
	case has(marshalerType):
		return marshal, onPointer
	case ps.own != nil && has(errorType): // in the order of slog: an error is its text unless it knows better
		return errorText, onPointer
	case has(textMarshalerType):
		return marshalText, onPointer
	}
	return nil, false
}

func marshal(w *Writer, t reflect.Type, v reflect.Value) {
	text, err := v.Interface().(json.Marshaler).MarshalJSON()
	if err != nil {
		w.marshalError(t, err)
		return
	}
	if w.Log != nil {
		w.appendMarshaled(text)
		return
	}
	start := len(w.Buf)
	buf := bytes.NewBuffer(w.Buf)
	if err := json.Compact(buf, text); err != nil {
		w.marshalError(t, err)
		return
	}
	w.Buf = buf.Bytes()
	w.Buf = w.Buf[:start+len(PlainText(w.Buf[start:]))]
}

// appendMarshaled appends the JSON that a MarshalJSON method returned, in the form of the rest of the log record.
func (w *Writer) appendMarshaled(text []byte) {
	switch {
	case len(text) > w.Log.textLimit(len(w.Buf)):
		w.Log.Truncated = true
		w.writeError(fmt.Sprintf("%d bytes of JSON are too many", len(text)))
	case !json.Valid(text):
		w.writeError("json: a MarshalJSON method returned what is not JSON")
	default:
		w.Buf = rawjson.AppendTidy(w.Buf, text, w.Log.Levels, TooDeep)
	}
}

func marshalText(w *Writer, t reflect.Type, v reflect.Value) {
	text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		w.marshalError(t, err)
		return
	}
	w.text(string(text))
}

func errorText(w *Writer, _ reflect.Type, v reflect.Value) { w.text(v.Interface().(error).Error()) }

func (w *Writer) marshalError(t reflect.Type, err error) {
	if w.Log != nil {
		w.writeError(err.Error())
		return
	}
	w.fail(&json.MarshalerError{Type: t, Err: err})
}

// HasMethod reports whether a type, or the pointer to it, writes its own JSON or text.
func HasMethod(t reflect.Type) bool {
	pointer := reflect.PointerTo(t)
	return pointer.Implements(marshalerType) || pointer.Implements(textMarshalerType)
}

// byMethod returns the encoder of values that a method writes. A nil pointer or interface is null.
func byMethod(t reflect.Type, m Method) encoder {
	nilable := t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface
	return func(w *Writer, p ptr) {
		v := reflect.NewAt(t, p) // the pointer has the methods of the value
		if nilable {
			if v = v.Elem(); v.IsNil() {
				w.null()
				return
			}
		}
		w.call(m, t, v)
	}
}

// byPointer returns the encoder of values that a method writes where they have an address, and other elsewhere.
func byPointer(t reflect.Type, m Method, other *node) encoder {
	return func(w *Writer, p ptr) {
		if w.addr {
			w.call(m, t, reflect.NewAt(t, p))
		} else {
			other.write(w, p)
		}
	}
}

// escapes are the characters that encoding/json escapes although JSON does not ask for it, U+2028 and U+2029 always,
// the HTML ones when a MarshalJSON method calls json.Marshal.
var escapes = map[string]string{"003c": "<", "003e": ">", "0026": "&", "2028": "\u2028", "2029": "\u2029"}

// PlainText replaces escapes by the characters themselves, in place, and returns the shortened slice. Texts without any
// backslash, nearly all, cost one search.
func PlainText(b []byte) []byte {
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
