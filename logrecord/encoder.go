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

// Options configure an Encoder. The zero value is complete.
type Options struct {
	// SchemaID is the schema of the envelope around each record, such as "LogRecord:1". Defaults to none: records
	// without envelope.
	SchemaID string
	// Base are the base fields that are equal in all records.
	Base Base
	// AddSource adds the field source: function, file and line of the log call.
	AddSource bool
	// Trace sets the field trace to the stack of the log call, for records from this level on. Defaults to never.
	Trace slog.Leveler
	// ReplaceAttr is called for each attribute that is not a group, as in slog.HandlerOptions, but never for base
	// fields. It is called for a log model as one attribute, and then for each field of the model and of the structs
	// in it. It may be called concurrently.
	ReplaceAttr func(groups []string, a slog.Attr) slog.Attr
	// Format returns a record's own base: a struct whose fields replace the base fields. A base field that it lacks
	// is null, or, in a record without an envelope, left out. The struct need not be a log model; models and
	// attributes are merged over it. For a nil result and after a panic the record has its usual base. It may be
	// called concurrently.
	Format func(ctx context.Context, r slog.Record) any
	// FromContext returns attributes from the context of a log call, such as the id of a request. They are written at
	// the root, even for loggers with groups, and yield to attributes of With and of the call. It may be called
	// concurrently.
	FromContext func(ctx context.Context) []slog.Attr
	// Levels sets the names of levels. A level without a name has that of the next lower one. Defaults to DEBUG,
	// INFO, WARNING, ERROR, and CRITICAL from slog level 12 on.
	Levels map[slog.Level]string
	// TextDurations writes attributes that are durations as text, such as "1.5s". Defaults to their nanoseconds, as
	// slog writes them. Durations inside other values are not changed: a model's schema declares them as integers.
	TextDurations bool
	// Preset sets the names of the own fields. It is for records without an envelope: those in Kafka have the names
	// that readers expect. Defaults to Kafkaesk.
	Preset Preset
	// Rename sets names of the fields that [IsOwnField] names, by their names in Kafka, and overrides the preset; an empty
	// name leaves a field out. In an envelope names are not changed, and when exception, trace, stack, logger, hostname,
	// service, namespace or cluster is left out, it is null.
	Rename map[string]string
	// Route maps types of models to routes. A type stands here without its pointers, also for models that are logged as
	// pointers. See Result.Route.
	Route map[reflect.Type]string
	// Hash returns the keyed hash for fields of models with the tag log:"hash": such a field is written as the sum, in
	// hex, of a string's text or of another value's JSON. It is a function so that printing the Options does not print the
	// key. Without it these fields are redacted. It may be called concurrently.
	Hash func() hash.Hash
	// Report is called once for each type of model with unusable jsonschema tags: its values are logged unchecked.
	// [Check] finds such a type earlier. It may be called concurrently, and must not log through this encoder.
	// Defaults to no report.
	Report func(error)
	// MaxBytes is the maximum length of a record with its envelope in bytes: values are shortened until it fits.
	// Defaults to 900 KiB, which fits into a broker's default maximum with key and headers. At most 128 MiB.
	MaxBytes int
}

const (
	defaultMaxBytes = 900 << 10
	mostMaxBytes    = 128 << 20
)

// maxGroups bounds the groups of WithGroup. It is larger than the nesting of values, because programs open groups in
// code.
const maxGroups = 128

// maxSteps bounds the attributes and the calls of LogValue of one record. It ends groups that contain themselves
// repeatedly without writing anything.
const maxSteps = 1 << 17

// Encoder encodes slog's records as log records: the common part of a slog.Handler's Handle, WithAttrs and WithGroup.
// It is immutable: WithAttrs and WithGroup return another one. All may be used concurrently.
type Encoder struct {
	*shared
	with  with
	frame *frame // nil: EncodeParts writes whole records
}

