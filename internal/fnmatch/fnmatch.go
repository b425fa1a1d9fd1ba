// Package fnmatch matches topic names against shell patterns, as Python's fnmatch module does:
//
//   - * any run of characters, dots and newlines included, also the empty one
//   - ? any one character
//   - [abc] one of these characters; [a-c] one of a range; [!abc] one that is not listed
//
// A pattern matches the whole name, case-sensitively. There is no escape character: [*] stands for a star. A ] right
// after the opening [ (or [!) is an ordinary member, a [ that is never closed is an ordinary character, and a reversed
// range like [z-a] holds nothing.
//
// Two points differ from Python's kafkaesk, which shares our topics: the configured topic prefix is always literal,
// and a pattern with ? or [ but without * is a pattern too.
package fnmatch

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxPattern is the maximum length of a pattern in characters. Kafka's topic names have at most
// 249, so a longer pattern is a mistake. Together the two limits bound the work of a match.
const MaxPattern = 256

// Pattern is a compiled pattern with its prefix. It may be used concurrently. The zero Pattern matches the empty name
// only.
type Pattern struct {
	prefix string
	text   string
	ops    []op // nil for a pattern without meta characters: text is compared
}

// op matches one character of the name, or with star any number of them.
type op struct {
	kind kind
	char rune   // of literal
	set  *set   // of oneOf
	text string // of oneOf: its text in the pattern
}

type kind uint8

const (
	literal kind = iota
	anyOne
	oneOf
	star
)

// HasMeta reports whether the pattern contains one of the characters * ? [ and so can match more than one name.
func HasMeta(pattern string) bool { return strings.ContainsAny(pattern, "*?[") }

// Compile compiles a pattern of streams for matching topics, which are prefix + stream. The prefix is literal. The
// only error is a pattern of more than MaxPattern characters: every shorter text is a valid pattern.
func Compile(prefix, pattern string) (Pattern, error) {
	if n := utf8.RuneCountInString(pattern); n > MaxPattern {
		return Pattern{}, fmt.Errorf("fnmatch: pattern of %d characters: at most %d are allowed", n, MaxPattern)
	}
	p := Pattern{prefix: prefix, text: pattern}
	if HasMeta(pattern) {
		p.ops = compile([]rune(pattern))
	}
	return p, nil
}

// Impossible returns the part of a pattern that no name over the alphabet matches; "" if some name matches. shortest
// is the minimum length of a matching name in characters.
func Impossible(pattern, alphabet string) (part string, shortest int) {
	for _, o := range compile([]rune(pattern)) {
		switch {
		case o.kind == star:
			continue
		case o.kind == literal && !strings.ContainsRune(alphabet, o.char):
			return string(o.char), 0
		case o.kind == oneOf && !strings.ContainsFunc(alphabet, o.set.has):
			return o.text, 0
		}
		shortest++
	}
	return "", shortest
}

// String returns the source pattern, without the prefix.
func (p Pattern) String() string { return p.text }

// Match reports whether the topic, prefix included, matches. It allocates nothing. Its work is bounded by the product
// of the two lengths, and for patterns like *a*b*c by their sum.
func (p Pattern) Match(topic string) bool {
	stream, ok := strings.CutPrefix(topic, p.prefix)
	if !ok {
		return false
	}
	if p.ops == nil {
		return stream == p.text
	}
	matched, _ := match(p.ops, stream)
	return matched
}

// match compares ops and name in parallel. After a mismatch it returns to the last star only, which then matches one
// character more. Earlier stars need no change, because everything behind them was found at its leftmost position.
// steps counts the work.
func match(ops []op, name string) (matched bool, steps int) {
	at, pos := 0, 0
	starAt, starPos := -1, 0 // the op after the last star, and where in name it was last tried
	for pos < len(name) || at < len(ops) {
		steps++
		if at < len(ops) && ops[at].kind == star {
			at++
			if at == len(ops) {
				return true, steps
			}
			starAt, starPos = at, pos
			continue
		}
		if pos < len(name) && at < len(ops) {
			c, size := utf8.DecodeRuneInString(name[pos:])
			if ops[at].takes(c) {
				at++
				pos += size
				continue
			}
		}
		if starAt < 0 || starPos >= len(name) {
			return false, steps
		}
		_, size := utf8.DecodeRuneInString(name[starPos:])
		starPos += size
		at, pos = starAt, starPos
	}
	return true, steps
}

func (o *op) takes(c rune) bool {
	switch o.kind {
	case literal:
		return o.char == c
	case oneOf:
		return o.set.has(c)
	default:
		return true
	}
}

// compile converts a pattern into ops; adjacent stars become one.
func compile(pattern []rune) []op {
	ops := make([]op, 0, len(pattern))
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			if len(ops) == 0 || ops[len(ops)-1].kind != star {
				ops = append(ops, op{kind: star})
			}
		case '?':
			ops = append(ops, op{kind: anyOne})
		case '[':
			end := closing(pattern, i+1)
			if end < 0 {
				ops = append(ops, op{char: c})
				continue
			}
			ops = append(ops, op{kind: oneOf, set: newSet(pattern[i+1 : end]), text: string(pattern[i : end+1])})
			i = end
		default:
			ops = append(ops, op{char: c})
		}
	}
	return ops
}

// closing returns the index of the ] that ends a set whose content starts at i, or -1.
func closing(pattern []rune, i int) int {
	if i < len(pattern) && pattern[i] == '!' {
		i++
	}
	if i < len(pattern) && pattern[i] == ']' {
		i++
	}
	for ; i < len(pattern); i++ {
		if pattern[i] == ']' {
			return i
		}
	}
	return -1
}
