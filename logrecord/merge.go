package logrecord

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
)

// attrs writes attributes into the innermost object.
func (b *builder) attrs(attrs []slog.Attr, who owner) {
	for _, a := range attrs {
		b.attr(a, who)
	}
}

// attr writes one attribute into the innermost object, as who. A panic of the caller's code is noted in its place.
func (b *builder) attr(a slog.Attr, who owner) {
	if len(b.buf) > b.total {
		b.truncated = true
		return
	}
	at := b.mark()
	b.limit = len(b.buf) + 2*b.maxBytes
	defer func() {
		if r := recover(); r != nil {
			b.rewind(at)
			b.member(a.Key, slog.StringValue(panicNote+fmt.Sprint(r)), who)
		}
	}()
	v := b.resolve(a.Value)
	if b.replaceAttr != nil && v.Kind() != slog.KindGroup {
		a.Value = v.Value
		a = b.replaceAttr(b.path[:len(b.path):len(b.path)], a)
		isModel := v.model
		v = b.resolve(a.Value) // and what it was before does not count: it may have been hidden
		v.model = v.model || isModel
	}
	a.Value = v.Value
	if a.Equal(slog.Attr{}) || v.model && a.Value.Equal(slog.Value{}) {
		return
	}
	b.exceptional(a.Key, v.err)
	switch {
	case a.Value.Kind() == slog.KindGroup && v.model: // it told its fields by LogValue
		b.attrs(a.Value.Group(), model)
	case a.Value.Kind() == slog.KindGroup && a.Key == "":
		b.attrs(a.Value.Group(), who)
	case a.Value.Kind() == slog.KindGroup:
		b.group(a.Key, a.Value.Group(), who)
	case v.model && b.isModel(a.Value):
		b.dissolve(a.Key, a.Value.Any())
	default:
		b.member(a.Key, a.Value, who)
	}
}

// isModel tells whether the value is a log model.
func (b *builder) isModel(v slog.Value) bool {
	if k := v.Kind(); k != slog.KindAny && k != slog.KindLogValuer {
		return false
	}
	x := v.Any()
	if x == nil {
		return false
	}
	switch b.types.of(reflect.TypeOf(x)).model {
	case onPointer:
		return says(addressed(reflect.ValueOf(x)).Interface().(marked))
	case onValue:
		return says(x.(marked))
	}
	return false
}

// addressed returns a pointer to a copy of v.
func addressed(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type())
	c.Elem().Set(v)
	return c
}

// says asks a model. One that embeds a nil *Model cannot answer, and is one.
func says(m marked) (is bool) {
	defer func() {
		if recover() != nil {
			is = true
		}
	}()
	return m.IsLogModel()
}

// member writes one value under its key.
func (b *builder) member(name string, v slog.Value, who owner) {
	key := b.key(name, who)
	val := len(b.buf)
	b.slogValue(v)
	b.commit(key, val, who)
}

// group writes a group under its name, unless it turns out to be empty.
func (b *builder) group(name string, attrs []slog.Attr, who owner) {
	if len(attrs) == 0 {
		return
	}
	key := b.key(name, who)
	val := len(b.buf)
	if b.levels == 0 {
		b.buf = appendString(b.buf, tooDeep)
		b.commit(key, val, who)
		return
	}
	b.path = append(b.path, name)
	written := b.object(attrs)
	b.path = b.path[:len(b.path)-1]
	if written {
		b.commit(key, val, who)
	} else {
		b.buf = b.buf[:key]
	}
}

// object writes the attributes of a group as an object, and tells whether it has members.
func (b *builder) object(attrs []slog.Attr) bool {
	if b.levels == 0 {
		b.buf = appendString(b.buf, tooDeep)
		return true
	}
	b.levels--
	b.begin(false)
	b.attrs(attrs, plain)
	b.levels++
	return b.end()
}

// exceptional lets an error at the top of the record, under one of the two keys that Go gives it, fill exception and stack.
func (b *builder) exceptional(key string, err error) {
	if err == nil || !b.top().root || key != "err" && key != "error" {
		return
	}
	if v := reflect.ValueOf(err); v.Kind() == reflect.Pointer && v.IsNil() {
		return
	}
	var text string
	if _, traced := err.(fmt.Formatter); traced {
		text = fmt.Sprintf("%+v", err) // how errors that carry their trace show it
	} else {
		text = err.Error() // which may panic
	}
	b.exception, b.stack = reflect.TypeOf(err).String(), text
}

// dissolve writes the fields of a model into the innermost object. A model that is nil is absent; one that its own MarshalJSON
// turns into something else than an object is a value like any other, under its key. One that is an error is its fields, not
// its text.
func (b *builder) dissolve(name string, m any) {
	v := reflect.ValueOf(m)
	how := b.types.of(v.Type()).how
	if how.receiver == onPointer {
		v = addressed(v)
	}
	start := len(b.buf)
	if s := reflect.Indirect(v); how.method == errorType && s.Kind() == reflect.Struct {
		b.nested(s, func() { b.structure(s, b.types.of(s.Type()).fields) })
	} else {
		b.value(v)
	}
	if isNull(b.buf[start:]) {
		b.buf = b.buf[:start]
		return
	}
	if b.buf[start] != '{' {
		b.buf = b.buf[:start]
		b.member(name, slog.AnyValue(m), plain)
		return
	}
	b.check(v, start)
	b.adopt(start)
}

// adopt turns the object at the end of the buffer, which starts at start, into members of the innermost object: its opening
// brace goes, its closing one becomes the comma after its last member.
func (b *builder) adopt(start int) {
	n := copy(b.buf[start:], b.buf[start+1:])
	b.buf = b.buf[:start+n]
	if n == 1 { // it was empty
		b.buf = b.buf[:start]
		return
	}
	b.buf[start+n-1] = ','
	for i := start; i < len(b.buf); {
		val := skipString(b.buf, i) + 1
		end := skip(b.buf, val)
		b.enter(i, val, end, model)
		i = end + 1
	}
}

// formatted writes the record's own base: what the option Format makes of the log call.
func (b *builder) formatted(ctx context.Context, r slog.Record) {
	at := b.mark()
	defer func() {
		if p := recover(); p != nil {
			b.rewind(at)
			b.schemaErrors = append(b.schemaErrors, "Format: panic: "+fmt.Sprint(p))
		}
	}()
	if m := b.format(ctx, r); m != nil {
		b.dissolve("format", m)
	}
}
