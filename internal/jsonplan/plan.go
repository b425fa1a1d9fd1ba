package jsonplan

import (
	"fmt"
	"reflect"
	"sync"

	"github.com/kafkaesk/kafkaesk/internal/schema/rule"
)

// Plans makes the plans of types, each once, and keeps those of values that interfaces hold. A program has only so many
// types. It may be used concurrently.
type Plans struct {
	own   func(reflect.Type) Method // of log records only
	known sync.Map                  // reflect.Type to *Plan, without a schema
}

// Published returns the plans of published data.
func Published() *Plans { return &Plans{} }

// Logged returns the plans of values of log records. The function returns how the values of a type are written by a
// method that means more than those that encoding/json knows, nil for other types. It must not keep the Writer.
func Logged(own func(reflect.Type) Method) *Plans { return &Plans{own: own} }

// Plan writes the values of one type and checks them against one schema.
type Plan struct {
	typ   reflect.Type
	typID ptr
	ptrID ptr // of a pointer to typ
	root  *node
	rule  *rule.Rule
	// address tells that a copy of a value with an address has methods that the value itself has not.
	address bool
	keys    []string // of a struct that is written by its fields
}

func newPlan(t reflect.Type, root *node, r *rule.Rule) *Plan {
	return &Plan{typ: t, typID: identity(t), ptrID: identity(reflect.PointerTo(t)), root: root, rule: r}
}

// node is an encoder that may still be made: a recursive type refers to itself.
type node struct{ write encoder }

// For returns the plan of a type and a schema, nil for no schema. Plans without a schema are kept.
func (ps *Plans) For(t reflect.Type, r *rule.Rule) *Plan {
	if r == nil {
		if known, ok := ps.known.Load(t); ok {
			return known.(*Plan)
		}
	}
	c := compiler{plans: ps, known: map[subject]*node{}}
	method, onPointer := ps.method(t, true)
	made := newPlan(t, c.node(t, r), r)
	made.address = onPointer
	if t.Kind() == reflect.Struct && method == nil && t != timeType {
		made.keys = keys(t)
	}
	if r != nil {
		return made
	}
	kept, _ := ps.known.LoadOrStore(t, made)
	return kept.(*Plan)
}

// Keys are the names of the members that the values may have, where they are objects of their fields; else there are
// none.
func (p *Plan) Keys() []string { return p.keys }

// OnPointer tells that methods of the pointer write the values: one that has no address is written as a copy.
func (p *Plan) OnPointer() bool { return p.address }

// Type returns the type of the values.
func (p *Plan) Type() reflect.Type { return p.typ }

// Takes reports whether the value can be written: one of the plan's type, or a pointer to one.
func (p *Plan) Takes(v any) bool {
	t, _ := words(v)
	return t != nil && (t == p.ptrID || t == p.typID || p.leadsTo(reflect.TypeOf(v)))
}

// leadsTo reports whether pointers of type t lead to a value of the plan's type.
func (p *Plan) leadsTo(t reflect.Type) bool {
	for range mostPointers {
		if t == p.typ || t.Kind() != reflect.Pointer {
			break
		}
		t = t.Elem()
	}
	return t == p.typ
}

// mostPointers ends the search behind a pointer that leads to itself.
const mostPointers = 10

// Write appends the JSON of v, whose type the plan must take, and reports whether v surely keeps the schema. An error
// names the field; then w.Buf is as it was.
func (p *Plan) Write(w *Writer, v any) (keeps bool, err error) {
	start := len(w.Buf)
	if w.Log == nil {
		if w.writing { // the value before ended in an error or a panic
			w.state, w.held = state{}, w.held[:0]
		}
		w.writing, w.broken, w.addr = true, false, false
		keeps, err = p.write(w, v)
		w.writing = err != nil
	} else { // a method of the user's may have this value written within another
		outer, held := w.state, len(w.held)
		w.state = state{visits: w.visits[len(w.visits):]}
		keeps, err = p.write(w, v)
		w.state, w.held = outer, w.held[:held]
	}
	if err != nil {
		w.Buf = w.Buf[:start]
	}
	return keeps, err
}

func (p *Plan) write(w *Writer, v any) (keeps bool, err error) {
	t, at := words(v)
	held := len(w.held)
	switch {
	case t == p.ptrID:
		w.addr = true
	case t == p.typID:
		_, at = w.dynamic(v)
	case !p.Takes(v): // else memory would be read as what it is not
		return false, fmt.Errorf("encode %T where %v should be", v, p.typ)
	default:
		w.addr = true
		for t := reflect.TypeOf(v).Elem(); at != nil && t != p.typ; t = t.Elem() {
			at = get[ptr](at)
		}
	}
	if at == nil {
		start := len(w.Buf)
		w.null()
		return p.rule.Accepts(w.Buf[start:]), nil
	}
	p.root.write(w, at)
	w.held = w.held[:held]
	if w.err != nil {
		if w.path != "" {
			return false, fmt.Errorf("encode field %q: %w", w.path, w.err)
		}
		return false, fmt.Errorf("encode %T: %w", v, w.err)
	}
	return !w.broken, nil
}

// Model returns the plan of a log model: that of its struct even if it is an error, which otherwise is its text.
func (ps *Plans) Model(t reflect.Type, r *rule.Rule) *Plan {
	p := ps.For(t, r)
	m, _ := ps.method(t, true)
	if t.Kind() != reflect.Struct || m == nil || t.Implements(marshalerType) ||
		reflect.PointerTo(t).Implements(marshalerType) ||
		ps.own(t) != nil || ps.own(reflect.PointerTo(t)) != nil {
		return p
	}
	c := compiler{plans: ps, known: map[subject]*node{}}
	p = newPlan(t, &node{write: c.structEncoder(t, r)}, r)
	p.keys = keys(t)
	return p
}

