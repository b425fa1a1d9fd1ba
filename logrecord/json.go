package logrecord

import "github.com/kafkaesk/kafkaesk/internal/rawjson"

// appendString appends a text in a canonical form, so that keys can be compared as bytes.
func appendString(dst []byte, s string) []byte { return rawjson.AppendText(dst, s, rawjson.Plain) }

// next returns the position of the object's next member from i on: its key, its value, the value's end, and where the
// search continues. At the end of the object it returns key -1.
func next(doc []byte, i int) (key, val, end, after int) {
	m, ok := rawjson.NextMember(doc, i)
	if !ok {
		return -1, 0, 0, 0
	}
	end = rawjson.Skip(doc, m.Value)
	return m.Key, m.Value, end, end
}

// closeWith ends an object or array that has a comma after each part.
func closeWith(dst []byte, bracket byte) []byte {
	if last := len(dst) - 1; dst[last] == ',' {
		dst[last] = bracket
		return dst
	}
	return append(dst, bracket)
}
