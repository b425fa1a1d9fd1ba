package logrecord

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

const (
	truncatedMember = `"truncated":true`
	ellipsis        = "…"
	// shortest is the length in bytes to which texts are cut before whole fields are left out.
	shortest = 64
	leftOut  = `"` + errorNote + `left out to make the record fit"`
)

// span is a part of a document.
type span struct{ start, end int }

func (s span) len() int { return s.end - s.start }

// shorten returns doc, an object in compact form, in at most limit bytes and marked as truncated. If that is
// impossible, ok is false and the result is as short as possible.
func shorten(doc []byte, limit int) ([]byte, bool) {
	doc = markTruncated(doc)
	texts := longTexts(doc)
	doc = cutTexts(doc, texts, lengthThatFits(texts, len(doc)-limit))
	if len(doc) > limit {
		doc = noteLargest(doc, len(doc)-limit)
	}
	if len(doc) > limit {
		doc = leaveOut(doc, len(doc)-limit)
	}
	return doc, len(doc) <= limit
}

// fixed reports whether a member of the record must stay: a base field that no model has replaced by a large value.
func fixed(doc []byte, key, val int) bool {
	name := rawjson.Unquote(doc[key:rawjson.SkipString(doc, key)])
	return name == "truncated" || isBase(name) && doc[val] != '{' && doc[val] != '['
}

// noteLargest saves excess bytes of the record doc by replacing its largest fields with a note, if that is enough.
func noteLargest(doc []byte, excess int) []byte {
	all := largeFields(nil, doc, 0, noteLevels)
	slices.SortStableFunc(all, func(a, b span) int { return b.len() - a.len() })
	for i, s := range all {
		if excess <= 0 {
			all = all[:i]
			break
		}
		excess -= s.len() - len(leftOut)
	}
	slices.SortFunc(all, func(a, b span) int { return a.start - b.start })
	var out []byte
	at := 0
	for _, s := range all {
		out = append(append(out, doc[at:s.start]...), leftOut...)
		at = s.end
	}
	return append(out, doc[at:]...)
}

// noteLevels is the depth at which fields are replaced: a group keeps its small fields when another one is too large.
const noteLevels = 4

// largeFields appends the values of the object at start, and of the objects in it, that are much longer than a
// note.
func largeFields(all []span, doc []byte, start, levels int) []span {
	for i := start + 1; ; {
		key, val, end, after := next(doc, i)
		switch {
		case key < 0:
			return all
		case start == 0 && fixed(doc, key, val):
		case doc[val] == '{' && levels > 0:
			all = largeFields(all, doc, val, levels-1)
		case end-val > 2*len(leftOut):
			all = append(all, span{val, end})
		}
		i = after
	}
}

// leaveOut saves excess bytes of the record doc by removing its largest fields, if that is enough.
func leaveOut(doc []byte, excess int) []byte {
	var all []span
	for i := 1; ; {
		key, val, end, after := next(doc, i)
		if key < 0 {
			break
		}
		if !fixed(doc, key, val) {
			all = append(all, span{key, end})
		}
		i = after
	}
	slices.SortStableFunc(all, func(a, b span) int { return b.len() - a.len() })
	removed := make(map[int]bool) // by their start
	for _, s := range all {
		if excess <= 0 {
			break
		}
		removed[s.start] = true
		excess -= s.len() + 1 // and the comma
	}
	out := append(make([]byte, 0, len(doc)), '{')
	for i := 1; ; {
		key, _, end, after := next(doc, i)
		if key < 0 {
			return closeWith(out, '}')
		}
		if !removed[key] {
			out = append(append(out, doc[key:end]...), ',')
		}
		i = after
	}
}

// markTruncated returns a copy of doc with the own field truncated. Another field with that name is renamed.
func markTruncated(doc []byte) []byte {
	key, val, end, _, found := lookup(doc, []string{"truncated"})
	if found && string(doc[val:end]) == "true" {
		return bytes.Clone(doc)
	}
	marked := make([]byte, 0, len(doc)+len(truncatedMember)+len(attrPrefix)+1)
	if _, _, _, _, taken := lookup(doc, []string{attrPrefix + "truncated"}); found && taken {
		marked = append(marked, cut(bytes.Clone(doc), key, end)...)
	} else if found {
		marked = append(marked, doc[:key+1]...)
		marked = append(marked, attrPrefix...)
		marked = append(marked, doc[key+1:]...)
	} else {
		marked = append(marked, doc...)
	}
	if marked[len(marked)-2] != '{' {
		marked[len(marked)-1] = ','
	} else {
		marked = marked[:len(marked)-1]
	}
	return append(append(marked, truncatedMember...), '}')
}

// longTexts returns the strings of doc that are long enough to be shortened, without keys and quotes.
func longTexts(doc []byte) []span {
	var all []span
	for i := 0; i < len(doc); {
		if doc[i] != '"' {
			i++
			continue
		}
		end := rawjson.SkipString(doc, i)
		if end-i-2 > shortest && doc[end] != ':' {
			all = append(all, span{i + 1, end - 1})
		}
		i = end
	}
	return all
}

// lengthThatFits returns the length to which the texts must be cut to save excess bytes: longer texts are cut to this
// length.
func lengthThatFits(texts []span, excess int) int {
	lengths := make([]int, len(texts))
	for i, t := range texts {
		lengths[i] = t.end - t.start
	}
	slices.SortFunc(lengths, func(a, b int) int { return b - a })
	total := 0
	for i, n := range lengths {
		total += n
		least := shortest
		if i+1 < len(lengths) {
			least = lengths[i+1]
		}
		if total-(i+1)*least >= excess {
			return max(shortest, (total-excess)/(i+1))
		}
	}
	return shortest
}

// cutTexts cuts the texts that are longer than length, between two characters and never within an escape.
func cutTexts(doc []byte, texts []span, length int) []byte {
	var out []byte
	at := 0
	for _, t := range texts {
		if t.end-t.start <= length {
			continue
		}
		end := t.start
		for {
			n := character(doc[end:t.end])
			if end+n-t.start > length-len(ellipsis) {
				break
			}
			end += n
		}
		out = append(append(out, doc[at:end]...), ellipsis...)
		at = t.end
	}
	if at == 0 {
		return doc
	}
	return append(out, doc[at:]...)
}

// character returns the length of the first character, or escape, of a JSON string's content.
func character(text []byte) int {
	if text[0] != '\\' {
		_, n := utf8.DecodeRune(text)
		return n
	}
	if text[1] == 'u' {
		return 6 // a control character: no other one is escaped like this
	}
	return 2
}
