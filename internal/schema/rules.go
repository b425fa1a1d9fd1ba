package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// rules is a compiled schema document: what v5 decides, and how it is told.
type rules struct {
	root *jsonschema.Schema
	doc  any // the schema document decoded, to look limits up for messages
}

// location is the address under which v5 keeps the document. It is not a place that could be loaded.
const location = "schema:///document"

// compile prepares a schema document. It fails for a document that is no JSON or no schema, and for references out of it.
func compile(doc []byte) (r *rules, err error) {
	defer func() {
		if p := recover(); p != nil { // v5 panics for a pattern that Go's regexp does not know
			err = fmt.Errorf("the schema cannot be compiled: %v", p)
		}
	}()
	decoded, err := decode(doc)
	if err != nil {
		return nil, fmt.Errorf("the schema is no JSON: %w", err)
	}
	switch decoded.(type) {
	case map[string]any, bool:
	default:
		return nil, errors.New("the schema must be a JSON object, true or false")
	}
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft2020
	c.AssertFormat = true
	c.LoadURL = func(address string) (io.ReadCloser, error) {
		return nil, fmt.Errorf("it refers to %s: only references inside the document are followed, put it under $defs", address)
	}
	if err := c.AddResource(location, bytes.NewReader(doc)); err != nil {
		return nil, fmt.Errorf("the schema cannot be read: %w", err)
	}
	root, err := c.Compile(location)
	if err != nil {
		return nil, compileError(err)
	}
	return &rules{root: root, doc: decoded}, nil
}

// compileError says what is wrong with the document, without v5's address.
func compileError(err error) error {
	var outer *jsonschema.SchemaError
	if errors.As(err, &outer) {
		err = outer.Err
	}
	var broken *jsonschema.ValidationError
	if errors.As(err, &broken) {
		for len(broken.Causes) > 0 {
			broken = broken.Causes[0]
		}
		return fmt.Errorf("it is no valid JSON Schema: at %q: %s", broken.InstanceLocation, shorten(broken.Message))
	}
	return fmt.Errorf("the schema cannot be compiled: %w", err)
}

// check validates one JSON value.
func (r *rules) check(data []byte) error {
	value, err := decode(data)
	if err != nil {
		return fmt.Errorf("schema: the value is no JSON: %w", err)
	}
	return r.validate(value)
}

func (r *rules) validate(value any) (err error) {
	defer func() {
		if p := recover(); p != nil { // v5 cannot take numbers of a million digits: 1e1000001 is a few bytes
			err = &Invalid{[]Violation{{Text: "has a number that is too large to be checked"}}}
		}
	}()
	err = r.root.Validate(value)
	var broken *jsonschema.ValidationError
	if errors.As(err, &broken) {
		return r.explain(broken, value)
	}
	if err != nil {
		return fmt.Errorf("schema: validate: %w", err)
	}
	return nil
}

// decode reads one JSON value, numbers as they are written.
func decode(data []byte) (any, error) {
	in := json.NewDecoder(bytes.NewReader(data))
	in.UseNumber()
	var value any
	if err := in.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := in.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return value, nil
}

// lookup follows a JSON pointer as v5 writes them, percent-encoded, and returns the steps and the value there. Path is the
// pointer's steps; field the same for people. ok is false when the pointer leads nowhere.
func lookup(doc any, pointer string) (value any, path []string, field string, ok bool) {
	value, ok = doc, true
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if pointer == "" {
			break
		}
		if plain, err := url.PathUnescape(step); err == nil {
			step = plain
		}
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		path = append(path, step)
		switch in := value.(type) {
		case []any:
			field += "[" + step + "]"
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(in) {
				return nil, path, field, false
			}
			value = in[i]
		case map[string]any:
			field = join(field, step)
			if value, ok = in[step]; !ok {
				return nil, path, field, false
			}
		default:
			return nil, path, join(field, step), false
		}
	}
	return value, path, field, ok
}

// join appends a name to a dotted path.
func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}
