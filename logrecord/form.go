package logrecord

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// Form is the part of a record that many records share: the envelope, the base fields and attributes of With, its
// level and its source. [Encoder.EncodeParts] does not write them, so that a log call neither writes nor copies known
// text: Append completes the record later, outside of the log call. The zero Form is that of a whole record.
type Form struct {
	frame   *frame
	level   *levelText
	source  *callSite // nil: no source
	message uint32    // length of the message in the text, with a comma; the attributes follow it
}

// frame is the common part of all records of one encoder.
type frame struct {
	*shared
	fixed []byte // the constant base fields and the attributes of With, each with its comma
}

// mostFolded is the maximum length in bytes of a record that EncodeParts does not write whole. It bounds the memory
// for completing many records.
const mostFolded = 4 << 10

// newFrame returns the frame of an encoder's records; nil if they may have more than plain attributes.
func (e *Encoder) newFrame() *frame {
	w := &e.with
	switch {
	case !e.enveloped, e.format != nil, e.fromContext != nil, e.replaceAttr != nil,
		len(w.path) > 0, w.tooDeep != "", w.models != 0, w.notes.any():
		return nil
	}
	return &frame{e.shared, slices.Concat(e.constant[len(`,`):], w.text)}
}

// Whole reports whether the text is the whole record.
func (f *Form) Whole() bool { return f.frame == nil }

// timeLength is the length of the text of a record's time, with its comma.
const timeLength = len(`"2006-01-02T15:04:05.000000000Z",`)

// Len returns the length of the whole record for a text of n bytes, with or without the ids of a span.
func (f *Form) Len(n int, span bool) int {
	if f.Whole() {
		return n
	}
	names := &f.frame.names
	n += len(f.frame.head) + len(names.keys[ownTimestamp]) + timeLength + len(f.level.text) + len(f.frame.fixed) +
		len(f.frame.lateNulls) + len(`}}`) - len(`,`)
	if f.source != nil {
		n += len(f.source.text)
	}
	if span {
		for i, digits := range []int{2 * len(trace.TraceID{}), 2 * len(trace.SpanID{}), 2} {
			n += len(names.keys[ownTraceID+own(i)]) + digits + len(`"",`)
		}
	}
	return n
}

// Append appends the whole record: its text, completed by the time of its log call and the span of its context, nil
// without one.
func (f *Form) Append(dst, text []byte, t time.Time, span *trace.SpanContext, c *Clock) []byte {
	if f.Whole() {
		return append(dst, text...)
	}
	names := &f.frame.names
	dst = c.append(append(append(dst, f.frame.head...), names.keys[ownTimestamp]...), t)
	dst = append(append(dst, f.level.text...), text[:f.message]...)
	dst = append(append(dst, f.frame.fixed...), text[f.message:]...)
	dst = append(dst, f.frame.lateNulls...)
	if f.source != nil {
		dst = append(dst, f.source.text...)
	}
	if span != nil {
		dst = names.appendSpan(dst, span)
	}
	return append(closeWith(dst, '}'), '}')
}

// appendSpan appends the ids of a span, each with its comma.
func (n *names) appendSpan(dst []byte, span *trace.SpanContext) []byte {
	id, parent, flags := span.TraceID(), span.SpanID(), [1]byte{byte(span.TraceFlags())}
	dst = n.appendHex(dst, ownTraceID, id[:])
	dst = n.appendHex(dst, ownSpanID, parent[:])
	return n.appendHex(dst, ownTraceFlags, flags[:])
}

func (n *names) appendHex(dst []byte, f own, id []byte) []byte {
	dst = append(append(dst, n.keys[f]...), '"')
	return append(rawjson.AppendHex(dst, id), '"', ',')
}

// Clock formats the times of records. It caches the text of a second. It must be used by one goroutine at a time; the
// zero Clock is ready for use.
type Clock struct {
	second int64
	text   []byte
}

