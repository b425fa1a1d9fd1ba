package jsonplan

import (
	"fmt"
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// What stands in the place of a value that cannot be written, as slog writes it.
const (
	ErrorNote = "!ERROR:"
	PanicNote = "!PANIC:"
	TooDeep   = ErrorNote + "deeper than 64 levels"
)

// Log are the rules by which values of log records are written: a value that cannot be written gets a note in its place
// and the rest is written all the same, a record has bounds, and a nil slice, map or pointer is null, or not written
// where it is a field of a model.
type Log struct {
	// Levels is how deep values may still nest.
	Levels int
	// Limit is the length of Buf beyond which no more is written of a value, so that one without end leaves room for
	// others.
	Limit int
	// Truncated tells that values were cut, or left out.
	Truncated bool
	// Models tells that the values being written belong to a log model: nil fields are left out.
	Models bool
	// Owner is for the methods that Logged was given.
	Owner any
	// Redact writes the fields that have a log tag in their struct, unless it is nil: it returns what stands in the place
	// of the value, or false to leave the field out.
	Redact func(tag string, value []byte) ([]byte, bool)
	// Field is asked for each field of a model, unless it is nil. It returns true when it has written the member, or has
	// left it out.
	Field func(w *Writer, name string, value reflect.Value) bool

	checking bool // the JSON is for the schema: nil is empty, secrets are as they are
	notes    []span
	secrets  []span
}

// span is a part of Buf.
type span struct{ start, end int }

func inside(spans []span, at int) bool {
	return slices.ContainsFunc(spans, func(s span) bool { return s.start <= at && at < s.end })
}

// writeError writes the reason why a value cannot be written, in place of the value.
func (w *Writer) writeError(text string) { w.writeNote(ErrorNote + text) }

func (w *Writer) writeNote(text string) {
	start := len(w.Buf)
	w.Buf = rawjson.AppendText(w.Buf, text, rawjson.Plain)
	if w.Log.checking {
		w.Log.notes = append(w.Log.notes, span{start, len(w.Buf)})
	}
}

// Any appends a value that is no model by the plan of its type.
func (w *Writer) Any(plans *Plans, v any) { w.any(plans, v) }

// full tells that a value is larger than any record may be: what is left of it is left out.
func (w *Writer) full() bool {
	if len(w.Buf) <= w.Log.Limit {
		return false
	}
	w.Log.Truncated = true
	return true
}

// shortText is the length in bytes up to which a text has room in any record.
const shortText = 256

// textLimit returns the maximum length of a text: half of the remaining bytes, so that a long text leaves room for
// others.
func (l *Log) textLimit(used int) int { return max((l.Limit-used)/2, shortText) }

// cutText appends a text, shortened when it is larger than any record may be.
func (w *Writer) cutText(s string) {
	if limit := w.Log.textLimit(len(w.Buf)); len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s, w.Log.Truncated = s[:limit], true
	}
	w.Buf = rawjson.AppendText(w.Buf, s, rawjson.Plain)
}

// down goes one level further into a value, which is not ok when there is none left.
func (w *Writer) down() bool { return w.Log == nil || w.deeper() }

func (w *Writer) deeper() bool {
	if w.Log.Levels == 0 {
		w.writeNote(TooDeep)
		return false
	}
	w.Log.Levels--
	return true
}

func (w *Writer) up() {
	if w.Log != nil {
		w.Log.Levels++
	}
}

// call calls a method of the user's. In a log record a panic is noted in the place of what the method was to write; in
// published data it goes through to the caller.
func (w *Writer) call(m Method, t reflect.Type, v reflect.Value) {
	if w.Log != nil {
		at, levels, depth, addr, visits := len(w.Buf), w.Log.Levels, w.depth, w.addr, len(w.visits)
		defer func() {
			if r := recover(); r != nil {
				w.Buf, w.Log.Levels, w.depth, w.addr, w.visits = w.Buf[:at], levels, depth, addr, w.visits[:visits]
				w.writeNote(PanicNote + fmt.Sprint(r))
			}
		}()
	}
	m(w, t, v)
}
