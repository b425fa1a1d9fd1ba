package logrecord

import (
	"context"
	"fmt"
	"hash"
	"hash/maphash"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/internal/jsonplan"
	"github.com/kafkaesk/kafkaesk/internal/rawjson"
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
	// fields. A log model is one attribute to it, and then each of its fields, and those of the structs in it. It may be
	// called concurrently.
	ReplaceAttr func(groups []string, a slog.Attr) slog.Attr
	// Format makes the record's own base: a struct whose fields take the place of the base fields. A base field that it
	// does not have is null, or, in a record without an envelope, left out. It is a log model without having to say so;
	// models and attributes are merged over it. Where it returns nil or panics, the record has its usual base. It may be
	// called concurrently.
	Format func(ctx context.Context, r slog.Record) any
	// FromContext returns attributes that a call's context holds, such as the id of a request. They stand at the root,
	// also of loggers with groups, and give way to what With and the call say. It may be called concurrently.
	FromContext func(ctx context.Context) []slog.Attr
	// Levels names levels that have no name of their own, or another one. A level between two that have names has the
	// lower one's. Defaults to DEBUG, INFO, WARNING, ERROR, and CRITICAL from slog level 12 on.
	Levels map[slog.Level]string
	// TextDurations writes attributes that are durations as text, such as "1.5s". Defaults to their nanoseconds, as slog
	// writes them. Durations inside of other values are not changed: a model's schema calls them integers.
	TextDurations bool
	// Preset gives the record's own fields other names. It is for records without an envelope: those in Kafka have the
	// names that readers know. Defaults to Kafkaesk.
	Preset Preset
	// Rename gives own fields names that the preset does not have for them, by their names in Kafka; an empty name leaves
	// a field out. In an envelope a name has no effect, and one of exception, trace, stack, logger, hostname, service,
	// namespace and cluster that is left out is null.
	Rename map[string]string
	// Route finds the record's route by the types of its models, which are no pointers; see Result.Route.
	Route map[reflect.Type]string
	// Hash makes the hash, with its key, of fields of models that have the tag log:"hash": they are written as its sum, in
	// hex, of a text or of the JSON of another value. It is a function so that the key is not printed with the Options.
	// Without it these fields are redacted. It may be called concurrently.
	Hash func() hash.Hash
	// Report is told once of each type of model whose jsonschema tags cannot be used: its values are logged unchecked.
	// [Check] finds such a type before. It may be called concurrently, and must not log through this encoder. Defaults to
	// telling nobody.
	Report func(error)
	// MaxBytes is how long a record with its envelope may be, in bytes: values are shortened until it fits. Defaults to
	// 900 KiB, which fits into the largest record that a Kafka broker takes by default, with room for key and headers. At
	// most 128 MiB.
	MaxBytes int
}

const (
	defaultMaxBytes = 900 << 10
	mostMaxBytes    = 128 << 20
)

// maxGroups is how many groups WithGroup may open. It is more than values may nest, because programs open groups in
// code.
const maxGroups = 128

// maxSteps is how many attributes and calls of LogValue one record may cost. It ends groups that hold themselves many
// times over without writing anything.
const maxSteps = 1 << 17

// Encoder makes log records of slog's: what a slog.Handler's Handle, WithAttrs and WithGroup have in common. It does
// not change: WithAttrs and WithGroup return another. All may be used concurrently.
type Encoder struct {
	*shared
	with  with
	frame *frame // nil: all records are written as a whole
}

// shared is what an encoder and those derived from it have in common.
type shared struct {
	head        []byte // of the envelope, with the record's opening brace
	enveloped   bool
	hidden      uint32 // base fields that are always null, one bit for each
	route       map[reflect.Type]string
	names       names
	severities  []levelText // from the lowest level on
	constant    []byte      // the base fields that are the same in all records, with the comma behind the message
	lateNulls   []byte      // exception, trace and stack of a record that has none
	addSource   bool
	trace       slog.Leveler
	replaceAttr func([]string, slog.Attr) slog.Attr
	format      func(context.Context, slog.Record) any
	fromContext func(context.Context) []slog.Attr
	durations   bool
	hash        func() hash.Hash
	maxBytes    int

	seed     maphash.Seed
	types    types
	places   places
	builders sync.Pool // *builder
}

