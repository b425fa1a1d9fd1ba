package logrecord

import (
	"log/slog"
	"slices"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// pending stands for the layout while a call's attributes are written. Most records need none: no key comes twice, so that nothing
// has to be found again. Therefore only the signs of the keys are kept, until a key may be there already or a group is opened.
// Then the members that stand in the buffer are entered into the layout, behind those of With.
type pending struct {
	deferred bool // the layout is not valid: it lacks With's members, and those from start on
	with     *with
	start    int      // of the call's members in the buffer, which all belong to the innermost object
	bits     uint64   // one for each sign of a key of With or of the call
	signs    []uint32 // of the call's keys
}

// deferMembers puts off the layout.
func (b *builder) deferMembers(w *with) {
	b.deferred, b.pending.with, b.start, b.bits, b.signs = true, w, len(b.buf), w.layout.seen, b.signs[:0]
}

// addSign keeps the sign of a key. It returns false when the key may be there already, or needs the layout to be found quickly.
func (b *builder) addSign(sign uint32) bool {
	if b.bits&bit(sign) != 0 && (slices.Contains(b.signs, sign) || slices.Contains(b.pending.with.signs, sign)) {
		return false
	}
	if len(b.signs) == few {
		return false
	}
	b.bits |= bit(sign)
	b.signs = append(b.signs, sign)
	return true
}

// enterPending makes the layout valid, with the members that stand in the buffer before end.
func (b *builder) enterPending(end int) {
	if !b.deferred {
		return
	}
	b.deferred = false
	b.layout.copyFrom(&b.pending.with.layout)
	for key := b.start; key < end; {
		val := rawjson.SkipString(b.buf, key) + 1
		after := rawjson.Skip(b.buf, val)
		b.enter(key, val, after)
		key = after + 1
	}
}

// plain writes an attribute of the call whose key is new and is no own field's, and whose value is a short text, a number or a
// bool: what most are. It writes nothing and returns false for others.
func (b *builder) plain(a *slog.Attr) bool {
	if !b.deferred || len(a.Key) > maxKey || b.steps <= 0 || len(b.buf) > b.total {
		return false
	}
	if _, isOwn := b.names.find(a.Key); isOwn && b.at == 0 {
		return false
	}
	key := len(b.buf)
	buf := appendString(b.buf, a.Key)
	sign := signOf(buf[key:])
	buf = append(buf, ':')
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		s := v.String()
		if len(s) > shortText {
			return false
		}
		buf = appendString(buf, s)
	case slog.KindInt64:
		buf = rawjson.AppendInt(buf, v.Int64())
	case slog.KindUint64:
		buf = rawjson.AppendUint(buf, v.Uint64())
	case slog.KindDuration:
		if b.durations {
			return false
		}
		buf = rawjson.AppendInt(buf, int64(v.Duration()))
	case slog.KindFloat64:
		var ok bool
		if buf, ok = rawjson.AppendFloat(buf, v.Float64(), 64); !ok {
			return false
		}
	case slog.KindBool:
		if v.Bool() {
			buf = append(buf, "true"...)
		} else {
			buf = append(buf, "false"...)
		}
	default:
		return false
	}
	if !b.addSign(sign) {
		return false
	}
	b.steps--
	b.buf = append(buf, ',')
	return true
}
