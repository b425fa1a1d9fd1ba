package jsonplan

import (
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
	name     string
	key      string // the comma before it, the name, the colon
	offset   uintptr
	through  []uintptr // offsets in the embedded structs that pointers on the way lead to
	skip     func(ptr) bool
	write    encoder
	inPlace  reflect.Kind // of a field that is never left out, and written without a call
	proof    proof
	rule     *rule.Rule // nil: nothing is left to be checked
	required bool       // and may be left out
	nilable  bool       // a pointer, slice or map
	typ      reflect.Type
	log      string // the log tag
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
		if m.skip != nil || len(m.through) > 0 {
			m.inPlace = reflect.Invalid
		}
		members[i] = m
	}
	return c.checked(structOf(members), p, r)
}

func structOf(members []member) encoder {
	return func(w *Writer, at ptr) {
		if !w.down() {
			return
		}
		start := len(w.Buf)
		for i := 0; i < len(members); i++ {
			if i = w.scalars(members, i, at); i == len(members) {
				break
			}
			m := &members[i]
			if w.stopped() {
				break
			}
			w.member(m, at)
			if w.err != nil {
				w.at(m.name)
				return
			}
		}
		w.close(start, "{}")
		w.up()
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

// scalars writes the fields of the struct at p from i on, up to the first that needs more than its kind, and returns
// that. It is what most fields of published data and of log models are, and takes no call for each.
func (w *Writer) scalars(members []member, i int, p ptr) int {
	if w.Log != nil && (w.Log.checking || w.Log.Field != nil) {
		return i
	}
	buf, broken := w.Buf, w.invalidUTF8()
	for ok := true; i < len(members); i++ {
		m := &members[i]
		if w.Log != nil && m.log != "" {
			break
		}
		at, before := field(p, m.offset), len(buf)
		if m.inPlace != reflect.Invalid {
			buf = append(buf, m.key...)
		}
		start := len(buf)
		switch m.inPlace {
		case reflect.Invalid:
			ok = false
		case reflect.Float64:
			buf, ok = rawjson.AppendFloat(buf, get[float64](at), 64)
		case reflect.Struct: // a time
			buf, ok = rawjson.AppendTime(buf, get[time.Time](at))
		case reflect.String:
			if text := get[string](at); w.Log == nil || len(text) <= shortText {
				buf = rawjson.AppendText(buf, text, broken)
			} else {
				ok = false
			}
		case reflect.Int:
			buf = rawjson.AppendInt(buf, int64(get[int](at)))
		case reflect.Int64:
			buf = rawjson.AppendInt(buf, get[int64](at))
		case reflect.Bool:
			buf = strconv.AppendBool(buf, get[bool](at))
		}
		if !ok { // what is wrong with the value is found in the other way
			buf = buf[:before]
			break
		}
		if m.rule != nil && !w.broken && (m.proof.accepts == nil || !m.proof.accepts(at)) {
			w.broken = !m.rule.Accepts(buf[start:])
		}
	}
	w.Buf = buf
	return i
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

// skips tells whether a field is left out for its value. In a log record a field stays whose IsZero method panics: its
// value will say so.
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