// with is what WithAttrs and WithGroup have led to. The text stands at the record's root, behind the base fields.
type with struct {
	text   []byte
	layout layout
	open   []int32  // groups that the text leaves open, outermost first
	path   []string // names of all groups of WithGroup; those that are not open yet are opened by what goes into them
	// tooDeep is the name of a group that lies deeper than a record may; "" if none does.
	tooDeep string
	models  uint32 // own fields that models have written, one bit for each
	notes   notes
	signs   []uint32 // of the keys of all members
}

// notes is what attributes tell about the record as a whole.
type notes struct {
	exception, stack string // of the first error
	moved            []moved
	schemaErrors     []string
	truncated        bool
	route            string // of the first model that has one
}

func (n *notes) any() bool {
	return n.exception != "" || len(n.schemaErrors) > 0 || len(n.moved) > 0 || n.truncated || n.route != ""
}

// builder builds one record, or the attributes of one WithAttrs.
type builder struct {
	*shared
	notes
	layout
	pending
	buf     []byte
	shift   int         // where the text of With begins
	at      int32       // the innermost object
	inValue int         // how many groups are being written as values: they are not the record's root
	groups  []openGroup // those to be closed
	path    []string    // names of the groups that are open
	models  uint32      // own fields that models have written, one bit for each
	writer  jsonplan.Writer
	rules   jsonplan.Log
	spare   []byte // for a record that is written again
	levels  int    // that values may still nest
	steps   int    // attributes and calls of LogValue that are left
	// length of buf beyond which no more is written of a value, so that one without end leaves room for others
	limit int
	// length of buf beyond which no more attributes are written; what exactly goes out is for shorten to say
	total   int
	rewrite bool // a key came twice: what stands in buf is not the record
	yields  bool // what is written now gives way to what is there

	lastType reflect.Type // of a value, and what is known of it
	lastInfo *typeInfo

	result      Result
	local       any // see Result.Local
	spanContext trace.SpanContext
	clock       Clock
}

// NewEncoder returns an encoder. What Options.Base leaves open is found now.
func NewEncoder(o Options) *Encoder {
	s := &shared{
		head:        []byte{'{'},
		addSource:   o.AddSource,
		trace:       o.Trace,
		replaceAttr: o.ReplaceAttr,
		format:      o.Format,
		fromContext: o.FromContext,
		route:       o.Route,
		durations:   o.TextDurations,
		hash:        o.Hash,
		maxBytes:    min(o.MaxBytes, mostMaxBytes),
		seed:        maphash.MakeSeed(),
	}
	if s.maxBytes <= 0 {
		s.maxBytes = defaultMaxBytes
	}
	if o.SchemaID != "" {
		s.enveloped = true
		s.head = append(appendString([]byte(`{"schema":`), o.SchemaID), `,"data":{`...)
	}
	base := o.Base.found()
	if s.enveloped {
		s.hidden = hide(&base, o.Rename)
		o.Preset, o.Rename = Kafkaesk, nil
	}
	var begin string
	s.names, begin = newNames(o.Preset, o.Rename)
	s.head = append(s.head, begin...)
	s.severities = s.names.levelTexts(o.Levels)
	s.constant, s.lateNulls = s.names.constant(base), s.names.lateNulls()
	s.types.plans, s.types.names, s.types.report = jsonplan.Logged(methodOf), &s.names, o.Report
	s.builders.New = func() any { return newBuilder(s) }
	e := &Encoder{shared: s, with: with{layout: layout{objects: make([]object, 1)}}}
	e.frame = e.newFrame()
	return e
}

// builder returns a builder in the state that the encoder's attributes have led to, which writes to dst.
func (e *Encoder) builder() *builder {
	b := e.builders.Get().(*builder)
	b.levels, b.steps = maxLevels, maxSteps
	return b
}

func newBuilder(s *shared) *builder {
	b := &builder{shared: s}
	b.result.Local = &b.local
	b.rules.Redact = s.redact
	if s.replaceAttr != nil {
		b.rules.Field = b.replaceField
	}
	return b
}

