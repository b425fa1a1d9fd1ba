package logrecord

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// What stands in the place of a value that cannot be written, as slog writes it.
const (
	errorNote = "!ERROR:"
	panicNote = "!PANIC:"
	tooDeep   = errorNote + "deeper than 64 levels"
)

// maxLevels is how deep values may nest. It ends what has no end, and keeps readers safe that recurse.
const maxLevels = 64

// visit is a pointer, map or slice that the value being written lies in.
type visit struct {
	ptr uintptr
	len int
	typ reflect.Type
}

// value appends v in the form that encoding/json gives it, but for what cannot be written: that gets a note in its place,
// and the rest is written all the same. Errors are their text, and a slog.LogValuer is resolved, wherever they stand.
func (b *builder) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Invalid:
		b.null()
		return
	case reflect.Interface:
		b.value(v.Elem())
		return
	case reflect.Pointer:
		if v.IsNil() {
			b.null()
			return
		}
	}
	info := b.types.of(v.Type())
	if how := info.how; how.receiver == onValue || how.receiver == onPointer && v.CanAddr() {
		b.method(v, how)
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		b.buf = strconv.AppendBool(b.buf, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		b.buf = strconv.AppendInt(b.buf, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		b.buf = strconv.AppendUint(b.buf, v.Uint(), 10)
	case reflect.Float32:
		b.buf = appendFloat(b.buf, v.Float(), 32)
	case reflect.Float64:
		b.buf = appendFloat(b.buf, v.Float(), 64)
	case reflect.String:
		if v.Type() == numberType {
			b.number(v.String())
		} else {
			b.string(v.String())
		}
	case reflect.Struct:
		b.nested(v, func() { b.structure(v, info.fields) })
	case reflect.Map:
		if v.IsNil() {
			b.null()
		} else {
			b.nested(v, func() { b.mapping(v) })
		}
	case reflect.Slice:
		switch {
		case v.IsNil():
			b.null()
		case info.bytes:
			b.bytes(v.Bytes())
		default:
			b.nested(v, func() { b.list(v) })
		}
	case reflect.Array:
		b.nested(v, func() { b.list(v) })
	case reflect.Pointer:
		if b.visit(v) {
			b.value(v.Elem())
			b.visits = b.visits[:len(b.visits)-1]
		}
	default: // chan, func, complex, unsafe.Pointer
		b.note("json: unsupported type: " + v.Type().String())
	}
}

func (b *builder) null()            { b.buf = append(b.buf, "null"...) }
func (b *builder) note(text string) { b.buf = appendString(b.buf, errorNote+text) }

// room is how many bytes a text may have: half of what is left, so that one that is too large leaves room for others.
func (b *builder) room() int { return max((b.limit-len(b.buf))/2, 256) }

// string appends s, shortened when it is larger than any record may be.
func (b *builder) string(s string) {
	if room := b.room(); len(s) > room {
		for !utf8.RuneStart(s[room]) && room > 0 {
			room--
		}
		s, b.truncated = s[:room], true
	}
	b.buf = appendString(b.buf, s)
}

func (b *builder) bytes(p []byte) {
	if room := b.room() / 4 * 3; len(p) > room {
		p, b.truncated = p[:room], true
	}
	b.buf = append(b.buf, '"')
	b.buf = base64.StdEncoding.AppendEncode(b.buf, p)
	b.buf = append(b.buf, '"')
}

func (b *builder) number(s string) {
	switch {
	case s == "":
		b.buf = append(b.buf, '0')
	case (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && json.Valid([]byte(s)):
		b.buf = append(b.buf, strings.TrimSpace(s)...)
	default:
		b.note("json: invalid number literal " + strconv.Quote(s))
	}
}

// time appends t as slog does.
func (b *builder) time(t time.Time) {
	if y := t.Year(); y < 0 || y > 9999 {
		b.note("Time.MarshalJSON: year outside of range [0,9999]") // as encoding/json says it
		return
	}
	b.buf = append(b.buf, '"')
	b.buf = t.AppendFormat(b.buf, time.RFC3339Nano)
	b.buf = append(b.buf, '"')
}

// full tells that a value is larger than any record may be: what is left of it is left out.
func (b *builder) full() bool {
	if len(b.buf) <= b.limit {
		return false
	}
	b.truncated = true
	return true
}

// nested calls write one level further down, unless v contains itself or there are no levels left.
func (b *builder) nested(v reflect.Value, write func()) {
	if b.levels == 0 {
		b.buf = appendString(b.buf, tooDeep)
		return
	}
	named := v.Kind() == reflect.Map || v.Kind() == reflect.Slice
	if named && !b.visit(v) {
		return
	}
	b.levels--
	write()
	b.levels++
	if named {
		b.visits = b.visits[:len(b.visits)-1]
	}
}

// visit notes that what follows lies in v. When v lies in itself it writes that instead, and returns false.
func (b *builder) visit(v reflect.Value) bool {
	at := visit{ptr: v.Pointer(), typ: v.Type()}
	if v.Kind() == reflect.Slice {
		if at.len = v.Len(); at.len == 0 {
			at.ptr = 0 // an empty slice may point anywhere, and contains nothing
		}
	}
	if at.ptr != 0 && slices.Contains(b.visits, at) {
		b.note("a " + at.typ.String() + " that contains itself")
		return false
	}
	b.visits = append(b.visits, at)
	return true
}

func (b *builder) structure(v reflect.Value, fields []field) {
	b.buf = append(b.buf, '{')
	for i := range fields {
		f := &fields[i]
		fv, ok := f.in(v)
		if !ok || f.omitEmpty && isEmpty(fv) || f.omitZero && isZero(fv) {
			continue
		}
		if b.full() {
			break
		}
		b.buf = append(b.buf, f.key...)
		if f.quoted {
			b.quoted(fv)
		} else {
			b.value(fv)
		}
		b.buf = append(b.buf, ',')
	}
	b.buf = closeWith(b.buf, '}')
}

// quoted appends a field of the option ",string": its JSON within a string.
func (b *builder) quoted(v reflect.Value) {
	start := len(b.buf)
	b.value(v)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	written := string(b.buf[start:])
	if v.Kind() == reflect.Pointer || b.types.of(v.Type()).how.receiver != noMethod {
		return
	}
	if isString := v.Kind() == reflect.String && v.Type() != numberType; isString || written[0] != '"' {
		b.buf = appendString(b.buf[:start], written)
	}
}

func (b *builder) list(v reflect.Value) {
	b.buf = append(b.buf, '[')
	for i := range v.Len() {
		if b.full() {
			break
		}
		b.value(v.Index(i))
		b.buf = append(b.buf, ',')
	}
	b.buf = closeWith(b.buf, ']')
}

// mapping appends a map in the order of its keys. Two keys that have the same text are one.
func (b *builder) mapping(v reflect.Value) {
	type entry struct {
		name  string
		value reflect.Value
	}
	entries := make([]entry, 0, v.Len())
	for it := v.MapRange(); it.Next(); {
		name, ok := keyText(it.Key())
		if !ok {
			b.note("json: unsupported type: " + v.Type().String())
			return
		}
		entries = append(entries, entry{name, it.Value()})
	}
	slices.SortFunc(entries, func(a, c entry) int { return strings.Compare(a.name, c.name) })
	b.buf = append(b.buf, '{')
	for i, e := range entries {
		if i > 0 && e.name == entries[i-1].name {
			continue
		}
		if b.full() {
			break
		}
		b.buf = append(appendString(b.buf, e.name), ':')
		b.value(e.value)
		b.buf = append(b.buf, ',')
	}
	b.buf = closeWith(b.buf, '}')
}

// keyText returns the text of a map's key, as encoding/json sees it, with U+FFFD for what is not UTF-8.
func keyText(k reflect.Value) (string, bool) {
	if k.Kind() == reflect.String {
		return valid(k.String()), true
	}
	if t, ok := k.Interface().(encoding.TextMarshaler); ok {
		if k.Kind() == reflect.Pointer && k.IsNil() {
			return "", true
		}
		return valid(guardedText(t)), true
	}
	switch k.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(k.Int(), 10), true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.FormatUint(k.Uint(), 10), true
	}
	return "", false
}

func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

func guardedText(t encoding.TextMarshaler) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = panicNote + fmt.Sprint(r)
		}
	}()
	p, err := t.MarshalText()
	if err != nil {
		return errorNote + err.Error()
	}
	return string(p)
}