// shared is the state that an encoder shares with the encoders derived from it.
type shared struct {
	head        []byte // start of the envelope, with the record's opening brace
	enveloped   bool
	hidden      uint32 // base fields that are always null, one bit for each
	route       map[reflect.Type]string
	names       names
	severities  []levelText // lowest level first
	constant    []byte      // the base fields that are equal in all records, behind the message's comma
	lateNulls   []byte      // exception, trace and stack of a record without them
	addSource   bool
	trace       slog.Leveler
	replaceAttr func([]string, slog.Attr) slog.Attr
	format      func(context.Context, slog.Record) any
	fromContext func(context.Context) []slog.Attr
	durations   bool
	hash        func() hash.Hash
	maxBytes    int

	seed      maphash.Seed
	types     types
	callSites callSites
	builders  sync.Pool // *builder
}

// with holds the attributes and groups of WithAttrs and WithGroup. The text is at the record's root, behind the base
// fields.
type with struct {
	text   []byte
	layout layout
	open   []int32  // groups that are open at the end of the text, outermost first
	path   []string // names of all groups of WithGroup; the first attribute in a group opens it
	// tooDeep is the name of the first group that exceeds maxGroups; "" without one.
	tooDeep string
	models  uint32 // own fields that models have written, one bit for each
	notes   notes
	signs   []uint32 // signs of all members' keys
}

// notes collects what attributes contribute to the record as a whole.
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
	shift   int         // position of the text of With
	at      int32       // the innermost object
	inValue int         // number of groups being written as values, outside of the record's root
	groups  []openGroup // open groups
	path    []string    // names of the open groups
	models  uint32      // own fields that models have written, one bit for each
	writer  jsonplan.Writer
	rules   jsonplan.Log
	spare   []byte // buffer for rewriting a record
	levels  int    // remaining nesting of values
	steps   int    // remaining attributes and calls of LogValue
	// limit is the length of buf beyond which a value is cut, so that an endless value leaves room for others.
	limit int
	// total is the length of buf beyond which attributes are left out; shorten determines the final length.
	total   int
	rewrite bool // a key occurred twice: buf is not the record
	yields  bool // written members yield to existing ones

	lastType reflect.Type // type of the last value, and its typeInfo
	lastInfo *typeInfo

	result      Result
	local       any // see Result.Local
	spanContext trace.SpanContext
	clock       Clock
}

// NewEncoder returns an encoder. It determines the nil fields of Options.Base now.
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
	var start string
	s.names, start = newNames(o.Preset, o.Rename)
	s.head = append(s.head, start...)
	s.severities = s.names.levelTexts(o.Levels)
	s.constant, s.lateNulls = s.names.constant(base), s.names.lateNulls()
	s.types.plans, s.types.names, s.types.report = jsonplan.Logged(methodOf), &s.names, o.Report
	s.builders.New = func() any { return newBuilder(s) }
	e := &Encoder{shared: s, with: with{layout: layout{objects: make([]object, 1)}}}
	e.frame = e.newFrame()
	return e
}

// builder returns a builder that contains the encoder's attributes and writes to dst.
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

// load copies the attributes of With into the record.
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