// load puts the attributes of With into the record.
func (b *builder) load(w *with) {
	b.shift = len(b.buf)
	b.buf = append(b.buf, w.text...)
	b.models = w.models
	if w.notes.any() {
		b.notes = w.notes
		b.moved, b.schemaErrors = slices.Clip(b.moved), slices.Clip(b.schemaErrors)
	}
	b.limit, b.total = b.shift+2*b.maxBytes, b.shift+4*b.maxBytes
	b.path = b.path[:0]
	b.at = 0
	if n := len(w.open); n > 0 {
		b.path = append(b.path, w.path[:n]...)
		b.at = w.open[n-1]
	}
	b.deferMembers(w)
}

// release gives a builder back.
func (s *shared) release(b *builder) {
	// Larger memory is rarely needed, and not worth keeping.
	const most = 256 << 10
	if cap(b.buf) > most || cap(b.spare) > most || cap(b.members)*40+cap(b.slots)*4+
		(cap(b.table)+cap(b.spareTable))*8 > most {
		return
	}
	if cap(b.path) > 0 {
		clear(b.path[:cap(b.path)])
	}
	if b.notes.any() {
		b.notes = notes{}
	}
	b.result = Result{Local: &b.local}
	b.groups = b.groups[:0]
	b.rewrite = false
	s.builders.Put(b)
}

// WithAttrs returns an encoder whose records have these attributes. They are encoded now, once.
func (e *Encoder) WithAttrs(attrs []slog.Attr) *Encoder {
	if len(attrs) == 0 || e.with.tooDeep != "" {
		return e
	}
	b := e.builder()
	defer e.release(b)
	b.buf = append(b.buf[:0], '{') // of the record, behind which its members stand
	b.load(&e.with)
	b.enterPending(len(b.buf))
	open := slices.Clone(e.with.open)
	for _, name := range e.with.path[len(open):] {
		b.open(name, false)
	}
	before := b.objects[b.at].count
	b.attrs(attrs, false)
	d := &Encoder{shared: e.shared, with: with{path: e.with.path, models: b.models}}
	if b.objects[b.at].count == before { // what opened groups for it has led to nothing
		for len(b.groups) > 0 {
			b.close()
		}
	}
	for i := range b.groups {
		open = append(open, b.members[b.groups[i].member].object)
		b.keep(&b.groups[i])
	}
	if b.rewrite {
		to := e.builder()
		defer e.release(to)
		to.buf = append(to.buf[:0], '{')
		to.load(&with{layout: layout{objects: make([]object, 1)}})
		to.enterPending(len(to.buf))
		open = b.copyObject(to, 0, open)
		to.notes = b.notes
		b = to
	}
	d.with.text, d.with.open, d.with.notes = slices.Clone(b.buf[b.shift:]), open, b.notes
	d.with.layout = layout{slices.Clone(b.members), slices.Clone(b.objects), slices.Clone(b.slots), b.seen}
	for i := range d.with.layout.members {
		d.with.signs = append(d.with.signs, d.with.layout.members[i].sign)
	}
	d.frame = d.newFrame()
	return d
}

// WithGroup returns an encoder that puts all further attributes into the group of that name. An empty name changes
// nothing.
func (e *Encoder) WithGroup(name string) *Encoder {
	if name == "" || e.with.tooDeep != "" {
		return e
	}
	d := &Encoder{shared: e.shared, with: e.with}
	if len(e.with.path) == maxGroups {
		d.with.tooDeep = name
	} else {
		d.with.path = append(slices.Clip(e.with.path), name)
	}
	return d
}

// Result tells what had to be done to a record.
type Result struct {
	// Invalid tells that the record has schema_errors.
	Invalid bool
	// SchemaErrors are the record's schema_errors; none for a record that keeps the schemas of its models.
	SchemaErrors []string
	// Truncated tells that values were shortened, or left out, to make it fit.
	Truncated bool
	// Route is what Options.Route has for the record's models: that of the first one, "" if it has none for any.
	Route string
	// Span is that of the call's context, whose ids the record has; nil when there is none.
	Span *trace.SpanContext
	// Form makes the whole record of the text that EncodeParts gives.
	Form Form
	// Local is for the function that gets the record: what it puts there comes back with the result of a later record.
	// One call at a time has it, so that it need not be guarded.
	Local *any
}

