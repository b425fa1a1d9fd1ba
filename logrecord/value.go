package logrecord

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/internal/jsonplan"
	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// The notes that replace values that cannot be written.
const (
	errorNote = jsonplan.ErrorNote
	panicNote = jsonplan.PanicNote
	tooDeep   = jsonplan.TooDeep
)

// maxLevels bounds the nesting of values. It ends infinite values, and protects readers that recurse.
const maxLevels = 64

// textLimit returns the maximum length of a text: half of the remaining bytes, so that a long text leaves room for
// others.
func (b *builder) textLimit() int { return max((b.limit-len(b.buf))/2, shortText) }

// shortText is the length in bytes up to which a text fits in any record.
const shortText = 256

// string appends s, shortened when it is longer than room.
func (b *builder) string(s string) {
	if len(s) <= shortText {
		b.buf = appendString(b.buf, s)
		return
	}
	if limit := b.textLimit(); len(s) > limit {
		for !utf8.RuneStart(s[limit]) && limit > 0 {
			limit--
		}
		s, b.truncated = s[:limit], true
	}
	b.buf = appendString(b.buf, s)
}

// time appends t as slog does.
func (b *builder) time(t time.Time) {
	var ok bool
	if b.buf, ok = rawjson.AppendTime(b.buf, t); ok {
		return
	}
	if y := t.Year(); y < 0 || y > 9999 {
		b.buf = appendString(b.buf, errorNote+"Time.MarshalJSON: year outside of range [0,9999]") // as encoding/json says it
		return
	}
	b.buf = append(b.buf, '"')
	b.buf = t.AppendFormat(b.buf, time.RFC3339Nano)
	b.buf = append(b.buf, '"')
}

// slogValue appends a resolved value, or a group as an object.
func (b *builder) slogValue(v slog.Value) {
	switch v.Kind() {
	case slog.KindString:
		b.string(v.String())
	case slog.KindInt64:
		b.buf = rawjson.AppendInt(b.buf, v.Int64())
	case slog.KindUint64:
		b.buf = rawjson.AppendUint(b.buf, v.Uint64())
	case slog.KindFloat64:
		var ok bool
		if b.buf, ok = rawjson.AppendFloat(b.buf, v.Float64(), 64); !ok {
			b.buf = appendString(b.buf, errorNote+"json: unsupported value: "+strconv.FormatFloat(v.Float64(), 'g', -1, 64))
		}
	case slog.KindBool:
		b.buf = strconv.AppendBool(b.buf, v.Bool())
	case slog.KindDuration:
		if b.durations {
			b.string(v.Duration().String())
		} else {
			b.buf = rawjson.AppendInt(b.buf, int64(v.Duration()))
		}
	case slog.KindTime:
		b.time(v.Time())
	case slog.KindGroup:
		b.object(v.Group())
	default:
		b.value(v.Any())
	}
}

// value appends v as encoding/json does, except that a note replaces what cannot be written and the rest is still
// written. Errors are written as their text, and every slog.LogValuer is resolved.
func (b *builder) value(v any) {
	outer := b.lend()
	b.writer.Any(b.types.plans, v)
	b.takeBack(outer)
}

// lend passes the buffer to the writer of Go values, which may already be writing a surrounding value.
func (b *builder) lend() (outer jsonplan.Log) {
	outer = b.rules
	b.rules.Levels, b.rules.Limit, b.rules.Truncated, b.rules.Models = b.levels, b.limit, false, false
	b.writer.Buf, b.writer.Log, b.rules.Owner = b.buf, &b.rules, b
	return outer
}

func (b *builder) takeBack(outer jsonplan.Log) {
	b.buf, b.writer.Buf = b.writer.Buf, nil
	b.truncated = b.truncated || b.rules.Truncated
	b.rules = outer
}

// methodOf returns how to write a type with LogValue or Error.
func methodOf(t reflect.Type) jsonplan.Method {
	switch {
	case t == slogValueType:
		return func(w *jsonplan.Writer, _ reflect.Type, v reflect.Value) {
			writeSlogValue(w, *v.Interface().(*slog.Value))
		}
	case t.Implements(logValuerType):
		return func(w *jsonplan.Writer, _ reflect.Type, v reflect.Value) {
			writeSlogValue(w, slog.AnyValue(v.Interface()))
		}
	}
	return nil
}

// writeSlogValue resolves a value inside another one. It counts as a level, because it may return a value that
// contains itself.
func writeSlogValue(w *jsonplan.Writer, v slog.Value) {
	b := w.Log.Owner.(*builder)
	if w.Log.Levels == 0 {
		w.Buf = appendString(w.Buf, tooDeep)
		return
	}
	outer, levels := w.Buf, b.levels
	b.buf, b.levels = w.Buf, w.Log.Levels-1
	defer func() { // also after a panic of the method: the surrounding value continues
		if b.levels = levels; w.Buf == nil {
			w.Buf = outer
		}
	}()
	b.slogValue(b.resolve(v).Value)
	w.Buf = b.buf
}

// redact returns the replacement of a field with a log tag.
func (s *shared) redact(tag string, value []byte) ([]byte, bool) {
	switch {
	case tag == "-":
		return nil, false
	case tag == "hash" && s.hash != nil:
		text := value
		if value[0] == '"' {
			text = []byte(rawjson.Unquote(value))
		}
		sum := s.hash()
		sum.Write(text)
		return appendString(nil, hex.EncodeToString(sum.Sum(nil))), true
	default: // an unknown tag hides the value
		return []byte(redacted), true
	}
}

// redacted replaces a field with the tag log:"redact".
const redacted = `"[redacted]"`

// replaceField calls ReplaceAttr with a field of a model. It returns true when it has written another value, or none.
// The key stays, because no object may have a key twice.
func (b *builder) replaceField(w *jsonplan.Writer, name string, value reflect.Value) (done bool) {
	start := len(w.Buf)
	defer func() {
		if r := recover(); r != nil {
			w.Buf = appendString(append(appendString(append(w.Buf[:start], ','), name), ':'), panicNote+fmt.Sprint(r))
			done = true
		}
	}()
	a := slog.Any(name, value.Interface())
	replaced := b.replaceAttr(b.path[:len(b.path):len(b.path)], a)
	if replaced.Key == a.Key && same(replaced.Value, a.Value) {
		return false
	}
	if replaced.Equal(slog.Attr{}) {
		return true
	}
	w.Buf = append(appendString(append(w.Buf, ','), name), ':')
	writeSlogValue(w, replaced.Value)
	return true
}

// same reports whether two values are equal. It also handles types that == cannot compare.
func same(a, b slog.Value) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	if k := a.Kind(); k == slog.KindAny || k == slog.KindLogValuer || k == slog.KindGroup {
		return reflect.DeepEqual(a.Any(), b.Any())
	}
	return a.Equal(b)
}
