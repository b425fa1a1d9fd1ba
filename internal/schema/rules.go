package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/kafkaesk/kafkaesk/internal/schema/rule"
)

// location is the address under which v5 keeps the document. It is not a place that could be loaded.
const location = "schema:///document"

// compile prepares a schema document. It fails for a document that is no JSON or no schema, and for references out of
// it.
func compile(doc []byte) (r *rule.Rule, err error) {
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
		return nil, fmt.Errorf("it refers to %s: only references inside the document are followed, put it under $defs",
			address)
	}
	if err := c.AddResource(location, bytes.NewReader(doc)); err != nil {
		return nil, fmt.Errorf("the schema cannot be read: %w", err)
	}
	root, err := c.Compile(location)
	if err != nil {
		return nil, compileError(err)
	}
	return rule.Compile(root, decoded), nil
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
		return fmt.Errorf("it is no valid JSON Schema: at %q: %s", broken.InstanceLocation, rule.Shorten(broken.Message))
	}
	return fmt.Errorf("the schema cannot be compiled: %w", err)
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
