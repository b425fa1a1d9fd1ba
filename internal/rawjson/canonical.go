package rawjson

import (
	"slices"
	"strings"
)

// AppendCanonical appends the value that starts at i in the one form that all equal values have, and returns where it
// ends. Values are equal as JSON Schema has it: numbers by their value, objects whatever the order of their members. Of
// a key that comes twice the last one counts. Nesting is bounded by the reader of the JSON.
func AppendCanonical(dst, b []byte, i int) (out []byte, end int) {
	switch c := b[i]; {
	case c == '"':
		end = SkipString(b, i)
		return AppendText(dst, Unquote(b[i:end]), Plain), end
	case c == '-' || c >= '0' && c <= '9':
		end = Skip(b, i)
		return ParseDecimal(b[i:end]).Append(dst), end
	case c == '[':
		dst = append(dst, '[')
		for i++; ; {
			at, ok := NextElement(b, i)
			if !ok {
				return append(dst, ']'), at + 1
			}
			dst, i = AppendCanonical(dst, b, at)
			dst = append(dst, ',')
		}
	case c == '{':
		return appendCanonicalObject(dst, b, i)
	}
	end = Skip(b, i)
	return append(dst, b[i:end]...), end
}

func appendCanonicalObject(dst, b []byte, i int) (out []byte, end int) {
	type member struct {
		key      string
		from, to int // in dst, comma included
	}
	var few [8]member
	members := few[:0]
	dst = append(dst, '{')
	start, ordered := len(dst), true
	for i++; ; {
		m, ok := NextMember(b, i)
		if !ok {
			end = m.Key + 1
			break
		}
		next := member{key: Unquote(b[m.Key:m.KeyEnd]), from: len(dst)}
		dst = append(AppendText(dst, next.key, Plain), ':')
		dst, i = AppendCanonical(dst, b, m.Value)
		dst = append(dst, ',')
		next.to = len(dst)
		ordered = ordered && (len(members) == 0 || members[len(members)-1].key < next.key)
		members = append(members, next)
	}
	if ordered {
		return append(dst, '}'), end
	}
	slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	behind := len(dst) // the members in order are written behind the others, and then in their place
	for at, m := range members {
		if at+1 == len(members) || members[at+1].key != m.key {
			dst = append(dst, dst[m.from:m.to]...)
		}
	}
	dst = dst[:start+copy(dst[start:], dst[behind:])]
	return append(dst, '}'), end
}
