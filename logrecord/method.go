package logrecord

import (
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"sync"

	"github.com/kafkaesk/kafkaesk/internal/schema"
)

var (
	logValuerType = reflect.TypeFor[slog.LogValuer]()
	slogValueType = reflect.TypeFor[slog.Value]()
	marshalerType = reflect.TypeFor[json.Marshaler]()
	errorType     = reflect.TypeFor[error]()
	textType      = reflect.TypeFor[encoding.TextMarshaler]()
	numberType    = reflect.TypeFor[json.Number]()
	markedType    = reflect.TypeFor[marked]()
)

// receiver says on what a method can be called.
type receiver uint8

const (
	noMethod  receiver = iota
	onValue            // any value of the type
	onPointer          // one that has an address
)

func receiverOf(t, method reflect.Type) receiver {
	switch {
	case t.Implements(method):
		return onValue
	case t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && reflect.PointerTo(t).Implements(method):
		return onPointer
	}
	return noMethod
}

// how says which method writes the values of a type, if one does.
type how struct {
	method   reflect.Type
	receiver receiver
}

// typeInfo is what is found out about a type once.
type typeInfo struct {
	typ    reflect.Type
	how    how
	model  receiver
	bytes  bool    // a slice of bytes
	fields []field // of a struct

	once      sync.Once
	schema    *schema.Schema // of a model; see compiled
	schemaErr error
}

// types are the types that an encoder has met. A program has only so many.
type types struct{ known sync.Map } // reflect.Type to *typeInfo

func (ts *types) of(t reflect.Type) *typeInfo {
	if info, ok := ts.known.Load(t); ok {
		return info.(*typeInfo)
	}
	info := &typeInfo{typ: t, model: receiverOf(t, markedType)}
	if t == slogValueType {
		info.how = how{slogValueType, onValue}
	} else {
		// In the order of slog: an error is its text unless it knows better, and only then come texts.
		for _, m := range []reflect.Type{logValuerType, marshalerType, errorType, textType} {
			if r := receiverOf(t, m); r != noMethod {
				info.how = how{m, r}
				break
			}
		}
	}
	switch t.Kind() {
	case reflect.Struct:
		info.fields = fieldsOf(t)
	case reflect.Slice:
		elem := reflect.PointerTo(t.Elem())
		info.bytes = t.Elem().Kind() == reflect.Uint8 && !elem.Implements(marshalerType) && !elem.Implements(textType)
	}
	actual, _ := ts.known.LoadOrStore(t, info)
	return actual.(*typeInfo)
}

// method appends v as one of its methods says. A panic is noted in its place.
func (b *builder) method(v reflect.Value, h how) {
	if h.receiver == onPointer {
		v = v.Addr()
	}
	at := b.mark()
	defer func() {
		if r := recover(); r != nil {
			b.rewind(at)
			b.buf = appendString(b.buf, panicNote+fmt.Sprint(r))
		}
	}()
	switch h.method {
	case slogValueType:
		b.slogValue(b.resolve(v.Interface().(slog.Value)).Value)
	case logValuerType:
		if b.levels == 0 {
			b.buf = appendString(b.buf, tooDeep)
			return
		}
		b.levels-- // it may return something that holds itself
		b.slogValue(b.resolve(slog.AnyValue(v.Interface())).Value)
		b.levels++
	case marshalerType:
		text, err := v.Interface().(json.Marshaler).MarshalJSON()
		switch {
		case err != nil:
			b.note(err.Error())
		case len(text) > b.room():
			b.truncated = true
			b.note(fmt.Sprintf("%d bytes of JSON are too many", len(text)))
		default:
			b.buf = appendRaw(b.buf, text, b.levels)
		}
	case errorType:
		b.string(v.Interface().(error).Error())
	case textType:
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		if err != nil {
			b.note(err.Error())
			return
		}
		b.string(string(text))
	}
}

// resolved is a value that is no slog.LogValuer any more, with what was met on the way to it.
type resolved struct {
	slog.Value
	model bool  // one was a log model
	err   error // one was this error
}

// resolve is slog.Value.Resolve that lets a panic through, for the caller to note it in the value's place. A nil pointer
// whose method cannot take it is nil.
func (b *builder) resolve(v slog.Value) (r resolved) {
	const most = 100
	for range most {
		if b.steps--; b.steps < 0 {
			break
		}
		k := v.Kind()
		if k == slog.KindAny || k == slog.KindLogValuer {
			r.model = r.model || b.isModel(v)
			if err, ok := v.Any().(error); ok {
				r.err = err
			}
		}
		if k != slog.KindLogValuer {
			r.Value = v
			return r
		}
		v = logValue(v.LogValuer())
	}
	r.Value = slog.StringValue(errorNote + "LogValue called too many times")
	return r
}

func logValue(l slog.LogValuer) slog.Value {
	if v := reflect.ValueOf(l); v.Kind() == reflect.Pointer && v.IsNil() {
		return slog.AnyValue(nil)
	}
	return l.LogValue()
}

// mark is a state of the builder that it can return to: no member is entered between the two.
type mark struct{ buf, visits, levels int }

func (b *builder) mark() mark { return mark{len(b.buf), len(b.visits), b.levels} }

func (b *builder) rewind(m mark) {
	b.buf, b.visits, b.levels = b.buf[:m.buf], b.visits[:m.visits], m.levels
}
