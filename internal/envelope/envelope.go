// Package envelope parses the value of a record: {"schema":"Content:1","data":{...}}.
//
// Parse reads every byte once and allocates nothing, because it runs before every typed handler. It validates the
// whole value, including the data, which encoding/json validates again when it decodes them (it cannot skip
// validation). The validation costs little compared with the decoding, and it makes a value an envelope or not an
// envelope whatever type the handler has. Parse also refuses what encoding/json accepts and Python's reader does not:
// invalid UTF-8 and halves of surrogate pairs, which encoding/json silently replaces by U+FFFD.
package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// MaxDepth is the maximum nesting of objects and arrays, including the envelope itself. Real data is less deep, and
// every later parser can handle this depth.
const MaxDepth = 1000

// Envelope is a parsed value. Both fields are views into the value: they are valid as long as it is, and must not be
// changed.
type Envelope struct {
	// Schema is the name of the schema, such as "Content:1". It is nil when the value has no schema, or one that is
	// not a string. A name with escapes is a copy.
	Schema []byte
	// Data is the JSON of data, without surrounding white space. It is nil without data, and the four bytes of null
	// when data is null.
	Data []byte
}

// Parse parses a record's value: one JSON object, with its keys in any order and possibly further keys. The last of
// several equal keys counts. An error states the problem and the byte, counted from 0. A nil value, Kafka's
// tombstone, is an error.
func Parse(value []byte) (Envelope, error) {
	var e Envelope
	i := space(value, 0)
	switch {
	case len(value) == 0:
		return Envelope{}, errors.New("envelope: the value is empty")
	case i == len(value) || value[i] != '{':
		return Envelope{}, fmt.Errorf("envelope: %w", notAnObject(value, i))
	}
	i, err := object(value, i, 1, &e)
	if err != nil {
		return Envelope{}, fmt.Errorf("envelope: %w", err)
	}
	if i = space(value, i); i != len(value) {
		return Envelope{}, fmt.Errorf("envelope: %w", unexpected(value, i, "the end"))
	}
	return e, nil
}

// notAnObject distinguishes another kind of JSON value from invalid JSON.
func notAnObject(value []byte, i int) error {
	if _, err := anyValue(value, i, 0); err != nil {
		return err
	}
	return fmt.Errorf("at byte %d: the value is not a JSON object", i)
}

// set stores a member of the envelope, given its key and value as JSON.
func (e *Envelope) set(key, value []byte) {
	switch string(plain(key)) {
	case "data":
		e.Data = value
	case "schema":
		e.Schema = nil
		if value[0] == '"' {
			e.Schema = plain(value)
		}
	}
}

// plain decodes a valid JSON string.
func plain(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // the string is valid, so there is no error
	return []byte(text)
}
