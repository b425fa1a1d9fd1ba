package fnmatch

import "slices"

// set is the content of [...]: ranges of characters, or, when negated, all characters outside of them.
type set struct {
	negated bool
	ranges  []span
}

type span struct{ low, high rune }

func (s *set) has(c rune) bool {
	for _, r := range s.ranges {
		if r.low <= c && c <= r.high {
			return !s.negated
		}
	}
	return s.negated
}

// dash marks a hyphen that makes a range. An ordinary hyphen is '-'.
const dash rune = -1

// newSet parses the text between the brackets in the three steps of CPython 3.10 and later: it splits the text at the
// hyphens that make ranges, removes reversed ranges, then reads the rest as the set of a regular expression. The
// steps cannot be merged: the text behind a reversed range can move to the front, and a ! that gets there negates the
// set.
func newSet(text []rune) *set {
	members := join(dropReversed(cut(text)))
	s := &set{}
	if len(members) > 0 && members[0] == '!' {
		s.negated = true
		members = members[1:]
	}
	for i := 0; i < len(members); i++ {
		low := plain(members[i])
		if i+2 < len(members) && members[i+1] == dash {
			s.ranges = append(s.ranges, span{low, plain(members[i+2])})
			i += 2
			continue
		}
		s.ranges = append(s.ranges, span{low, low})
	}
	return s
}

// cut splits the text at its range hyphens: "abc-xyz-0" gives "abc", "xyz", "0", which means a, b, c-x, y, z-0. A
// hyphen at either end, and one right behind a range, is ordinary and stays in its chunk.
func cut(text []rune) [][]rune {
	var chunks [][]rune
	start, from := 0, 1
	if text[0] == '!' {
		from = 2
	}
	for from < len(text) {
		at := slices.Index(text[from:], '-')
		if at < 0 {
			break
		}
		at += from
		chunks = append(chunks, slices.Clone(text[start:at]))
		start, from = at+1, at+3
	}
	if rest := text[start:]; len(rest) > 0 {
		return append(chunks, slices.Clone(rest))
	}
	last := len(chunks) - 1
	chunks[last] = append(chunks[last], '-')
	return chunks
}

// dropReversed joins neighbouring chunks whose range is reversed, without the range's two ends.
func dropReversed(chunks [][]rune) [][]rune {
	for k := len(chunks) - 1; k > 0; k-- {
		left, right := chunks[k-1], chunks[k]
		if left[len(left)-1] > right[0] {
			chunks[k-1] = append(left[:len(left)-1], right[1:]...)
			chunks = slices.Delete(chunks, k, k+1)
		}
	}
	return chunks
}

// join puts the chunks together again, with dash between them.
func join(chunks [][]rune) []rune {
	members := chunks[0]
	for _, c := range chunks[1:] {
		members = append(append(members, dash), c...)
	}
	return members
}

func plain(c rune) rune {
	if c == dash {
		return '-'
	}
	return c
}
