package logrecord

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// maxKey is the maximum length of a key in bytes. A longer one is cut.
const maxKey = 256

// attrs writes attributes into the innermost object. Those of a model may replace base fields.
func (b *builder) attrs(attrs []slog.Attr, model bool) {
	for _, a := range attrs {
		b.attr(a, model)
	}
}

// attr writes one attribute into the innermost object.
func (b *builder) attr(a slog.Attr, model bool) {
	if b.steps--; len(b.buf) > b.total || b.steps < 0 {
		b.truncated = true
		return
	}
	b.limit = len(b.buf) + 2*b.maxBytes
	if k := a.Value.Kind(); b.replaceAttr == nil && k != slog.KindAny && k != slog.KindLogValuer && k != slog.KindGroup {
		b.member(a.Key, a.Value, model)
		return
	}
	if m := b.directModel(a.Value); m != nil {
		b.model(a.Key, m)
		return
	}
	v, err := b.resolveAttr(&a)
	if a.Equal(slog.Attr{}) || v.model && v.Equal(slog.Value{}) {
		return
	}
	b.failed(err)
	switch {
	case v.Kind() == slog.KindGroup && v.model: // a model whose LogValue returns its fields
		b.inline(a.Key, v.Group(), true)
	case v.Kind() == slog.KindGroup && a.Key == "":
		b.inline(a.Key, v.Group(), model)
	case v.Kind() == slog.KindGroup:
		b.group(a.Key, v.Group(), model)
	case v.model && b.isModel(v.Value):
		b.model(a.Key, v.Any())
	default:
		b.member(a.Key, v.Value, model)
	}
}

// directModel returns the value if it is a log model without LogValue; nil otherwise.
func (b *builder) directModel(v slog.Value) any {
	if v.Kind() != slog.KindAny || b.replaceAttr != nil {
		return nil
	}
	if x := v.Any(); x != nil && b.infoOf(reflect.TypeOf(x)).direct && says(x.(marked)) {
		return x
	}
	return nil
}

// resolveAttr resolves an attribute's value and calls ReplaceAttr. After a panic the value is a note.
func (b *builder) resolveAttr(a *slog.Attr) (v resolved, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = resolved{Value: slog.StringValue(panicNote + fmt.Sprint(r))}, nil
			a.Value = v.Value
		}
	}()
	v = b.resolve(a.Value)
	err = v.err
	if b.replaceAttr != nil && v.Kind() != slog.KindGroup {
		a.Value = v.Value
		*a = b.replaceAttr(b.path[:len(b.path):len(b.path)], *a)
		isModel := v.model
		v = b.resolve(a.Value) // the original value is ignored: it may be secret
		v.model, err = v.model || isModel, v.err
	}
	a.Value = v.Value
	return v, err
}

// isModel reports whether the value is a log model.
func (b *builder) isModel(v slog.Value) bool {
	if k := v.Kind(); k != slog.KindAny && k != slog.KindLogValuer {
		return false
	}
	x := v.Any()
	if x == nil {
		return false
	}
	switch b.infoOf(reflect.TypeOf(x)).model {
	case onPointer:
		return says(addressed(reflect.ValueOf(x)).Interface().(marked))
	case onValue:
		return says(x.(marked))
	}
	return false
}

// infoOf returns the information about a type, usually the cached one of the last type.
func (b *builder) infoOf(t reflect.Type) *typeInfo {
	if t != b.lastType {
		b.lastType, b.lastInfo = t, b.types.of(t)
	}
	return b.lastInfo
}

// addressed returns a pointer to a copy of v.
func addressed(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type())
	c.Elem().Set(v)
	return c
}

// says calls IsLogModel. A model that embeds a nil *Model panics there, and is a model.
func says(m marked) (is bool) {
	defer func() {
		if recover() != nil {
			is = true
		}
	}()
	return m.IsLogModel()
}

// atRoot reports whether members become fields of the record itself.
func (b *builder) atRoot() bool { return b.at == 0 && b.inValue == 0 }

// startKey writes the key of a member. It renames a plain attribute with the name of an own field. For a model it
// returns the own field.
func (b *builder) startKey(name string, model bool) (f own, isOwn bool) {
	if len(name) > maxKey {
		end := maxKey - len(ellipsis)
		for !utf8.RuneStart(name[end]) && end > 0 {
			end--
		}
		name, b.truncated = name[:end]+ellipsis, true
	}
	if b.atRoot() {
		if f, isOwn = b.names.find(name); isOwn && (!model || f >= ownInvalid) {
			name, isOwn = attrPrefix+name, false
		}
	}
	b.buf = append(appendString(b.buf, name), ':')
	return f, isOwn
}

// member writes one value under its key.
func (b *builder) member(name string, v slog.Value, model bool) {
	key := len(b.buf)
	f, isOwn := b.startKey(name, model)
	val := len(b.buf)
	if isOwn {
		b.enterPending(key)
	}
	b.slogValue(v)
	b.buf = append(b.buf, ',')
	switch {
	case isOwn && rawjson.IsNull(b.buf[val:len(b.buf)-1]), !b.enter(key, val, len(b.buf)-1):
		b.buf = b.buf[:key]
	case isOwn:
		b.models |= 1 << f
	}
}

// inline writes the attributes of a group into the innermost object. It still counts as a level, because such groups
// can be endless too.
func (b *builder) inline(name string, attrs []slog.Attr, model bool) {
	if b.levels == 0 {
		b.member(name, slog.StringValue(tooDeep), false)
		return
	}
	b.levels--
	b.attrs(attrs, model)
	b.levels++
}

