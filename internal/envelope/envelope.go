// Package envelope takes a record's value apart: {"schema":"Content:1","data":{...}}.
//
// Parse reads every byte once and allocates nothing, because it stands before every typed handler. It checks the whole
// value, the data included, although encoding/json checks the data once more when it decodes it (it has no entry that
// trusts its input): the check costs a small part of the decoding, and in return a value is either an envelope or not,
// whatever type a handler has. What encoding/json lets pass, and Python's reader does not, is refused here: bytes that
// are no UTF-8 and halves of surrogate pairs, which encoding/json silently replaces by U+FFFD.
package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// MaxDepth is how deep objects and arrays may lie in each other, the envelope itself being the first. It is deeper than
// what any of our publishers writes that has data worth reading, and shallow enough for every parser behind it.
const MaxDepth = 1000

// Envelope is what a record's value says. Both fields are views into the value and live as long as it does; neither may
// be changed.
type Envelope struct {
	// Schema is the name of the schema, as in "Content:1". It is nil when the value has no schema, or one that is no
	// string. A name that is written with escapes is a copy.
	Schema []byte
	// Data is the JSON of data, without the space around it. It is nil when there is no data, and the four bytes of null
	// when data is null.
	Data []byte
}

// Parse reads a record's value: one JSON object, with its keys in any order and others among them. Of a key that is
// there twice, the last counts. An error says what is wrong and at which byte, counted from 0. A nil value, Kafka's
// tombstone, is an error too.
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

// notAnObject tells a JSON value of another kind from what is no JSON at all.
func notAnObject(value []byte, i int) error {
	if _, err := anyValue(value, i, 0); err != nil {
		return err
	}
	return fmt.Errorf("at byte %d: the value is no JSON object", i)
}

// note keeps a member of the envelope, of which it gets the JSON.
func (e *Envelope) note(key, value []byte) {
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

// plain returns what a checked JSON string means, without its quotes.
func plain(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // encoding/json knows no string as wrong that was checked here
	return []byte(text)
}