// append appends a time and a comma; null for the zero time, and for one outside of RFC 3339's range.
func (c *Clock) append(dst []byte, t time.Time) []byte {
	if s := t.Unix(); s != c.second || len(c.text) == 0 || t.IsZero() {
		if y := t.UTC().Year(); t.IsZero() || y < 0 || y > 9999 {
			return append(dst, "null,"...)
		}
		c.second, c.text = s, t.UTC().AppendFormat(c.text[:0], `"2006-01-02T15:04:05.`)
	}
	return append(rawjson.AppendNine(append(dst, c.text...), uint32(t.Nanosecond())), 'Z', '"', ',')
}

// EncodeParts is Encode for callers that complete the record later: the Form in the result completes the text that
// use gets. If a value is more than a short text, number or bool, a key occurs twice, or there are groups, the text
// is the whole record and the Form is zero.
func (e *Encoder) EncodeParts(
	ctx context.Context, r *slog.Record, use func(text []byte, result *Result) error,
) error {
	b := e.builder()
	defer e.release(b)
	if e.frame == nil || !b.fold(e.frame, &e.with, r) {
		e.encode(b, ctx, r)
		return use(b.buf, &b.result)
	}
	r.Attrs(func(a slog.Attr) bool {
		if b.plain(&a) {
			return true
		}
		if b.folded && b.directModel(a.Value) == nil {
			b.unfold()
		}
		if !b.plain(&a) {
			b.attr(a, false)
		}
		return true
	})
	b.findSpan(ctx)
	form := &b.result.Form
	if b.folded && e.addSource && r.PC != 0 {
		form.source = e.sourceAt(r.PC)
	}
	// The notes except the route are written behind the attributes.
	if n := &b.notes; b.folded && (n.exception != "" || n.truncated || len(n.schemaErrors)+len(n.moved) > 0 ||
		form.Len(len(b.buf), b.result.Span != nil) > min(mostFolded, e.maxBytes)) {
		b.unfold()
	}
	if b.folded {
		b.result.Route = b.notes.route
	} else {
		e.finish(b, ctx, r)
	}
	return use(b.buf, &b.result)
}

// lastSecond is the first second after the range of RFC 3339.
const lastSecond = 253402300800

// fold begins a record of which only parts are written. It returns false for a record that must be written whole.
func (b *builder) fold(f *frame, w *with, r *slog.Record) bool {
	if uint64(r.Time.Unix()) >= lastSecond || len(r.Message) > shortText || b.trace != nil && r.Level >= b.trace.Level() {
		return false
	}
	level := b.levelText(r.Level)
	if level == nil {
		return false
	}
	b.buf = append(appendString(b.buf[:0], r.Message), ',')
	b.result.Form, b.logged = Form{frame: f, level: level, message: uint32(len(b.buf))}, r.Time
	b.limit, b.total, b.models, b.at, b.path = 2*b.maxBytes, 8*b.maxBytes, 0, 0, b.path[:0]
	b.deferMembers(w)
	b.folded = true
	return true
}

// unfold makes the parts that are in the buffer the start of a whole record, and continues with that. It returns by how
// many bytes the text behind the message has moved in the buffer.
func (b *builder) unfold() (moved int) {
	form, text, bits, signs := b.result.Form, b.buf, b.bits, b.signs
	b.result.Form = Form{}
	b.buf = append(append(b.spare[:0], form.frame.head...), b.names.keys[ownTimestamp]...)
	b.buf = append(b.clock.append(b.buf, b.logged), form.level.text...)
	b.buf = append(append(b.buf, text[:form.message-1]...), b.constant...)
	b.load(b.pending.with)
	b.total = 8 * b.maxBytes
	moved = len(b.buf) - int(form.message)
	b.buf = append(b.buf, text[form.message:]...)
	b.bits, b.signs, b.spare = bits, signs, text
	return moved
}
