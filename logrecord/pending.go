package logrecord

import (
	"bytes"
	"hash/maphash"
	"log/slog"
	"slices"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// pending replaces the layout while a call's attributes are written. Most records never need the layout, because no
// key occurs twice. Until a key repeats or a group opens, only the signs of the keys are stored, or, when there are
// many or two signs are equal, a hash table of the keys. Then the members in the buffer are entered into the layout,
// behind those of With.
type pending struct {
	folded   bool      // the buffer has only the message and the attributes of the call
	logged   time.Time // time of the folded record
	deferred bool      // the layout is incomplete: it lacks With's members, and those from start on
	with     *with
	start    int      // position of the call's members in the buffer, which all belong to the innermost object
	bits     uint64   // one bit for each sign of a key of With or of the call
	signs    []uint32 // signs of the call's keys, while they are few
	// table contains the keys of the innermost object, including With's, when the signs do not suffice. It uses open
	// addressing: the upper half of an entry is the hash of the key, the lower one its position, counted from shift,
	// plus 1. It is empty before.
	table  []uint64
	filled int // entries of the table
	// spareTable is reused for the next table.
	spareTable []uint64
}

// deferMembers postpones the layout.
func (b *builder) deferMembers(w *with) {
	b.folded = false
	b.deferred, b.pending.with, b.start, b.bits, b.signs = true, w, len(b.buf), w.layout.seen, b.signs[:0]
	b.table, b.filled = b.table[:0], 0
}

// addKey stores the key from start to end in the buffer. It returns false when the key may exist already.
func (b *builder) addKey(start, end int) bool {
	if len(b.table) > 0 {
		return b.addToTable(start, end)
	}
	sign := signOf(b.buf[start:end])
	if b.has(sign) || len(b.signs) == few {
		if b.folded {
			return false
		}
		b.startTable(start)
		return b.addToTable(start, end)
	}
	b.bits |= bit(sign)
	b.signs = append(b.signs, sign)
	return true
}

// startTable creates a table of the keys in the buffer before end, and of With's, which are all different.
func (b *builder) startTable(end int) {
	b.makeTable(128)
	w := b.pending.with
	for i := range w.layout.members {
		if m := &w.layout.members[i]; m.parent == b.at {
			b.addToTable(b.shift+int(m.key), b.shift+int(m.val)-1)
		}
	}
	for key := b.start; key < end; {
		after := rawjson.SkipString(b.buf, key)
		b.addToTable(key, after)
		key = rawjson.Skip(b.buf, after+1) + 1
	}
}

// makeTable creates an empty table, and returns the previous one.
func (b *builder) makeTable(size int) (before []uint64) {
	before, b.table, b.filled = b.table, slices.Grow(b.spareTable[:0], size)[:size], 0
	b.spareTable = before
	clear(b.table)
	return before
}

// addToTable adds a new key; it returns false for an existing one.
func (b *builder) addToTable(start, end int) bool {
	if 2*b.filled >= len(b.table) {
		for _, entry := range b.makeTable(2 * len(b.table)) {
			if entry != 0 {
				b.table[b.emptyEntry(entry)] = entry
				b.filled++
			}
		}
	}
	key := b.buf[start:end]
	hash, mask := maphash.Bytes(b.seed, key)<<32, uint64(len(b.table)-1)
	for i := hash >> 32 & mask; ; i = (i + 1) & mask {
		switch entry := b.table[i]; {
		case entry == 0:
			b.table[i] = hash | uint64(start-b.shift+1)
			b.filled++
			return true
		case (entry^hash)>>32 == 0 && bytes.HasPrefix(b.buf[b.shift+int(uint32(entry))-1:], key):
			return false
		}
	}
}

// emptyEntry returns the index for an entry that is not in the table.
func (b *builder) emptyEntry(entry uint64) uint64 {
	mask := uint64(len(b.table) - 1)
	i := entry >> 32 & mask
	for b.table[i] != 0 {
		i = (i + 1) & mask
	}
	return i
}

// addSigns stores the signs of the keys that a model may have written. It returns false when one of them may exist
// already.
func (b *builder) addSigns(info *typeInfo) bool {
	if !b.deferred || len(b.table) > 0 || len(info.signs) == 0 || len(b.signs)+len(info.signs) > few {
		return false
	}
	if b.bits&info.bits != 0 {
		for _, sign := range info.signs {
			if b.has(sign) {
				return false
			}
		}
	}
	b.bits |= info.bits
	b.signs = append(b.signs, info.signs...)
	return true
}

// has reports whether With or the call may have a key with that sign.
func (b *builder) has(sign uint32) bool {
	return b.bits&bit(sign) != 0 && (slices.Contains(b.signs, sign) || slices.Contains(b.pending.with.signs, sign))
}

// enterPending completes the layout with the members in the buffer before end.
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

// plain writes an attribute of the call with a new key that is not an own field's, and a short text, number or bool
// as its value. For any other attribute it writes nothing and returns false.
func (b *builder) plain(a *slog.Attr) bool {
	if !b.deferred || len(a.Key) > maxKey || b.steps <= 0 || len(b.buf) > b.total {
		return false
	}
	if _, isOwn := b.names.find(a.Key); isOwn && b.at == 0 {
		return false
	}
	key := len(b.buf)
	buf := appendString(b.buf, a.Key)
	end := len(buf)
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
	buf = append(buf, ',')
	before := len(b.buf)
	if b.buf = buf; !b.addKey(key, end) {
		b.buf = b.buf[:before]
		return false
	}
	b.steps--
	return true
}
