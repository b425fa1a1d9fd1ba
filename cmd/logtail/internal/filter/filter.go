// Package filter decides which records are shown. It reads the records' bytes and allocates nothing for records of
// the usual form.
package filter

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/entry"
	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/form"
	"github.com/kafkaesk/kafkaesk/internal/fnmatch"
	"github.com/kafkaesk/kafkaesk/internal/jsonscan"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/severity"
)

// Filter is a set of conditions on records. The zero value passes all. Its methods may be called concurrently.
type Filter struct {
	// Level passes log records of this level and above, with Exact of this level only; nil passes all, including
	// records without a level.
	Level *slog.Level
	Exact bool
	// Service, Logger, Schema and Key pass values that match one of the patterns; none passes all.
	Service, Logger, Schema, Key Patterns
	// Trace passes the records of one trace.
	Trace string
	// Fields are conditions that must all hold.
	Fields []Condition
	// Grep passes records with a match; with Invert, records without one.
	Grep   *Grep
	Invert bool
	// Since and Until bound the record's time, in nanoseconds since 1970; 0 for none. Records without a time pass.
	Since, Until int64
}

// Outcome is the result of a Filter.
type Outcome uint8

const (
	// Pass: the record is shown.
	Pass Outcome = iota
	// Reject: the record is not shown.
	Reject
	// NoLevel: the record is not shown because it has no level to compare.
	NoLevel
)

// Excludes reports whether a record certainly fails, before its value is parsed.
func (f *Filter) Excludes(r *wire.Record) bool {
	return f.Grep != nil && !f.Invert && f.Grep.excludes(r)
}

// Check decides whether the record is shown.
func (f *Filter) Check(e *entry.Entry) Outcome {
	if e.Timed && (f.Since != 0 && e.Nanos < f.Since || f.Until != 0 && e.Nanos >= f.Until) {
		return Reject
	}
	if f.Level != nil {
		switch level, ok := e.Level(); {
		case !ok:
			return NoLevel
		case level < *f.Level || f.Exact && level != *f.Level:
			return Reject
		}
	}
	switch {
	case len(f.Service) > 0 && !matchText(f.Service, e.Service()),
		len(f.Logger) > 0 && !matchText(f.Logger, e.Logger()),
		len(f.Schema) > 0 && (e.Note != "" || !match(f.Schema, e.Schema)),
		len(f.Key) > 0 && (e.Record.Key == nil || !match(f.Key, string(e.Record.Key))),
		f.Trace != "" && !isTrace(e.TraceID(), f.Trace):
		return Reject
	}
	for i := range f.Fields {
		if !f.Fields[i].holds(f.Fields[i].value(e)) {
			return Reject
		}
	}
	if f.Grep != nil && f.Grep.match(e) == f.Invert {
		return Reject
	}
	return Pass
}

// Patterns are shell patterns; one of them must match.
type Patterns []fnmatch.Pattern

// CompilePatterns compiles patterns.
func CompilePatterns(texts []string) (Patterns, error) {
	var patterns Patterns
	for _, text := range texts {
		p, err := fnmatch.Compile("", text)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

func match(patterns Patterns, text string) bool {
	return slices.ContainsFunc(patterns, func(p fnmatch.Pattern) bool { return p.Match(text) })
}

func matchText(patterns Patterns, value []byte) bool {
	return len(value) > 0 && value[0] == '"' && match(patterns, jsonscan.Text(value[1:len(value)-1]))
}

func isTrace(value []byte, id string) bool {
	return len(value) == len(id)+2 && value[0] == '"' && strings.EqualFold(string(value[1:len(value)-1]), id)
}

// Level parses the value of --level: a level, or = and a level for this level only.
func Level(text string) (level slog.Level, exact bool, err error) {
	text, exact = strings.CutPrefix(text, "=")
	level, err = severity.Parse(text)
	return level, exact, err
}

// Condition is a condition on a field: user=ada, status>=500, path~^/api.
type Condition struct {
	path    string
	added   func(*entry.Entry) []byte // finds a field that JSON output adds; nil for a field of the record
	op      string
	text    string
	number  float64
	numeric bool
	re      *regexp.Regexp
}

// ops are the operators. An operator comes before its own prefixes.
var ops = [...]string{"!=", ">=", "<=", "!~", "=", ">", "<", "~"}

// ParseCondition parses a value of --field.
func ParseCondition(text string) (Condition, error) {
	for i := range text {
		for _, op := range ops {
			if !strings.HasPrefix(text[i:], op) {
				continue
			}
			c := Condition{path: strings.TrimSpace(text[:i]), op: op, text: strings.TrimSpace(text[i+len(op):])}
			return c, c.complete()
		}
	}
	return Condition{}, fmt.Errorf("%q: want a field, an operator and a value, such as user=ada, status>=500 or "+
		"path~^/api; "+
		"the operators are = != < <= > >= ~ !~", text)
}

func (c *Condition) complete() (err error) {
	c.number, err = strconv.ParseFloat(c.text, 64)
	c.numeric = err == nil
	c.added = form.Added(c.path)
	switch {
	case c.path == "":
		return fmt.Errorf("there is no field in front of %q", c.op+c.text)
	case strings.ContainsAny(c.op, "~"):
		if c.re, err = regexp.Compile(c.text); err != nil {
			return fmt.Errorf("%q: %w", c.text, err)
		}
	case strings.ContainsAny(c.op, "<>") && !c.numeric:
		return fmt.Errorf("%s compares numbers, and %q is not a number", c.op, c.text)
	}
	return nil
}

// value returns the JSON of the field.
func (c *Condition) value(e *entry.Entry) []byte {
	if c.added != nil {
		return c.added(e)
	}
	return e.Find(c.path)
}

// holds reports whether the condition holds for the JSON of a field. A missing field, nil, equals nothing.
func (c *Condition) holds(value []byte) bool {
	switch c.op {
	case "=":
		return c.equal(value)
	case "!=":
		return !c.equal(value)
	case "~":
		return c.matches(value)
	case "!~":
		return !c.matches(value)
	}
	n, ok := number(value)
	if !ok {
		return false
	}
	switch c.op {
	case ">":
		return n > c.number
	case ">=":
		return n >= c.number
	case "<":
		return n < c.number
	default:
		return n <= c.number
	}
}

func (c *Condition) equal(value []byte) bool {
	if len(value) == 0 {
		return false
	}
	if value[0] == '"' {
		return jsonscan.Is(value[1:len(value)-1], c.text)
	}
	if string(value) == c.text {
		return true
	}
	n, ok := number(value)
	return ok && c.numeric && n == c.number
}

func (c *Condition) matches(value []byte) bool {
	if len(value) == 0 {
		return false
	}
	if value[0] != '"' {
		return c.re.Match(value)
	}
	inside := value[1 : len(value)-1]
	for _, b := range inside {
		if b == '\\' {
			return c.re.MatchString(jsonscan.Text(inside))
		}
	}
	return c.re.Match(inside)
}

// number parses a number, or a text that contains one.
func number(value []byte) (float64, bool) {
	if len(value) > 2 && value[0] == '"' {
		value = value[1 : len(value)-1]
	}
	if len(value) == 0 || value[0] != '-' && (value[0] < '0' || value[0] > '9') {
		return 0, false
	}
	n, err := strconv.ParseFloat(string(value), 64)
	return n, err == nil
}