func keys(t reflect.Type) (names []string) {
	for _, f := range Fields(t) {
		names = append(names, f.Name)
	}
	return names
}

// Violations returns what v breaks of the schema. A value that cannot be written, and has a note in its place, breaks
// nothing; of a field that has a log tag the value is not told.
func (p *Plan) Violations(w *Writer, v any) []rule.Violation {
	if p.rule == nil {
		return nil
	}
	start, log := len(w.Buf), *w.Log
	w.Log.checking, w.Log.notes, w.Log.secrets = true, nil, nil
	_, _ = p.Write(w, v) // in a log record nothing fails
	data := w.Buf[start:]
	notes, secrets := w.Log.notes, w.Log.secrets
	*w.Log, w.Buf = log, w.Buf[:start]
	var all []rule.Violation
	for _, violation := range p.rule.Check(data, false) {
		at := start + violation.At()
		if inside(notes, at) {
			continue
		}
		if inside(secrets, at) {
			violation.Value = ""
		}
		all = append(all, violation)
	}
	return all
}

// compiler makes the nodes of a plan.
type compiler struct {
	plans *Plans
	known map[subject]*node
}

type subject struct {
	typ      reflect.Type
	rule     *rule.Rule
	pointers bool // methods of the pointer count
}

func (c *compiler) node(t reflect.Type, r *rule.Rule) *node { return c.nodeWith(t, r, true) }

func (c *compiler) nodeWith(t reflect.Type, r *rule.Rule, pointers bool) *node {
	key := subject{t, r, pointers}
	if known, ok := c.known[key]; ok {
		return known
	}
	made := new(node)
	c.known[key] = made
	made.write = c.encoder(t, r, pointers)
	return made
}

// encoder chooses how the values of a type are written and checked.
func (c *compiler) encoder(t reflect.Type, r *rule.Rule, pointers bool) encoder {
	if t == timeType {
		return c.checked(writeTime, proveTime(flatten(r)), r)
	}
	if t.Kind() == reflect.Pointer && t.Elem() == timeType {
		return pointerTo(t, c.node(timeType, r), r.Accepts([]byte("null")))
	}
	if m, onPointer := c.plans.method(t, pointers); m != nil {
		if onPointer {
			return c.checked(byPointer(t, m, c.nodeWith(t, nil, false)), unproved, r)
		}
		return c.checked(byMethod(t, m), c.plans.proveMethod(t, flatten(r)), r)
	}
	if t == numberType {
		return c.checked(writeNumber, proveNumber(flatten(r)), r)
	}
	if write := scalars[t.Kind()]; write != nil {
		return c.checked(write, proveScalar(t, r), r)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return pointerTo(t, c.node(t.Elem(), r), r.Accepts([]byte("null")))
	case reflect.Interface:
		return c.checked(c.interfaceOf(t), unproved, r)
	case reflect.Slice:
		if IsBytes(t) {
			return c.checked(writeBytes, proveText(flatten(r)), r)
		}
		items, p := proveList(t, flatten(r))
		if c.isText(t.Elem(), items) {
			return c.checked(writeTexts, p, r)
		}
		return c.checked(sliceOf(t, c.node(t.Elem(), items)), p, r)
	case reflect.Array:
		items, p := proveList(t, flatten(r))
		return c.checked(arrayOf(t, c.node(t.Elem(), items)), p, r)
	case reflect.Map:
		if keyOf(t.Key()) != nil {
			return c.mapEncoder(t, r)
		}
	case reflect.Struct:
		return c.structEncoder(t, r)
	}
	return func(w *Writer, _ ptr) { w.fail(unsupported(t)) }
}

func (c *compiler) mapEncoder(t reflect.Type, r *rule.Rule) encoder {
	values, p := proveMap(flatten(r))
	element := c.node(t.Elem(), values)
	switch {
	case t.Key().Kind() != reflect.String:
	case c.isText(t.Elem(), values):
		return c.checked(writeLabels, p, r)
	case t.Elem() == anyType && values == nil:
		return c.checked(anyMapOf(t, c.plans), p, r)
	}
	return c.checked(mapOf(t, element), p, r)
}

// isText reports whether values are written as texts, and need no check.
func (c *compiler) isText(t reflect.Type, r *rule.Rule) bool {
	if t.Kind() != reflect.String || t == numberType {
		return false
	}
	m, _ := c.plans.method(t, true)
	return m == nil && proveScalar(t, r).always
}

// checked adds to an encoder the check that its value keeps the rule.
func (c *compiler) checked(write encoder, p proof, r *rule.Rule) encoder {
	if r == nil || p.always {
		return write
	}
	return func(w *Writer, at ptr) {
		start := len(w.Buf)
		write(w, at)
		w.verify(start, at, p, r)
	}
}

// verify checks the value at p, whose JSON starts at start and ends the buffer.
func (w *Writer) verify(start int, at ptr, p proof, r *rule.Rule) {
	if w.broken || w.err != nil || p.accepts != nil && p.accepts(at) {
		return
	}
	if !r.Accepts(w.Buf[start:]) {
		w.broken = true
	}
}

// IsBytes reports whether encoding/json writes a slice type as base64.
func IsBytes(t reflect.Type) bool {
	pointer := reflect.PointerTo(t.Elem())
	return t.Elem().Kind() == reflect.Uint8 && !pointer.Implements(marshalerType) && !pointer.Implements(textMarshalerType)
}
