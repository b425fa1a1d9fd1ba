// Package compat reports whether the data of one version of a JSON Schema is valid for another: whether consumers with
// the one can read what producers with the other publish.
//
// A producer writes the properties that its schema names, and no others, although the schema allows more: so a property
// that is added, and not required, breaks nothing. What cannot be told apart from an incompatible change is reported as
// one: a pattern that has changed, say. A schema that is reported compatible is compatible.
package compat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kafkaesk/kafkaesk/internal/schema"
)

// Directions of compatibility.
const (
	Backward = "backward" // consumers with the new schema read data of the old one
	Forward  = "forward"  // consumers with the old schema read data of the new one
	Full     = "full"     // both
)

// Problem is one reason why data of one schema may be invalid for the other.
type Problem struct {
	// Direction is Backward or Forward.
	Direction string `json:"direction"`
	// Field is where in the data, as items[].name; "" for the value itself.
	Field string `json:"field"`
	// Keyword is the schema's keyword that refuses the data.
	Keyword string `json:"keyword"`
	Reason  string `json:"reason"`
}

// Check compares two JSON Schemas in one direction, or both ways with Full. It returns no problem when they are
// compatible, and an error for what is no JSON Schema.
func Check(older, newer []byte, direction string) ([]Problem, error) {
	before, err := parse(older)
	if err != nil {
		return nil, fmt.Errorf("the old schema: %w", err)
	}
	after, err := parse(newer)
	if err != nil {
		return nil, fmt.Errorf("the new schema: %w", err)
	}
	var problems []Problem
	switch direction {
	case Backward:
		problems, err = compare(before, after, direction, "old", "new")
	case Forward:
		problems, err = compare(after, before, direction, "new", "old")
	case Full:
		var forward []Problem
		if problems, err = compare(before, after, Backward, "old", "new"); err == nil {
			forward, err = compare(after, before, Forward, "new", "old")
		}
		problems = append(problems, forward...)
	default:
		return nil, fmt.Errorf("compatibility %q: want %s, %s or %s", direction, Backward, Forward, Full)
	}
	return problems, err
}

// What a schema may be at most. Those of Go types are far below; the work on nested ones grows with the cube of their
// depth.
const (
	maxBytes = 1 << 20
	maxDepth = 128
)

