package logrecord

import "github.com/kafkaesk/kafkaesk/internal/rawjson"

// appendString appends a text in its only form, so that keys can be compared as they are written.
func appendString(dst []byte, s string) []byte { return rawjson.AppendText(dst, s, rawjson.Plain) }

// next returns where the object's member that follows i stands: its key, its value, the value's end, and where to look
// for the one after it. It returns key -1 at the end of the object.
func next(doc []byte, i int) (key, val, end, after int) {
	m, ok := rawjson.NextMember(doc, i)
	if !ok {
		return -1, 0, 0, 0
	}
	end = rawjson.Skip(doc, m.Value)
	return m.Key, m.Value, end, end
}

// closeWith ends an object or array whose parts are each followed by a comma.
func closeWith(dst []byte, bracket byte) []byte {
	if last := len(dst) - 1; dst[last] == ',' {
		dst[last] = bracket
		return dst
	}
	return append(dst, bracket)
}