// release returns a builder to the pool.
func (s *shared) release(b *builder) {
	// Larger buffers are rare and are not kept.
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

// WithAttrs returns an encoder whose records also have these attributes. They are encoded now, once.
func (e *Encoder) WithAttrs(attrs []slog.Attr) *Encoder {
	if len(attrs) == 0 || e.with.tooDeep != "" {
		return e
	}
	b := e.builder()
	defer e.release(b)
	b.buf = append(b.buf[:0], '{') // opening brace of the record, before its members
	b.load(&e.with)
	b.enterPending(len(b.buf))
	open := slices.Clone(e.with.open)
	for _, name := range e.with.path[len(open):] {
		b.open(name, false)
	}
	before := b.objects[b.at].count
	b.attrs(attrs, false)
	d := &Encoder{shared: e.shared, with: with{path: e.with.path, models: b.models}}
	if b.objects[b.at].count == before { // the opened groups have stayed empty
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

// WithGroup returns an encoder that writes all further attributes into a group with that name. An empty name has no
// effect.
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

// Result describes an encoded record.
type Result struct {
	// Invalid reports that the record has schema_errors.
	Invalid bool
	// SchemaErrors are the record's schema_errors; none without a violation.
	SchemaErrors []string
	// Truncated reports that values were shortened or left out to make the record fit.
	Truncated bool
	// Route is the Options.Route of the record's first model with one; "" without any.
	Route string
	// Span is the span of the call's context, whose ids are in the record; nil without one.
	Span *trace.SpanContext
	// Form completes the text of EncodeParts to the whole record.
	Form Form
	// Local is storage for the function that gets the record: a value that it stores there is in the result of a
	// later record. Only one call at a time has it, so it needs no lock.
	Local *any
}

// Append appends the record of one log call to dst: JSON without a line end, in an envelope if there is a SchemaID.
// It uses no value of r after it returns. The ids of the context's span, if there is one, are in the record.
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

// Encode calls use with the record of one log call, as Append writes it, and its result. Both are in memory that is
// reused for the next record: use must keep neither, but may append to the record. Encode returns the error of use.
func (e *Encoder) Encode(ctx context.Context, r *slog.Record, use func(record []byte, result *Result) error) error {
	b := e.builder()
	defer e.release(b)
	e.encode(b, ctx, r)
	return use(b.buf, &b.result)
}

// encode writes the whole record.
func (e *Encoder) encode(b *builder, ctx context.Context, r *slog.Record) {
	b.buf = append(b.buf[:0], e.head...)
	if e.format == nil {
		b.writeEarly(r)
	}
	b.load(&e.with)
	if e.fromContext != nil || e.format != nil || e.with.models&early != 0 {
		b.enterPending(len(b.buf)) // the notes need the members
	}
	b.total = 8 * e.maxBytes // the attributes of With leave room for those of the call
	b.call(&e.with, r)
	b.findSpan(ctx)
	e.finish(b, ctx, r)
}

// finish writes the parts behind the attributes of the call.
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
		b.rewriteFrom(len(e.head))
	}
	if e.format != nil {
		b.base(formatted, r)
	}
	b.writeLate(r)
	b.buf = closeWith(b.buf, '}')
	if e.enveloped {
		b.buf = append(b.buf, '}')
	}
	result := &b.result
	result.Invalid, result.SchemaErrors = len(b.schemaErrors) > 0, b.schemaErrors
	result.Truncated, result.Route = b.truncated, b.notes.route
	if len(b.buf) > e.maxBytes {
		b.buf, _ = e.Shorten(b.buf, e.maxBytes) // as short as possible
		result.Truncated = true
	}
}

// Shorten returns a record of Append in at most max bytes, if possible: it shortens the longest texts first, then
// leaves out whole fields, but no base field. It does not change the given record.
func (e *Encoder) Shorten(record []byte, max int) ([]byte, bool) {
	if !e.enveloped {
		return shorten(record, max)
	}
	around := len(e.head) - 1 // the envelope without its closing brace
	text, ok := shorten(record[around:len(record)-1], max-around-1)
	return slices.Concat(e.head[:around], text, []byte("}")), ok
}

// call writes the attributes of the call into the innermost group of WithGroup. Empty groups are not written. It
// calls only one method of the slog.Record, because each call copies the record.
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

// openAll opens the groups of WithGroup that are not open yet. If there are too many, it notes that in the record and
// returns false.
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

// rewriteFrom writes the record again, without replaced members.
func (b *builder) rewriteFrom(root int) {
	b.spare = b.appendEarly(b.spare[:0], root, b.shift)
	b.spare = b.appendObject(b.spare, 0)
	b.buf = append(b.buf[:root], b.spare...)
}

// appendEarly appends the base fields in the buffer from i to end, except those that models have written.
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

// context writes the attributes of the call's context.
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

// writeEarly writes the base fields that are known before the attributes.
func (b *builder) writeEarly(r *slog.Record) {
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

// findSpan stores the span of the call's context.
func (b *builder) findSpan(ctx context.Context) {
	if ctx == nil {
		return
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		b.spanContext = span
		b.result.Span = &b.spanContext
	}
}

// writeLate writes the fields that are known after the attributes, all at the root.
func (b *builder) writeLate(r *slog.Record) {
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

// mayWrite reports whether to write an own field: it is not left out, and no model has written it.
func (b *builder) mayWrite(f own) bool { return b.names.keys[f] != nil && b.models&(1<<f) == 0 }

// raw writes an own field, given its JSON.
func (b *builder) raw(f own, value []byte) {
	b.buf = append(append(append(b.buf, b.names.keys[f]...), value...), ',')
}

// text writes an own text field, null for "", unless a model has written it.
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