// checkSize returns why a document is too large to be compared. What is wrong with its JSON is somebody else's to say.
func checkSize(document []byte) error {
	if len(document) > maxBytes {
		return fmt.Errorf("it has %d bytes, and the most that can be compared are %d", len(document), maxBytes)
	}
	d := json.NewDecoder(bytes.NewReader(document))
	for depth := 0; ; {
		token, err := d.Token()
		if err != nil {
			return nil
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth > maxDepth {
			return fmt.Errorf("it has more than %d levels of objects and arrays, which is the most that can be compared",
				maxDepth)
		}
	}
}

// parse reads a JSON Schema, once it is known to be one.
func parse(document []byte) (any, error) {
	if err := checkSize(document); err != nil {
		return nil, err
	}
	if _, err := schema.FromJSON(nil, document); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var root any
	if err := d.Decode(&root); err != nil {
		return nil, err
	}
	return root, nil
}

// maxSteps bounds the comparison: choices within choices multiply, and so do the members of allOf.
const maxSteps = 20_000

var errTooLarge = errors.New("the schemas have too many choices within choices, or members of allOf, to be compared")

// comparison finds out whether what a writer's schema allows, a reader's schema allows too.
type comparison struct {
	writer, reader         side
	direction              string
	writerName, readerName string // for the reasons: old, new
	steps                  int
	// open are the pairs that are being compared: a schema that contains itself comes back to one of them.
	open map[string]bool
	// rest has schemas without one of their keywords, so that each is made once, and open sees it again.
	rest map[string]object
}

func compare(writer, reader any, direction, writerName, readerName string) ([]Problem, error) {
	c := &comparison{
		writer: side{writer}, reader: side{reader}, direction: direction, writerName: writerName, readerName: readerName,
		open: make(map[string]bool), rest: make(map[string]object),
	}
	found := c.accepts("", writer, reader)
	if c.steps > maxSteps {
		return nil, errTooLarge
	}
	return unique(found), nil
}

// unique drops what was found twice, by two choices of the writer.
func unique(problems []Problem) []Problem {
	seen := make(map[Problem]bool, len(problems))
	kept := problems[:0]
	for _, p := range problems {
		if !seen[p] {
			seen[p] = true
			kept = append(kept, p)
		}
	}
	return kept
}

// problem makes a Problem. The reason says what the writer's data may be, and what the reader wants.
func (c *comparison) problem(field, keyword, may, wants string) Problem {
	return Problem{
		Direction: c.direction, Field: field, Keyword: keyword,
		Reason: fmt.Sprintf("data of the %s schema %s; the %s schema %s", c.writerName, may, c.readerName, wants),
	}
}

// accepts returns why a value of the writer's schema may be none of the reader's.
func (c *comparison) accepts(field string, writer, reader any) []Problem {
	w, err := c.writer.flatten(writer)
	if err != nil {
		return []Problem{c.problem(field, "$ref", "cannot be told: "+err.Error(), "cannot be compared")}
	}
	r, err := c.reader.flatten(reader)
	if err != nil {
		return []Problem{c.problem(field, "$ref", "may be anything", "cannot be told: "+err.Error())}
	}
	return c.acceptsAll(field, w, r)
}

func (c *comparison) acceptsAll(field string, w, r conjunction) []Problem {
	c.steps += 1 + len(w.parts)*len(r.parts)/64
	if c.steps > maxSteps || w.never || len(r.parts) == 0 && !r.never {
		return nil
	}
	if r.never {
		return []Problem{c.problem(field, "false", "may have a value here", "allows none")}
	}
	pair := w.id() + "|" + r.id()
	if c.open[pair] {
		return nil
	}
	c.open[pair] = true
	defer delete(c.open, pair)
	if branches, ok := c.branchesOf(w); ok {
		var found []Problem
		for _, branch := range branches {
			found = append(found, c.acceptsAll(field, branch, r)...)
		}
		return found
	}
	var found []Problem
	for _, part := range r.parts {
		found = append(found, c.part(field, w, part)...)
	}
	return found
}

// branchesOf returns the writer's schema as a choice of schemas without a choice. A oneOf is an anyOf: that is more
// data, and so never too little.
func (c *comparison) branchesOf(w conjunction) ([]conjunction, bool) {
	for i, part := range w.parts {
		for _, keyword := range []string{"anyOf", "oneOf"} {
			choices, ok := part[keyword].([]any)
			if !ok {
				continue
			}
			others := conjunction{parts: append(append([]object{}, w.parts[:i]...), w.parts[i+1:]...)}
			if rest := c.without(part, keyword); len(rest) > 0 {
				others.parts = append(others.parts, rest)
			}
			branches := make([]conjunction, 0, len(choices))
			for _, choice := range choices {
				chosen, err := c.writer.flatten(choice)
				if err != nil {
					return nil, false
				}
				branches = append(branches, others.and(chosen))
			}
			return branches, true
		}
	}
	return nil, false
}

func (c *comparison) without(part object, keyword string) object {
	key := part.id() + keyword
	if rest, ok := c.rest[key]; ok {
		return rest
	}
	rest := make(object, len(part))
	for k, v := range part {
		if k != keyword && !annotations[k] {
			rest[k] = v
		}
	}
	c.rest[key] = rest
	return rest
}

// choice returns why the writer's values are in none of the reader's choices: the reasons of the choice that is
// nearest.
func (c *comparison) choice(field, keyword string, w conjunction, choices []any) []Problem {
	var nearest []Problem
	for i, choice := range choices {
		r, err := c.reader.flatten(choice)
		if err != nil {
			return []Problem{c.problem(field, keyword, "may be anything", "cannot be told: "+err.Error())}
		}
		found := c.acceptsAll(field, w, r)
		if len(found) == 0 {
			return nil
		}
		if i == 0 || nearer(field, found, nearest) {
			nearest = found
		}
	}
	return nearest
}

// nearer reports whether problems are of a choice that is meant: it is one of the same type as the value's, or has
// fewer.
func nearer(field string, a, b []Problem) bool {
	ofType := func(problems []Problem) bool {
		for _, p := range problems {
			if p.Field == field && p.Keyword == "type" {
				return true
			}
		}
		return false
	}
	if x, y := ofType(a), ofType(b); x != y {
		return y
	}
	return len(a) < len(b)
}