// Append appends the record of one log call to dst: JSON without a line's end, in an envelope if there is a SchemaID.
// Nothing of r, or of the values in it, is used after it returns. The context gives the ids of its span, if it has one.
func (e *Encoder) Append(dst []byte, ctx context.Context, r slog.Record) (record []byte, result Result) {
	_ = e.Encode(ctx, &r, func(text []byte, what *Result) error {
		record, result = append(dst, text...), *what
		if what.Span != nil {
			result.Span = new(*what.Span)
		}
		return nil
	})
	return record, result
}

// Encode gives the record of one log call to a function, with its result, in memory that serves the next record: the
// function must keep neither, but may append to the record. It is as Append makes it. Encode returns what the function
// returns.
func (e *Encoder) Encode(ctx context.Context, r *slog.Record, use func(record []byte, result *Result) error) error {
	b := e.builder()
	defer e.release(b)
	e.encode(b, ctx, r)
	return use(b.buf, &b.result)
}

// encode writes the record as a whole.
func (e *Encoder) encode(b *builder, ctx context.Context, r *slog.Record) {
	b.buf = append(b.buf[:0], e.head...)
	if e.format == nil {
		b.begin(r)
	}
	b.load(&e.with)
	if e.fromContext != nil || e.format != nil || e.with.models&early != 0 {
		b.enterPending(len(b.buf)) // what they lead to needs the members
	}
	b.total = 8 * e.maxBytes // so that the attributes of With leave room for those of the call
	b.call(&e.with, r)
	b.findSpan(ctx)
	e.finish(b, ctx, r)
}

// finish writes what follows the attributes of the call.
func (e *Encoder) finish(b *builder, ctx context.Context, r *slog.Record) {
	for range e.with.open {
		b.buf = append(closeWith(b.buf, '}'), ',')
	}
	b.at, b.path = 0, b.path[:0]
	if e.fromContext != nil && ctx != nil {
		b.context(ctx)
	}
	formatted := e.format != nil && b.formatted(ctx, r)
	if b.rewrite || b.models&early != 0 {
		b.again(len(e.head))
	}
	if e.format != nil {
		b.base(formatted, r)
	}
	b.late(r)
	b.buf = closeWith(b.buf, '}')
	if e.enveloped {
		b.buf = append(b.buf, '}')
	}
	result := &b.result
	result.Invalid, result.SchemaErrors = len(b.schemaErrors) > 0, b.schemaErrors
	result.Truncated, result.Route = b.truncated, b.notes.route
	if len(b.buf) > e.maxBytes {
		b.buf, _ = e.Shorten(b.buf, e.maxBytes) // as short as it gets
		result.Truncated = true
	}
}

// Shorten returns a record that Append made in at most max bytes, if it can: its longest texts shortened first, then
// whole fields left out, never a base field. The record it is given does not change.
func (e *Encoder) Shorten(record []byte, max int) ([]byte, bool) {
	if !e.enveloped {
		return shorten(record, max)
	}
	around := len(e.head) - 1 // the envelope but for its closing brace
	text, ok := shorten(record[around:len(record)-1], max-around-1)
	return slices.Concat(e.head[:around], text, []byte("}")), ok
}

// call writes the attributes of the call into the innermost group of WithGroup. Groups that nothing goes into are not
// written. It calls one method of the slog.Record only, because each copies it.
func (b *builder) call(w *with, r *slog.Record) {
	first, plain := true, b.replaceAttr == nil
	r.Attrs(func(a slog.Attr) bool {
		if first && !b.openAll(w) {
			return false
		}
		if first = false; !plain || !b.plain(&a) {
			b.attr(a, false)
		}
		return true
	})
	for len(b.groups) > 0 {
		b.close()
	}
}

// openAll opens the groups of WithGroup that are not open yet. It returns false when there are too many, which it notes
// in the record.
func (b *builder) openAll(w *with) bool {
	if w.tooDeep != "" {
		b.member(w.tooDeep, slog.StringValue(errorNote+"more than "+strconv.Itoa(maxGroups)+" groups"), false)
		return false
	}
	for _, name := range w.path[len(w.open):] {
		b.open(name, false)
	}
	return true
}

