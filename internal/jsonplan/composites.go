package jsonplan

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// The encoders of the kinds that hold others.

func pointerTo(t reflect.Type, element *node, nullKeeps bool) encoder {
	inner := t.Elem()
	deep := inner.Kind() != reflect.String && scalars[inner.Kind()] == nil
	return func(w *Writer, p ptr) {
		to := get[ptr](p)
		if to == nil {
			w.null()
			w.broken = w.broken || !nullKeeps
			return
		}
		addr := w.addr
		w.addr = true
		switch {
		case !deep:
			element.write(w, to)
		case w.enter(t, to, 0):
			element.write(w, to)
			w.leave()
		}
		w.addr = addr
	}
}

// close ends an object or array, each member of which was written with a comma before it.
func (w *Writer) close(start int, empty string) {
	if len(w.Buf) == start {
		w.raw(empty)
		return
	}
	w.Buf[start] = empty[0]
	w.Buf = append(w.Buf, empty[1])
}

func sliceOf(t reflect.Type, element *node) encoder {
	size := t.Elem().Size()
	return func(w *Writer, p ptr) {
		s := get[sliceHeader](p)
		if s.data == nil && !w.nilIsEmpty() {
			w.null()
			return
		}
		if !w.down() {
			return
		}
		at := s.data
		if s.len == 0 {
			at = nil // an empty slice may point anywhere, and contains nothing
		}
		if w.enter(t, at, s.len) {
			addr := w.addr
			w.addr = true
			w.list(s.data, s.len, size, element)
			w.addr = addr
			w.leave()
		}
		w.up()
	}
}

func arrayOf(t reflect.Type, element *node) encoder {
	n, size := t.Len(), t.Elem().Size()
	return func(w *Writer, p ptr) {
		if w.down() {
			w.list(p, n, size, element)
			w.up()
		}
	}
}

func (w *Writer) list(first ptr, n int, size uintptr, item *node) {
	start := len(w.Buf)
	for i := range n {
		if w.stopped() {
			break
		}
		w.Buf = append(w.Buf, ',')
		if item.write(w, element(first, i, size)); w.err != nil {
			w.at("[" + strconv.Itoa(i) + "]")
			return
		}
	}
	w.close(start, "[]")
}

// writeTexts writes the most frequent type of slice.
func writeTexts(w *Writer, p ptr) {
	texts := get[[]string](p)
	if texts == nil && !w.nilIsEmpty() {
		w.null()
		return
	}
	if !w.down() {
		return
	}
	start := len(w.Buf)
	for _, text := range texts {
		if w.stopped() {
			break
		}
		w.Buf = append(w.Buf, ',')
		w.text(text)
	}
	w.close(start, "[]")
	w.up()
}

// pair is one member of a map that needs no reflection.
type pair[V any] struct {
	key   string
	value V
}

// byKey puts the members in order. Mostly they are few, for which slices.SortFunc takes longer.
func byKey[V any](all []pair[V]) {
	if len(all) > 12 {
		slices.SortFunc(all, func(a, b pair[V]) int { return strings.Compare(a.key, b.key) })
		return
	}
	for i := 1; i < len(all); i++ {
		for j := i; j > 0 && all[j].key < all[j-1].key; j-- {
			all[j], all[j-1] = all[j-1], all[j]
		}
	}
}

// pairs writes the members, which are in order.
func pairs[V any](w *Writer, all []pair[V], write func(*Writer, V)) {
	start, last := len(w.Buf), ""
	for i := range all {
		if w.stopped() {
			break
		}
		name := all[i].key
		if w.Log != nil && i > 0 && name == last { // in a log record no key is there twice
			continue
		}
		last = name
		w.Buf = append(rawjson.AppendText(append(w.Buf, ','), name, w.invalidUTF8()), ':')
		if write(w, all[i].value); w.err != nil {
			w.at(name)
			return
		}
	}
	w.close(start, "{}")
}

// writeLabels writes the most frequent type of map, without allocating for a dozen members.
func writeLabels(w *Writer, p ptr) {
	labels := get[map[string]string](p)
	if labels == nil && !w.nilIsEmpty() {
		w.null()
		return
	}
	if w.down() {
		var few [12]pair[string]
		all := few[:0]
		for key, value := range labels {
			all = append(all, pair[string]{w.key(key), value})
		}
		byKey(all)
		pairs(w, all, (*Writer).text)
		w.up()
	}
}

// anyMapOf writes maps of values of any type.
func anyMapOf(t reflect.Type, plans *Plans) encoder {
	write := func(w *Writer, v any) { w.any(plans, v) }
	return func(w *Writer, p ptr) {
		values := get[map[string]any](p)
		if values == nil && !w.nilIsEmpty() {
			w.null()
			return
		}
		if !w.down() {
			return
		}
		if w.enter(t, get[ptr](p), 0) {
			addr := w.addr
			w.addr = false
			var few [12]pair[any]
			all := few[:0]
			for key, value := range values {
				all = append(all, pair[any]{w.key(key), value})
			}
			byKey(all)
			pairs(w, all, write)
			w.addr = addr
			w.leave()
		}
		w.up()
	}
}

// key returns a key as it is compared with others: that of a log record without what is no UTF-8.
func (w *Writer) key(name string) string {
	if w.Log != nil {
		return strings.ToValidUTF8(name, rawjson.Plain)
	}
	return name
}

