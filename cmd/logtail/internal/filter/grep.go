package filter

import (
	"bytes"
	"regexp"
	"regexp/syntax"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/entry"
	"github.com/kafkaesk/kafkaesk/internal/jsonscan"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
)

// Grep searches a regular expression in records: in the JSON as written, in its decoded texts, and in the key.
type Grep struct {
	re *regexp.Regexp
	// literal is a text that all matches contain, so that a search for it excludes most records. It contains no
	// character that JSON may escape. Empty for none.
	literal []byte
}

// NewGrep compiles the value of --grep.
func NewGrep(expression string) (*Grep, error) {
	re, err := regexp.Compile(expression)
	if err != nil {
		return nil, err
	}
	g := &Grep{re: re}
	if parsed, err := syntax.Parse(expression, syntax.Perl); err == nil {
		g.literal = required(parsed.Simplify())
	}
	return g, nil
}

// excludes reports whether the record and its decoded value certainly have no match.
func (g *Grep) excludes(r *wire.Record) bool {
	return len(g.literal) > 0 && !bytes.Contains(r.Value, g.literal) && !bytes.Contains(r.Key, g.literal) &&
		bytes.IndexByte(r.Value, '\\') < 0 // an escape may stand for a character of the literal
}

func (g *Grep) match(e *entry.Entry) bool {
	if g.re.Match(e.Record.Value) || g.re.Match(e.Record.Key) {
		return true
	}
	if bytes.IndexByte(e.Record.Value, '\\') < 0 {
		return false
	}
	return e.Object != nil && g.within(e.Object) || e.Data != nil && g.within(e.Data)
}

// within searches the texts of a JSON value that contain escapes.
func (g *Grep) within(value []byte) bool {
	for i := 0; i < len(value); i++ {
		if value[i] != '"' {
			continue
		}
		start, escaped := i+1, false
		for i++; value[i] != '"'; i++ {
			if value[i] == '\\' {
				escaped = true
				i++
			}
		}
		if escaped && g.re.MatchString(jsonscan.Text(value[start:i])) {
			return true
		}
	}
	return false
}

// required returns the longest text that every match of the expression contains.
func required(re *syntax.Regexp) (longest []byte) {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 && plain(re.Rune) {
			return []byte(string(re.Rune))
		}
	case syntax.OpConcat, syntax.OpCapture, syntax.OpPlus:
		for _, sub := range re.Sub {
			if text := required(sub); len(text) > len(longest) {
				longest = text
			}
		}
	}
	return longest
}

func plain(text []rune) bool {
	for _, r := range text {
		if r == '"' || r == '\\' || r < ' ' {
			return false
		}
	}
	return true
}
