package jsonplan

import (
	"encoding/binary"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
	"github.com/kafkaesk/kafkaesk/internal/schema/rule"
)

func unsupported(t reflect.Type) error { return &json.UnsupportedTypeError{Type: t} }

// member is one field of a struct as it is written.
type member struct {
	key      string    // the comma before it, the name, the colon
	words    [2]uint64 // the first bytes of key
	offset   uintptr
	inPlace  reflect.Kind // of a field that is written without a call
	log      string       // the log tag
	rule     *rule.Rule   // nil: nothing is left to be checked
	proof    proof
	write    encoder
	skip     func(ptr) bool
	through  []uintptr // offsets in the embedded structs that pointers on the way lead to
	name     string
	required bool // and may be left out
	nilable  bool // a pointer, slice or map
	typ      reflect.Type
}

func (c *compiler) structEncoder(t reflect.Type, r *rule.Rule) encoder {
	fields := Fields(t)
	rules, p := proveStruct(fields, flatten(r))
	members := make([]member, len(fields))
	for i, f := range fields {
		m := member{
			name: f.Name, key: string(rawjson.AppendText([]byte(","), f.Name, rawjson.Plain)) + ":", typ: f.Type,
			nilable: slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Slice, reflect.Map}, f.Type.Kind()),
			skip:    absent(f), log: f.Tag.Get("log"),
		}
		m.offset, m.through = offsets(t, f.Index)
		own := rules.of(f.Name)
		m.required = f.MayBeAbsent() && rules.requires(f.Name)
		c.member(&m, f, own)
		if len(m.through) > 0 {
			m.inPlace = reflect.Invalid
		}
		var first [shortKey]byte
		copy(first[:], m.key)
		m.words = [2]uint64{binary.LittleEndian.Uint64(first[:]), binary.LittleEndian.Uint64(first[8:])}
		members[i] = m
	}
	return c.checked(structOf(members), p, r)
}

func structOf(members []member) encoder {
	return func(w *Writer, at ptr) {
		if w.down() {
			start := len(w.Buf)
			if w.fields(members, at); w.err == nil {
				w.close(start, "{}")
			}
			w.up()
		}
	}
}

// member decides how a field is written. A text that has nothing but its kind is written in place.
func (c *compiler) member(m *member, f Field, r *rule.Rule) {
	if f.Quoted {
		if method, _ := c.plans.method(base(f.Type), true); method == nil {
			m.write = quoted(f.Type, c.node(base(f.Type), nil))
			if m.proof = proveText(flatten(r)); !m.proof.always || !r.Accepts([]byte("null")) &&
				f.Type.Kind() == reflect.Pointer {
				m.proof, m.rule = unproved, r
			}
			return
		}
	}
	method, _ := c.plans.method(f.Type, true)
	if write := scalars[f.Type.Kind()]; write != nil && method == nil && f.Type != numberType {
		m.write, m.proof = write, proveScalar(f.Type, r)
		switch k := f.Type.Kind(); k {
		case reflect.String, reflect.Int, reflect.Int64, reflect.Bool, reflect.Float64:
			m.inPlace = k
		}
		if !m.proof.always {
			m.rule = r
		}
		return
	}
	if f.Type == timeType && proveTime(flatten(r)).always {
		m.inPlace = reflect.Struct
	}
	m.write = c.node(f.Type, r).write
	if m.write == nil { // its own type, which is being made
		n := c.node(f.Type, r)
		m.write = func(w *Writer, p ptr) { n.write(w, p) }
	}
}