// entry is one member of a map.
type entry struct {
	name  string
	value reflect.Value
}

func mapOf(t reflect.Type, element *node) encoder {
	name := keyOf(t.Key())
	return func(w *Writer, p ptr) {
		v := valueAt(t, p)
		if v.IsNil() && !w.nilIsEmpty() {
			w.null()
			return
		}
		if !w.down() {
			return
		}
		if w.enter(t, v.UnsafePointer(), 0) {
			addr := w.addr
			w.addr = false
			w.mapping(v, name, element)
			w.addr = addr
			w.leave()
		}
		w.up()
	}
}

func (w *Writer) mapping(v reflect.Value, name func(*Writer, reflect.Value) string, element *node) {
	n := v.Len()
	start := len(w.Buf)
	if n > 0 {
		values := reflect.MakeSlice(reflect.SliceOf(v.Type().Elem()), n, n)
		members := make([]entry, 0, n)
		for each := v.MapRange(); each.Next() && len(members) < n; {
			at := values.Index(len(members))
			at.SetIterValue(each)
			members = append(members, entry{w.key(name(w, each.Key())), at})
		}
		slices.SortFunc(members, func(a, b entry) int { return strings.Compare(a.name, b.name) })
		for i, m := range members {
			if w.stopped() {
				break
			}
			if w.Log != nil && i > 0 && m.name == members[i-1].name { // in a log record no key is there twice
				continue
			}
			w.Buf = append(rawjson.AppendText(append(w.Buf, ','), m.name, w.invalidUTF8()), ':')
			if element.write(w, m.value.Addr().UnsafePointer()); w.err != nil {
				w.at(m.name)
				return
			}
		}
	}
	w.close(start, "{}")
}

// keyOf returns how a map's keys become text, nil when a map of such keys has no JSON.
func keyOf(t reflect.Type) func(*Writer, reflect.Value) string {
	switch {
	case t.Kind() == reflect.String:
		return func(_ *Writer, v reflect.Value) string { return v.String() }
	case t.Implements(textMarshalerType):
		return textKey
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		return func(_ *Writer, v reflect.Value) string { return strconv.FormatInt(v.Int(), 10) }
	case t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uintptr:
		return func(_ *Writer, v reflect.Value) string { return strconv.FormatUint(v.Uint(), 10) }
	}
	return nil
}

func textKey(w *Writer, v reflect.Value) (name string) {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return ""
	}
	if w.Log != nil {
		defer func() {
			if r := recover(); r != nil {
				name = PanicNote + fmt.Sprint(r)
			}
		}()
	}
	text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	if err == nil {
		return string(text)
	}
	if w.Log != nil {
		return ErrorNote + err.Error()
	}
	w.fail(fmt.Errorf("json: encoding error for type %q: %q", v.Type(), err.Error()))
	return ""
}

// interfaceOf writes what an interface holds by the plan of its type.
func (c *compiler) interfaceOf(t reflect.Type) encoder {
	plans, empty := c.plans, t.NumMethod() == 0
	return func(w *Writer, p ptr) {
		var v any
		if empty {
			v = get[any](p)
		} else if held := valueAt(t, p).Elem(); held.IsValid() {
			v = held.Interface()
		}
		w.any(plans, v)
	}
}

// any writes a value that is not part of a model, by the plan of its type.
func (w *Writer) any(plans *Plans, v any) {
	switch v := v.(type) { // the types that have no methods and no parts need no plan
	case nil:
		w.null()
		return
	case string:
		w.text(v)
		return
	case int:
		w.Buf = rawjson.AppendInt(w.Buf, int64(v))
		return
	case float64:
		w.float(v, 64)
		return
	case bool:
		w.Buf = strconv.AppendBool(w.Buf, v)
		return
	}
	addr, models := w.addr, false
	w.addr = false
	if w.Log != nil {
		models, w.Log.Models = w.Log.Models, false
	}
	held := len(w.held)
	t, p := w.dynamic(v)
	plans.For(t, nil).root.write(w, p)
	w.held = w.held[:held]
	if w.Log != nil {
		w.Log.Models = models
	}
	w.addr = addr
}

// quoted writes a field with the string option: its JSON within a string.
func quoted(t reflect.Type, inner *node) encoder {
	if t.Kind() == reflect.Pointer {
		element := &node{write: quoted(t.Elem(), inner)}
		return pointerTo(t, element, true)
	}
	return func(w *Writer, p ptr) {
		start := len(w.Buf)
		inner.write(w, p)
		if w.err != nil || w.Log != nil && strings.HasPrefix(string(w.Buf[start:]), `"`+ErrorNote) {
			return
		}
		if t.Kind() == reflect.String && t != numberType {
			text := string(w.Buf[start:])
			if w.Log == nil { // as encoding/json does it in a text inside a text
				text = strings.NewReplacer("\u2028", `\u2028`, "\u2029", `\u2029`).Replace(text)
			}
			w.Buf = rawjson.AppendText(w.Buf[:start], text, w.invalidUTF8())
			return
		}
		w.Buf = append(w.Buf, '"', '"')
		copy(w.Buf[start+1:], w.Buf[start:len(w.Buf)-2])
		w.Buf[start] = '"'
	}
}
