package jsonplan

import (
	"encoding/json"
	"reflect"
	"slices"

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
	isString bool // the most frequent kind is written without a call
	proof    proof
	rule     *rule.Rule // nil: nothing is left to be checked
	required bool       // and may be left out
	always   bool       // it is never left out, nor behind a pointer
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
		m.always = m.skip == nil && len(m.through) == 0
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
		for i := range members {
			m := &members[i]
			if w.stopped() {
				break
			}
			if w.Log != nil || !m.always {
				w.member(m, at)
			} else {
				w.published(m, field(at, m.offset))
			}
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
			if m.proof = proveText(flatten(r)); !m.proof.always || !r.Accepts([]byte("null")) && f.Type.Kind() == reflect.Pointer {
				m.proof, m.rule = unproved, r
			}
			return
		}
	}
	method, _ := c.plans.method(f.Type, true)
	if write := scalars[f.Type.Kind()]; write != nil && method == nil && f.Type != numberType {
		m.write, m.proof, m.isString = write, proveScalar(f.Type, r), f.Type.Kind() == reflect.String
		if !m.proof.always {
			m.rule = r
		}
		return
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

// offsets returns the way from a struct to a field of it, or of the structs embedded in it: an offset, and one more for each pointer.
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
	w.published(m, p)
	w.addr = addr
}

// published writes a field, which is at p, in published data.
func (w *Writer) published(m *member, p ptr) {
	w.Buf = append(w.Buf, m.key...)
	start := len(w.Buf)
	if m.isString {
		w.Buf = rawjson.AppendText(w.Buf, get[string](p), rawjson.Escaped)
	} else {
		m.write(w, p)
	}
	if m.rule != nil {
		w.verify(start, p, m.proof, m.rule)
	}
}

// skips tells whether a field is left out for its value. In a log record a field stays whose IsZero method panics: its value will say so.
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
