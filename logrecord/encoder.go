package logrecord

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/internal/severity"
)

// Options are what an Encoder is made with. The zero value is complete.
type Options struct {
	// SchemaID wraps each record in an envelope of that schema, such as "LogRecord:1". Defaults to none: bare records.
	SchemaID string
	// Base are the base fields that are the same in all records.
	Base Base
	// AddSource adds the field source: function, file and line of the log call.
	AddSource bool
	// Trace fills the field trace with the stack of the log call, from this level on. Defaults to never.
	Trace slog.Leveler
	// ReplaceAttr is called for each attribute that is not a group, as that of slog.HandlerOptions is, but never for base
	// fields. A log model is one attribute to it. It may be called concurrently.
	ReplaceAttr func(groups []string, a slog.Attr) slog.Attr
	// Format makes the record's own base: a struct whose fields are merged after the base fields, and may replace them,
	// before all models and attributes. It is a log model without having to say so. It may be called concurrently.
	Format func(ctx context.Context, r slog.Record) any
	// MaxBytes is how long a record with its envelope may be, in bytes: values are shortened until it fits. Defaults to
	// 900 KiB, which fits into the largest record that a Kafka broker takes by default, with room for key and headers.
	MaxBytes int
}

const defaultMaxBytes = 900 << 10

// maxGroups is how many groups WithGroup may open. It is more than values may nest, because programs open groups in code.
const maxGroups = 128

// Encoder makes log records of slog's: what a slog.Handler's Handle, WithAttrs and WithGroup have in common. It does not
// change: WithAttrs and WithGroup return another. All may be used concurrently.
type Encoder struct {
	*shared
	scopes []scope // [0] is the record itself, then one for each group of WithGroup, outermost first
	notes  notes   // of WithAttrs
}

// shared is what an encoder and those derived from it have in common.
type shared struct {
	head        []byte // of the envelope, up to its data
	base        scope
	addSource   bool
	trace       slog.Leveler
	replaceAttr func([]string, slog.Attr) slog.Attr
	format      func(context.Context, slog.Record) any
	maxBytes    int

	types    types
	sources  sync.Map  // uintptr to []byte: the JSON of each log call's place
	builders sync.Pool // *builder
}

// notes is what attributes tell about the record as a whole.
type notes struct {
	exception, stack string // of an error; see builder.exceptional
	moved            []moved
	schemaErrors     []string
	truncated        bool
}

// builder builds one record, or the attributes of one WithAttrs.
type builder struct {
	*shared
	notes
	buf     []byte
	members []member
	open    []object
	path    []string // names of the groups that are open
	visits  []visit
	levels  int // that values may still nest
	limit   int // length of buf beyond which no more is written of a value, so that one without end leaves room for others
	total   int // length of buf beyond which no more attributes are written; what exactly goes out is for shorten to say
}

// NewEncoder returns an encoder. What Options.Base leaves open is found now.
func NewEncoder(o Options) *Encoder {
	s := &shared{
		addSource:   o.AddSource,
		trace:       o.Trace,
		replaceAttr: o.ReplaceAttr,
		format:      o.Format,
		maxBytes:    o.MaxBytes,
		base:        o.Base.found().scope(),
	}
	if s.maxBytes <= 0 {
		s.maxBytes = defaultMaxBytes
	}
	if o.SchemaID != "" {
		s.head = append(appendString([]byte(`{"schema":`), o.SchemaID), `,"data":`...)
	}
	s.builders.New = func() any { return &builder{shared: s} }
	return &Encoder{shared: s, scopes: []scope{{}}}
}

// builder returns an empty builder in the state that the encoder's attributes have led to.
func (e *Encoder) builder() *builder {
	b := e.builders.Get().(*builder)
	b.notes = e.notes
	b.notes.moved = slices.Clip(b.notes.moved)
	b.notes.schemaErrors = slices.Clip(b.notes.schemaErrors)
	b.levels = maxLevels
	b.limit, b.total = 2*e.maxBytes, 4*e.maxBytes
	return b
}

// release gives a builder back.
func (s *shared) release(b *builder) {
	const most = 64 << 10 // larger buffers are rare, and not worth their memory
	if cap(b.buf) > most {
		return
	}
	clear(b.path[:cap(b.path)])
	clear(b.visits[:cap(b.visits)])
	*b = builder{shared: s, buf: b.buf[:0], members: b.members[:0], open: b.open[:0], path: b.path[:0], visits: b.visits[:0]}
	s.builders.Put(b)
}

// WithAttrs returns an encoder whose records have these attributes. They are encoded now, once.
func (e *Encoder) WithAttrs(attrs []slog.Attr) *Encoder {
	last := len(e.scopes) - 1
	if len(attrs) == 0 || e.scopes[last].tooDeep {
		return e
	}
	b := e.builder()
	defer e.release(b)
	for _, s := range e.scopes[1:] {
		b.path = append(b.path, s.name)
	}
	b.begin(last == 0)
	b.include(&e.scopes[last])
	b.attrs(attrs, plain)
	scopes := slices.Clone(e.scopes)
	scopes[last] = b.harvest(e.scopes[last].name)
	return &Encoder{shared: e.shared, scopes: scopes, notes: b.notes}
}

// WithGroup returns an encoder that puts all further attributes into the group of that name. An empty name changes nothing.
func (e *Encoder) WithGroup(name string) *Encoder {
	last := &e.scopes[len(e.scopes)-1]
	if name == "" || last.tooDeep {
		return e
	}
	group := scope{name: name, tooDeep: len(e.scopes) > maxGroups}
	return &Encoder{shared: e.shared, scopes: append(slices.Clip(e.scopes), group), notes: e.notes}
}

