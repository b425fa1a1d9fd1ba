// Package jsonscan reads JSON where it lies: one pass over the bytes checks a document, finds the members of a record
// and of its envelope, and reports whether anything in it needs a look before it is copied. Nothing is decoded, and
// nothing is allocated for a document of the usual shape.
//
// It accepts what encoding/json accepts, so that every document that another program wrote can be read; what a strict
// parser refuses in it (bytes that are no UTF-8, halves of surrogate pairs, keys that are there twice) is told by
// [Flags].
package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// MaxDepth is how deep objects and arrays may lie in each other, as in encoding/json.
const MaxDepth = 10000

// DeepFrom is the depth from which on a document is [Deep]: parsers of other languages stop at 256 levels.
const DeepFrom = 200

// Flags tell what a document has that not every reader takes, or that stands for something other than itself.
type Flags uint8

const (
	// Escapes says that a string has a \u escape.
	Escapes Flags = 1 << iota
	// NonASCII says that a string has a byte from 0x7f on.
	NonASCII
	// Spaces says that there is white space between the tokens.
	Spaces
	// Deep says that there are more than DeepFrom levels, the document's own being the first.
	Deep
	// Repeated says that an object may have a key twice: it does, or a key in it is written with a backslash.
	Repeated
)

// Member is a member of an object, by places in the document: of its name, without the quotes, and of its value.
type Member struct {
	NameStart, NameEnd, Start, End int32
}

// Scanner scans documents one after another. The zero value is ready. It is for one goroutine.
type Scanner struct {
	// Members are those of the document, which is an object. They are valid until the next Scan.
	Members []Member
	// Data are those of the member "data" of the document, if that is an object; of several, of the last.
	Data []Member
	// Flags are those of the document.
	Flags Flags

	b    []byte
	keys []Member // of the objects that are open, those of the document and of data left out
	last [2]shape
}

// shape remembers the names of one object's members, so that the next document's, mostly the same, need no comparison
// with each other.
type shape struct {
	names []byte
	ends  []int // of each in names
}

// are reports whether the members have these names, in this order.
func (l *shape) are(s *Scanner, members []Member) bool {
	if len(members) != len(l.ends) {
		return false
	}
	start := 0
	for i, end := range l.ends {
		if string(s.Name(members[i])) != string(l.names[start:end]) {
			return false
		}
		start = end
	}
	return true
}

func (l *shape) set(s *Scanner, members []Member) {
	l.names, l.ends = l.names[:0], l.ends[:0]
	for _, m := range members {
		l.names = append(l.names, s.Name(m)...)
		l.ends = append(l.ends, len(l.names))
	}
}

// Scan reports whether b is one JSON document, and looks at its members if it is an object.
func (s *Scanner) Scan(b []byte) bool {
	s.b, s.Flags = b, 0
	s.Members, s.Data, s.keys = s.Members[:0], s.Data[:0], s.keys[:0]
	if len(b) > 1<<31-1 {
		return false
	}
	i := s.space(0)
	if i < len(b) && b[i] == '{' {
		i = s.members(i, 1, &s.Members)
		if i >= 0 && s.repeated(s.Members, &s.last[0]) {
			s.Flags |= Repeated
		}
	} else {
		i = s.value(i, 0)
	}
	return i >= 0 && s.space(i) == len(b)
}

// Name returns the name of a member as it is written.
func (s *Scanner) Name(m Member) []byte { return s.b[m.NameStart:m.NameEnd] }

// Value returns the JSON of a member's value.
func (s *Scanner) Value(m Member) []byte { return s.b[m.Start:m.End:m.End] }

// members passes the object at i of the document, or of its data, and keeps its members in to. Each function here
// returns the index behind what it has passed, or -1 where that is no JSON.
func (s *Scanner) members(i, depth int, to *[]Member) int {
	b := s.b
	if i = s.space(i + 1); i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		key := i
		if i = s.text(i); i < 0 {
			return -1
		}
		m := Member{NameStart: int32(key + 1), NameEnd: int32(i - 1)}
		if i = s.colon(i); i < 0 {
			return -1
		}
		m.Start = int32(i)
		if depth == 1 && i < len(b) && b[i] == '{' && string(b[m.NameStart:m.NameEnd]) == "data" {
			s.Data = s.Data[:0]
			if i = s.members(i, 2, &s.Data); i >= 0 && s.repeated(s.Data, &s.last[1]) {
				s.Flags |= Repeated
			}
		} else {
			i = s.value(i, depth)
		}
		if i < 0 {
			return -1
		}
		m.End = int32(i)
		*to = append(*to, m)
		if i = s.space(i); i >= len(b) {
			return -1
		}
		switch b[i] {
		case ',':
			i = s.space(i + 1)
		case '}':
			return i + 1
		default:
			return -1
		}
	}
}

// repeated reports whether a name may be there twice. The names of the object before, found different from each other,
// vouch for the same names in the same order.
func (s *Scanner) repeated(members []Member, last *shape) bool {
	if last.are(s, members) {
		return false
	}
	if s.twice(members) {
		return true
	}
	if len(members) <= fewMembers {
		last.set(s, members)
	}
	return false
}

// fewMembers is how many members an object has that are compared without allocating.
const fewMembers = 100