// base returns the type of a field with the string option, without the pointer to it.
func base(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// offsets returns the way from a struct to a field of it, or of the structs embedded in it: an offset, and one more for
// each pointer.
func offsets(t reflect.Type, index []int) (first uintptr, through []uintptr) {
	all := []uintptr{0}
	for _, i := range index {
		if t.Kind() == reflect.Pointer {
			t, all = t.Elem(), append(all, 0)
		}
		f := t.Field(i)
		all[len(all)-1] += f.Offset
		t = f.Type
	}
	return all[0], all[1:]
}

// fields writes the fields of the struct at p. Those that need no more than their kind, as most of published data and
// of log models do, take no call for each. Log records have a loop of their own, because each variable that is alive
// over the calls costs both.
func (w *Writer) fields(members []member, p ptr) {
	if w.Log != nil {
		w.logFields(members, p)
		return
	}
	buf := w.Buf
	for i := range members {
		m := &members[i]
		at, before, ok := field(p, m.offset), len(buf), true
		if m.inPlace != reflect.Invalid {
			if m.skip != nil && m.skip(at) {
				w.broken = w.broken || m.required
				continue
			}
			buf = m.appendKey(buf)
		}
		switch m.inPlace {
		case reflect.String:
			buf = rawjson.AppendText(buf, get[string](at), rawjson.Escaped)
		case reflect.Int:
			buf = rawjson.AppendInt(buf, int64(get[int](at)))
		case reflect.Int64:
			buf = rawjson.AppendInt(buf, get[int64](at))
		case reflect.Bool:
			buf = strconv.AppendBool(buf, get[bool](at))
		case reflect.Float64:
			buf, ok = rawjson.AppendFloat(buf, get[float64](at), 64)
		case reflect.Struct: // a time
			buf, ok = rawjson.AppendTime(buf, get[time.Time](at))
		default:
			ok = false
		}
		if !ok { // the other way also finds what is wrong with a value
			w.Buf = buf[:before]
			if w.member(m, p); w.err != nil {
				w.at(m.name)
				return
			}
			buf = w.Buf
			continue
		}
		if m.rule != nil && !w.broken && (m.proof.accepts == nil || !m.proof.accepts(at)) {
			w.broken = !m.rule.Accepts(buf[before+len(m.key):])
		}
	}
	w.Buf = buf
}

// logFields writes the fields of a struct in a log record.
func (w *Writer) logFields(members []member, p ptr) {
	calls := w.Log.checking || w.Log.Field != nil // each field is looked at by somebody
	buf := w.Buf
	for i := range members {
		m := &members[i]
		at, before, ok := field(p, m.offset), len(buf), !calls && m.skip == nil && m.log == ""
		if ok && m.inPlace != reflect.Invalid {
			buf = m.appendKey(buf)
		}
		switch {
		case !ok:
		case m.inPlace == reflect.String:
			if text := get[string](at); len(text) <= shortText {
				buf = rawjson.AppendText(buf, text, rawjson.Plain)
			} else {
				ok = false
			}
		case m.inPlace == reflect.Int:
			buf = rawjson.AppendInt(buf, int64(get[int](at)))
		case m.inPlace == reflect.Int64:
			buf = rawjson.AppendInt(buf, get[int64](at))
		case m.inPlace == reflect.Bool:
			buf = strconv.AppendBool(buf, get[bool](at))
		case m.inPlace == reflect.Float64:
			buf, ok = rawjson.AppendFloat(buf, get[float64](at), 64)
		case m.inPlace == reflect.Struct:
			buf, ok = rawjson.AppendTime(buf, get[time.Time](at))
		default:
			ok = false
		}
		if !ok {
			w.Buf = buf[:before]
			if w.full() {
				return
			}
			w.member(m, p)
			buf = w.Buf
			continue
		}
		if m.rule != nil && !w.broken && (m.proof.accepts == nil || !m.proof.accepts(at)) {
			w.broken = !m.rule.Accepts(buf[before+len(m.key):])
		}
	}
	w.Buf = buf
}

// shortKey is how long a key may be that is copied in two words.
const shortKey = 16

// appendKey appends the key. To copy two words takes a third of the time of a copy of some bytes.
func (m *member) appendKey(buf []byte) []byte {
	n := len(buf)
	if cap(buf)-n < shortKey || len(m.key) > shortKey {
		return append(buf, m.key...)
	}
	to := buf[n : n+shortKey]
	binary.LittleEndian.PutUint64(to, m.words[0])
	binary.LittleEndian.PutUint64(to[8:], m.words[1])
	return buf[:n+len(m.key)]
}

// member writes one field of the struct at p.
func (w *Writer) member(m *member, p ptr) {
	p = field(p, m.offset)
	addr := w.addr
	for _, offset := range m.through {
		to := get[ptr](p)
		if to == nil {
			w.broken, w.addr = w.broken || m.required, addr
			return
		}
		p, w.addr = field(to, offset), true
	}
	if m.skip != nil && w.skips(m, p) {
		w.broken = w.broken || m.required
		w.addr = addr
		return
	}
	if w.Log != nil {
		w.logged(m, p)
		w.addr = addr
		return
	}
	w.Buf = append(w.Buf, m.key...)
	start := len(w.Buf)
	m.write(w, p)
	if m.rule != nil {
		w.verify(start, p, m.proof, m.rule)
	}
	w.addr = addr
}

// skips reports whether a field is left out for its value. In a log record a field stays whose IsZero method panics:
// its value will say so.
func (w *Writer) skips(m *member, p ptr) (skip bool) {
	if w.Log != nil {
		defer func() { _ = recover() }()
	}
	return m.skip(p)
}

// logged writes a field in a log record.
func (w *Writer) logged(m *member, p ptr) {
	before := len(w.Buf)
	l := w.Log
	if l.Field != nil && l.Models && !l.checking && l.Field(w, m.name, valueAt(m.typ, p)) {
		return
	}
	w.Buf = append(w.Buf, m.key...)
	start := len(w.Buf)
	m.write(w, p)
	if m.rule != nil {
		w.verify(start, p, m.proof, m.rule)
	}
	switch {
	case l.checking:
		if m.log != "" {
			l.secrets = append(l.secrets, span{start, len(w.Buf)})
		}
	case l.Models && m.nilable && get[ptr](p) == nil:
		w.Buf = w.Buf[:before]
	case m.log != "" && l.Redact != nil:
		text, keep := l.Redact(m.log, w.Buf[start:])
		if !keep {
			w.Buf = w.Buf[:before]
			return
		}
		w.Buf = append(w.Buf[:start], text...)
	}
}
