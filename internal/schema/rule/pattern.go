package rule

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// Pattern is a regular expression. Simple ones are a table: one look-up for each byte of a text in ASCII.
type Pattern struct {
	*regexp.Regexp
	next []uint8 // state*128 + byte to the next state; nil when the expression is not simple
	ends []bool  // of a state: a text that ends here matches
}

// The two states that are not left any more.
const (
	refused = iota
	matched
	initial
)

// mostStates bounds a table: 64 states take 8 KiB.
const mostStates = 64

// Matches reports whether the text has a match, as regexp.Regexp.MatchString does.
func (p *Pattern) Matches(text string) bool {
	if p.next == nil {
		return p.MatchString(text)
	}
	state := uint8(initial)
	for i := range len(text) {
		b := text[i]
		if b >= utf8.RuneSelf {
			return p.MatchString(text)
		}
		if state = p.next[int(state)<<7|int(b)]; state <= matched {
			return state == matched
		}
	}
	return p.ends[state]
}

// Simple reports whether the pattern is a table.
func (p *Pattern) Simple() bool { return p.next != nil }

// NewPattern makes a table of an expression if it is simple. A nil expression gives a nil pattern.
func NewPattern(expression *regexp.Regexp) *Pattern {
	if expression == nil {
		return nil
	}
	p := &Pattern{Regexp: expression}
	parsed, err := syntax.Parse(expression.String(), syntax.Perl)
	if err != nil {
		return p
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return p
	}
	t := tabler{program: program}
	if t.build() {
		p.next, p.ends = t.next, t.ends
	}
	return p
}

// tabler makes the table of a program: each of its states is a set of instructions at which the program may be.
type tabler struct {
	program *syntax.Prog
	states  []set
	next    []uint8
	ends    []bool
}

// set is a set of instructions that read a rune, and whether the program has matched already, or does if the text ends
// here.
type set struct {
	reads   []uint32
	matched bool
	ends    bool
}

// build is not ok when the program looks at more than its place in the text, or needs too many states.
func (t *tabler) build() bool {
	first, ok := t.reach(nil, uint32(t.program.Start), true)
	if !ok {
		return false
	}
	if first.matched {
		return false // it matches everything: nothing to gain
	}
	t.states = []set{{}, {matched: true}, first}
	for n := 0; n < len(t.states); n++ { //nolint:intrange // it grows
		t.ends = append(t.ends, n == matched || t.states[n].ends)
		for b := range rune(utf8.RuneSelf) {
			to, ok := t.step(n, b)
			if !ok {
				return false
			}
			t.next = append(t.next, to)
		}
	}
	return true
}

// step returns the state behind one byte.
func (t *tabler) step(from int, b rune) (uint8, bool) {
	if from <= matched {
		return uint8(from), true
	}
	after, ok := t.reach(nil, uint32(t.program.Start), false) // a match may begin anywhere
	for _, at := range t.states[from].reads {
		if in := &t.program.Inst[at]; ok && in.MatchRune(b) {
			after, ok = t.reach(&after, in.Out, false)
		}
	}
	if !ok {
		return 0, false
	}
	if after.matched {
		return matched, true
	}
	slices.Sort(after.reads)
	same := func(s set) bool { return !s.matched && s.ends == after.ends && slices.Equal(s.reads, after.reads) }
	at := slices.IndexFunc(t.states, same)
	if at < 0 {
		if at = len(t.states); at == mostStates {
			return 0, false
		}
		t.states = append(t.states, after)
	}
	return uint8(at), true
}

// reach adds to a set what can be reached from an instruction without reading.
func (t *tabler) reach(to *set, at uint32, atBegin bool) (set, bool) {
	if to == nil {
		to = &set{}
	}
	type visit struct {
		at  uint32
		end bool // only if the text ends here
	}
	seen := map[visit]bool{}
	ok := true
	var walk func(visit)
	walk = func(p visit) {
		if seen[p] || !ok {
			return
		}
		seen[p] = true
		switch in := &t.program.Inst[p.at]; in.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			walk(visit{in.Out, p.end})
			walk(visit{in.Arg, p.end})
		case syntax.InstCapture, syntax.InstNop:
			walk(visit{in.Out, p.end})
		case syntax.InstEmptyWidth:
			switch syntax.EmptyOp(in.Arg) {
			case syntax.EmptyBeginText:
				if atBegin {
					walk(visit{in.Out, p.end})
				}
			case syntax.EmptyEndText:
				walk(visit{in.Out, true})
			default:
				ok = false
			}
		case syntax.InstMatch:
			to.ends = true
			to.matched = to.matched || !p.end
		case syntax.InstFail:
		default:
			if !p.end && !slices.Contains(to.reads, p.at) {
				to.reads = append(to.reads, p.at)
			}
		}
	}
	walk(visit{at, false})
	return *to, ok
}