// twice reports whether two of the members have one name, or one has a name whose spelling does not tell.
func (s *Scanner) twice(members []Member) bool {
	for _, m := range members {
		if bytes.IndexByte(s.Name(m), '\\') >= 0 {
			return true
		}
	}
	if len(members) > fewMembers {
		seen := make(map[string]struct{}, len(members))
		for _, m := range members {
			seen[string(s.Name(m))] = struct{}{}
		}
		return len(seen) < len(members)
	}
	var table [256]uint8 // by hash: the number of a member, from 1
	for i, m := range members {
		name := s.Name(m)
		slot := hash(name)
		for ; table[slot] != 0; slot++ {
			if string(s.Name(members[table[slot]-1])) == string(name) {
				return true
			}
		}
		table[slot] = uint8(i + 1)
	}
	return false
}

// hash spreads names over the table of twice: by FNV.
func hash(name []byte) uint8 {
	h := uint32(2166136261)
	for _, c := range name {
		h = (h ^ uint32(c)) * 16777619
	}
	return uint8(h ^ h>>8 ^ h>>16 ^ h>>24)
}

// value passes one value, which lies in depth objects and arrays.
func (s *Scanner) value(i, depth int) int {
	b := s.b
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return s.text(i)
	case '{':
		return s.object(i, depth+1)
	case '[':
		return s.array(i, depth+1)
	case 't':
		return word(b, i, "true")
	case 'f':
		return word(b, i, "false")
	case 'n':
		return word(b, i, "null")
	default:
		return number(b, i)
	}
}

// enter notes the depth of an object or array, and reports whether it may be entered.
func (s *Scanner) enter(depth int) bool {
	if depth > DeepFrom {
		s.Flags |= Deep
	}
	return depth <= MaxDepth
}

func (s *Scanner) object(i, depth int) int {
	if !s.enter(depth) {
		return -1
	}
	b, first := s.b, len(s.keys)
	if i = s.space(i + 1); i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		key := i
		if i = s.text(i); i < 0 {
			return -1
		}
		s.keys = append(s.keys, Member{NameStart: int32(key + 1), NameEnd: int32(i - 1)})
		if i = s.colon(i); i < 0 {
			return -1
		}
		if i = s.value(i, depth); i < 0 {
			return -1
		}
		if i = s.space(i); i >= len(b) {
			return -1
		}
		switch b[i] {
		case ',':
			i = s.space(i + 1)
		case '}':
			if keys := s.keys[first:]; s.Flags&Repeated == 0 && s.twice(keys) {
				s.Flags |= Repeated
			}
			s.keys = s.keys[:first]
			return i + 1
		default:
			return -1
		}
	}
}

func (s *Scanner) array(i, depth int) int {
	if !s.enter(depth) {
		return -1
	}
	b := s.b
	if i = s.space(i + 1); i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = s.value(i, depth); i < 0 {
			return -1
		}
		if i = s.space(i); i >= len(b) {
			return -1
		}
		switch b[i] {
		case ',':
			i = s.space(i + 1)
		case ']':
			return i + 1
		default:
			return -1
		}
	}
}

// colon passes the colon behind a name, and the space around it.
func (s *Scanner) colon(i int) int {
	if i < len(s.b) && s.b[i] != ':' {
		i = s.space(i)
	}
	if i >= len(s.b) || s.b[i] != ':' {
		return -1
	}
	return s.space(i + 1)
}

// space passes white space. Mostly there is none.
func (s *Scanner) space(i int) int {
	for i < len(s.b) && s.b[i] <= ' ' {
		switch s.b[i] {
		case ' ', '\n', '\r', '\t':
			s.Flags |= Spaces
			i++
		default:
			return i
		}
	}
	return i
}

const (
	ones = 0x0101010101010101
	high = 0x80 * ones
)

// text passes a string, eight bytes at a time where nothing in it needs a look.
func (s *Scanner) text(i int) int {
	b := s.b
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	for i++; i < len(b); {
		if i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			quote, backslash, del := w^'"'*ones, w^'\\'*ones, w^0x7f*ones
			// The lowest bit is exact: it is that of the first byte which ends the run, is a control, or no ASCII.
			stop := ((w-' '*ones)&^w | (quote-ones)&^quote | (backslash-ones)&^backslash | (del-ones)&^del | w) & high
			if stop == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(stop) / 8
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i = s.escape(i); i < 0 {
				return -1
			}
		case c < ' ':
			return -1
		default:
			if c >= 0x7f {
				s.Flags |= NonASCII
			}
			i++
		}
	}
	return -1
}

// escape passes a backslash and what belongs to it.
func (s *Scanner) escape(i int) int {
	b := s.b
	if i+1 >= len(b) {
		return -1
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
	default:
		return -1
	}
	if _, ok := unit(b, i); !ok {
		return -1
	}
	s.Flags |= Escapes
	return i + 6
}

// unit reads the UTF-16 unit of the \u at i.
func unit(b []byte, i int) (u rune, ok bool) {
	if i+6 > len(b) || b[i] != '\\' || b[i+1] != 'u' {
		return 0, false
	}
	for _, c := range b[i+2 : i+6] {
		switch {
		case '0' <= c && c <= '9':
			u = u<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			u = u<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return u, true
}

func number(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = digits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = digits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return digits(b, i)
	}
	return i
}

// digits passes decimal digits, at least one.
func digits(b []byte, i int) int {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

func word(b []byte, i int, want string) int {
	if end := i + len(want); end <= len(b) && string(b[i:end]) == want {
		return end
	}
	return -1
}