// isEmpty is what omitempty leaves out.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

// isZero is what omitzero leaves out. A method that panics keeps its field, whose value will say so.
func isZero(v reflect.Value) (zero bool) {
	type zeroer interface{ IsZero() bool }
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() || v.Elem().Kind() == reflect.Pointer && v.Elem().IsNil() {
			return true
		}
	}
	defer func() { _ = recover() }()
	if z, ok := v.Interface().(zeroer); ok {
		return z.IsZero()
	}
	if reflect.PointerTo(v.Type()).Implements(reflect.TypeFor[zeroer]()) {
		if v.CanAddr() {
			return v.Addr().Interface().(zeroer).IsZero()
		}
		return addressed(v).Interface().(zeroer).IsZero()
	}
	return v.IsZero()
}

// slogValue appends a value that is resolved, or a group as an object of its own.
func (b *builder) slogValue(v slog.Value) {
	switch v.Kind() {
	case slog.KindString:
		b.string(v.String())
	case slog.KindInt64:
		b.buf = strconv.AppendInt(b.buf, v.Int64(), 10)
	case slog.KindUint64:
		b.buf = strconv.AppendUint(b.buf, v.Uint64(), 10)
	case slog.KindFloat64:
		b.buf = appendFloat(b.buf, v.Float64(), 64)
	case slog.KindBool:
		b.buf = strconv.AppendBool(b.buf, v.Bool())
	case slog.KindDuration:
		if b.durations {
			b.string(v.Duration().String())
		} else {
			b.buf = strconv.AppendInt(b.buf, int64(v.Duration()), 10)
		}
	case slog.KindTime:
		b.time(v.Time())
	case slog.KindGroup:
		b.object(v.Group())
	default:
		b.value(reflect.ValueOf(v.Any()))
	}
}