// group writes a group under its name, unless it is empty.
func (b *builder) group(name string, attrs []slog.Attr, model bool) {
	switch {
	case len(attrs) == 0:
	case b.levels == 0:
		b.member(name, slog.StringValue(tooDeep), false)
	case b.open(name, model):
		b.levels--
		b.attrs(attrs, false)
		b.levels++
		b.close()
	}
}

// object writes the attributes of a group inside another value.
func (b *builder) object(attrs []slog.Attr) {
	if b.levels == 0 {
		b.buf = appendString(b.buf, tooDeep)
		return
	}
	outer, at, rewrite, yields, deferred := b.layout, b.at, b.rewrite, b.yields, b.deferred
	b.layout, b.at, b.rewrite, b.yields, b.deferred = layout{objects: make([]object, 1)}, 0, false, false, false
	b.inValue++
	b.levels--
	b.buf = append(b.buf, '{')
	start := len(b.buf)
	b.attrs(attrs, false)
	if b.rewrite {
		b.buf = append(b.buf[:start], b.appendObject(nil, 0)...)
	}
	b.buf = closeWith(b.buf, '}')
	b.levels++
	b.inValue--
	b.layout, b.at, b.rewrite, b.yields, b.deferred = outer, at, rewrite, yields, deferred
}

// model writes the fields of a model into the innermost object. A nil model is absent. A model whose MarshalJSON
// returns no object is an ordinary value under its key.
func (b *builder) model(name string, m any) {
	b.findRoute(m)
	// The model's braces replace the byte before its first member, a comma or the brace of the surrounding object,
	// and the comma behind its last one.
	start := len(b.buf) - 1
	before := b.buf[start]
	b.buf = b.buf[:start]
	info := b.modelValue(m, start)
	switch text := b.buf[start:]; {
	case rawjson.IsNull(text), len(text) == len("{}") && text[0] == '{':
		b.buf = append(b.buf[:start], before)
	case text[0] != '{':
		b.buf = append(b.buf[:start], before)
		if b.folded {
			b.unfold()
		}
		b.member(name, slog.AnyValue(m), false)
	default:
		text[0], text[len(text)-1] = before, ','
		if info == nil || !b.addSigns(info) {
			if b.folded {
				start += b.unfold()
			}
			b.enterPending(start + 1)
			b.fields(start + 1)
		}
	}
}

// findRoute sets the route by the model's type, unless the record has a route.
func (b *builder) findRoute(m any) {
	if len(b.shared.route) == 0 || b.notes.route != "" {
		return
	}
	t := reflect.TypeOf(m)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	b.notes.route = b.shared.route[t]
}

// modelValue writes a model as an object, checked against its schema. A model that is an error is written as its
// fields, not its text. It returns the information about its type, nil for the result of LogValue.
func (b *builder) modelValue(m any, start int) *typeInfo {
	v := reflect.ValueOf(m)
	t := v.Type()
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() == reflect.Pointer || b.infoOf(t).valuer {
		b.value(m)
		return nil // nil, or the result of LogValue, to which the type's schema does not apply
	}
	info := b.infoOf(v.Type())
	plan := b.types.compiled(info, v.Type())
	if t.Kind() != reflect.Pointer && plan.OnPointer() {
		m = addressed(v).Interface()
	}
	outer := b.lend()
	b.rules.Models = true
	keeps, _ := plan.Write(&b.writer, m) // writing a log record never fails
	b.takeBack(outer)
	if b.buf[start] == '{' && (!keeps || b.replaceAttr != nil) {
		b.check(plan, m, start)
	}
	return info
}

// fields makes the members in the buffer from i on, each with its comma, members of the innermost object.
func (b *builder) fields(i int) {
	for all := len(b.buf); i < all; {
		val := rawjson.SkipString(b.buf, i) + 1
		end := rawjson.Skip(b.buf, val)
		b.field(i, val, end)
		i = end + 1
	}
}

// field enters one field of a model.
func (b *builder) field(key, val, end int) {
	if !b.atRoot() {
		b.rewrite = !b.enter(key, val, end) || b.rewrite
		return
	}
	f, isOwn := b.names.find(string(b.buf[key+1 : val-2]))
	switch {
	case !isOwn:
		b.rewrite = !b.enter(key, val, end) || b.rewrite
	case f >= ownInvalid: // renamed to attr_<name>
		b.rewrite = true
		at := len(b.buf)
		b.buf = append(append(b.buf, '"'), attrPrefix...)
		b.buf = append(b.buf, b.buf[key+1:end+1]...)
		b.enter(at, at+len(attrPrefix)+val-key, len(b.buf)-1)
	case rawjson.IsNull(b.buf[val:end]) || !b.enter(key, val, end):
		b.rewrite = true
	default:
		b.models |= 1 << f
	}
}

// formatted writes the struct of the option Format. It reports whether that replaces the base fields.
func (b *builder) formatted(ctx context.Context, r *slog.Record) (replaced bool) {
	defer func() {
		b.yields = false
		if p := recover(); p != nil {
			b.schemaErrors = append(b.schemaErrors, "Format: panic: "+fmt.Sprint(p))
		}
	}()
	m := b.format(ctx, *r)
	if m == nil {
		return false
	}
	b.yields = true
	b.limit = len(b.buf) + 2*b.maxBytes
	b.model("format", m)
	return true
}

// base writes the remaining base fields of a record with the option Format: the usual ones if Format returned none,
// else null for those that the struct lacks. A record without an envelope omits these.
func (b *builder) base(formatted bool, r *slog.Record) {
	if !formatted {
		start := len(b.buf)
		b.writeEarly(r)
		b.spare = b.appendEarly(b.spare[:0], start, len(b.buf))
		b.buf = append(b.buf[:start], b.spare...)
		return
	}
	for f := range ownSource {
		if b.enveloped && b.mayWrite(f) {
			b.raw(f, []byte("null"))
		}
	}
	b.models |= early | late
}