// Result tells what had to be done to a record.
type Result struct {
	// Invalid tells that the record has schema_errors.
	Invalid bool
	// Truncated tells that values were shortened, or left out, to make it fit.
	Truncated bool
}

// Append appends the record of one log call to dst: JSON without a line's end, in an envelope if there is a SchemaID.
// Nothing of r, or of the values in it, is used after it returns. The context gives the ids of its span, if it has one.
func (e *Encoder) Append(dst []byte, ctx context.Context, r slog.Record) ([]byte, Result) {
	b := e.builder()
	defer e.release(b)
	b.total *= 2 // so that the attributes of With leave room for those of the call
	b.begin(true)
	b.call(&r)
	b.include(&e.base)
	if e.format != nil {
		b.formatted(ctx, r)
	}
	b.include(&e.scopes[0])
	b.groups(e.scopes[1:], r)
	b.finish(ctx, r.PC, r.Level)
	b.end()
	text, result := b.buf, Result{Invalid: len(b.schemaErrors) > 0, Truncated: b.truncated}
	if len(text)+e.around() > e.maxBytes {
		text, _ = shorten(text, e.maxBytes-e.around()) // as short as it gets
		result.Truncated = true
	}
	dst = append(slices.Grow(dst, len(text)+e.around()), e.head...)
	dst = append(dst, text...)
	if len(e.head) > 0 {
		dst = append(dst, '}')
	}
	return dst, result
}

// Shorten returns a record that Append made in at most max bytes, if it can: its longest texts shortened first, then whole
// fields left out, never a base field. The record it is given does not change.
func (e *Encoder) Shorten(record []byte, max int) ([]byte, bool) {
	if len(e.head) == 0 {
		return shorten(record, max)
	}
	text, ok := shorten(record[len(e.head):len(record)-1], max-e.around())
	return slices.Concat(e.head, text, []byte("}")), ok
}

// around is the length of the envelope around a record.
func (s *shared) around() int {
	if len(s.head) == 0 {
		return 0
	}
	return len(s.head) + 1
}

// call writes the base fields that are the log call's own.
func (b *builder) call(r *slog.Record) {
	key := b.key("timestamp", base)
	val := len(b.buf)
	b.timestamp(r.Time)
	b.commit(key, val, base)
	b.text("severity", severity.Name(r.Level))
	key = b.key("level", base)
	val = len(b.buf)
	b.buf = strconv.AppendInt(b.buf, severity.Number(r.Level), 10)
	b.commit(key, val, base)
	key = b.key("message", base)
	val = len(b.buf)
	b.string(r.Message)
	b.commit(key, val, base)
}

// timestamp appends a record's time; null when it has none, or one that RFC 3339 cannot say.
func (b *builder) timestamp(t time.Time) {
	t = t.UTC()
	if y := t.Year(); t.IsZero() || y < 0 || y > 9999 {
		b.null()
		return
	}
	b.buf = append(b.buf, '"')
	b.buf = t.AppendFormat(b.buf, "2006-01-02T15:04:05.000000000Z")
	b.buf = append(b.buf, '"')
}

// groups writes the groups of WithGroup, one in the other, and the attributes of the call into the innermost. A group that
// nothing goes into is not written.
func (b *builder) groups(scopes []scope, r slog.Record) {
	if len(scopes) == 0 {
		r.Attrs(func(a slog.Attr) bool {
			b.attr(a, plain)
			return true
		})
		return
	}
	s := &scopes[0]
	key := b.key(s.name, plain)
	val := len(b.buf)
	if s.tooDeep {
		if r.NumAttrs() == 0 {
			b.buf = b.buf[:key]
			return
		}
		b.note("more than " + strconv.Itoa(maxGroups) + " groups")
		b.commit(key, val, plain)
		return
	}
	b.path = append(b.path, s.name)
	b.begin(false)
	b.include(s)
	b.groups(scopes[1:], r)
	b.path = b.path[:len(b.path)-1]
	if b.end() {
		b.commit(key, val, plain)
	} else {
		b.buf = b.buf[:key]
	}
}

// finish writes what is known only at the end, all of it at the root.
func (b *builder) finish(ctx context.Context, pc uintptr, level slog.Level) {
	if b.exception != "" {
		b.late("exception", b.exception)
		b.late("stack", b.stack)
	}
	if b.trace != nil && level >= b.trace.Level() {
		if text := callStack(pc); text != "" {
			b.late("trace", text)
		}
	}
	if b.addSource && pc != 0 && b.claim("source", false) {
		b.raw("source", b.source(pc))
	}
	if ctx != nil {
		if span := trace.SpanContextFromContext(ctx); span.IsValid() {
			b.late("trace_id", span.TraceID().String())
			b.late("span_id", span.SpanID().String())
		}
	}
	if len(b.moved) > 0 && b.claim("invalid", true) {
		b.raw("invalid", appendMoved(nil, b.moved))
	}
	if len(b.schemaErrors) > 0 && b.claim("schema_errors", true) {
		key := b.key("schema_errors", base)
		val := len(b.buf)
		b.value(reflect.ValueOf(b.schemaErrors))
		b.commit(key, val, base)
	}
	if b.truncated && b.claim("truncated", true) {
		b.raw("truncated", []byte("true"))
	}
}

// late writes a text of the record's own, unless a model has.
func (b *builder) late(name, value string) {
	if b.claim(name, false) {
		b.text(name, value)
	}
}