// again writes the record anew, without what has been replaced.
func (b *builder) again(root int) {
	b.spare = b.appendEarly(b.spare[:0], root, b.shift)
	b.spare = b.appendObject(b.spare, 0)
	b.buf = append(b.buf[:root], b.spare...)
}

// appendEarly appends the base fields that stand in the buffer from i to end, but for those that models have.
func (b *builder) appendEarly(dst []byte, i, end int) []byte {
	for f := own(0); i < end; f++ {
		key := b.names.keys[f]
		if key == nil {
			continue
		}
		next := rawjson.Skip(b.buf, i+len(key)) + 1
		if b.mayWrite(f) {
			dst = append(dst, b.buf[i:next]...)
		}
		i = next
	}
	return dst
}

// context writes the attributes that the context of the call holds.
func (b *builder) context(ctx context.Context) {
	defer func() {
		if p := recover(); p != nil {
			b.schemaErrors = append(b.schemaErrors, "FromContext: panic: "+fmt.Sprint(p))
		}
	}()
	b.yields = true
	defer func() { b.yields = false }()
	b.attrs(b.fromContext(ctx), false)
}

// begin writes the base fields that are known when the record begins.
func (b *builder) begin(r *slog.Record) {
	if key := b.names.keys[ownTimestamp]; key != nil {
		b.buf = b.clock.append(append(b.buf, key...), r.Time)
	}
	b.level(r.Level) // with the key of the message
	if b.names.keys[ownMessage] != nil {
		b.limit = len(b.buf) + 2*b.maxBytes
		b.string(r.Message)
	}
	b.buf = append(b.buf, b.constant...)
}

// findSpan looks for the span of the call's context.
func (b *builder) findSpan(ctx context.Context) {
	if ctx == nil {
		return
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		b.spanContext = span
		b.result.Span = &b.spanContext
	}
}

// late writes what is known only at the end, all of it at the root.
func (b *builder) late(r *slog.Record) {
	var stack string
	if b.trace != nil && r.Level >= b.trace.Level() {
		stack = callStack(r.PC)
	}
	if b.exception == "" && stack == "" && b.models&late == 0 && b.format == nil {
		b.buf = append(b.buf, b.lateNulls...)
	} else {
		b.text(ownException, b.exception)
		b.text(ownTrace, stack)
		b.text(ownStack, b.stack)
	}
	if b.addSource && r.PC != 0 && b.mayWrite(ownSource) {
		b.buf = append(b.buf, b.sourceAt(r.PC).text...)
	}
	if b.result.Span != nil {
		b.span(b.result.Span)
	}
	if len(b.moved) > 0 {
		b.raw(ownInvalid, appendMoved(nil, b.moved))
	}
	if len(b.schemaErrors) > 0 {
		b.buf = append(b.buf, b.names.keys[ownSchemaErrors]...)
		b.value(b.schemaErrors)
		b.buf = append(b.buf, ',')
	}
	if b.truncated {
		b.raw(ownTruncated, []byte("true"))
	}
}

// mayWrite tells whether an own field is to be written: it is not left out, and no model has it.
func (b *builder) mayWrite(f own) bool { return b.names.keys[f] != nil && b.models&(1<<f) == 0 }

// raw writes an own field whose JSON is ready.
func (b *builder) raw(f own, value []byte) {
	b.buf = append(append(append(b.buf, b.names.keys[f]...), value...), ',')
}

// text writes an own field that is a text, null without one, unless a model has it.
func (b *builder) text(f own, value string) {
	switch {
	case !b.mayWrite(f):
	case value == "" || b.hidden&(1<<f) != 0:
		b.raw(f, []byte("null"))
	default:
		b.buf = append(b.buf, b.names.keys[f]...)
		b.limit = len(b.buf) + 2*b.maxBytes
		b.string(value)
		b.buf = append(b.buf, ',')
	}
}

// span writes the ids of a span.
func (b *builder) span(span *trace.SpanContext) {
	id, parent := span.TraceID(), span.SpanID()
	b.hex(ownTraceID, id[:])
	b.hex(ownSpanID, parent[:])
	b.hex(ownTraceFlags, []byte{byte(span.TraceFlags())})
}

func (b *builder) hex(f own, id []byte) {
	if b.mayWrite(f) {
		b.buf = b.names.appendHex(b.buf, f, id)
	}
}
