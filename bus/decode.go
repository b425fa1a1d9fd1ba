package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"

	"github.com/kafkaesk/kafkaesk/internal/envelope"
	"github.com/kafkaesk/kafkaesk/internal/schema"
)

// decoderOf returns what makes a handler's argument out of a record, or says why there can be no argument of that type. The decoder
// may be called concurrently.
//
// []byte is the record's value as it is, *Record the record, map[string]any the value decoded, *Message all of it; any other T is the
// envelope's data. With validate, data is checked against the JSON Schema of its Go type.
//
// Integers beyond 2^53 lose digits in a map[string]any, as they do everywhere in Go: its numbers are float64. Take a struct, or
// json.RawMessage, where they matter.
func decoderOf[T any](validate bool) (func(*Record) (T, error), error) {
	var none T
	if m, ok := any(none).(decodes[T]); ok {
		return m.decoder(validate)
	}
	var decode any
	switch any(none).(type) {
	case []byte:
		decode = func(r *Record) ([]byte, error) { return r.Value, nil }
	case *Record:
		decode = func(r *Record) (*Record, error) { return r, nil }
	case map[string]any:
		decode = wholeMessage
	default:
		return dataDecoder[T](validate)
	}
	if validate {
		return nil, fmt.Errorf("option Validate checks data, and %T is not data: take a struct, or a *bus.Message of one", none)
	}
	return decode.(func(*Record) (T, error)), nil
}

// decodes is a type that knows how to be decoded: *Message, whose X decoderOf cannot name.
type decodes[T any] interface {
	decoder(validate bool) (func(*Record) (T, error), error)
}

// decoder is called on a nil *Message.
func (*Message[X]) decoder(validate bool) (func(*Record) (*Message[X], error), error) {
	c, err := codecOf[X](validate)
	if err != nil {
		return nil, err
	}
	var names lastName
	return func(r *Record) (*Message[X], error) {
		e, err := envelope.Parse(r.Value)
		if err != nil {
			return nil, err
		}
		m := &Message[X]{Record: r}
		if err := c.decode(e, &m.Data); err != nil {
			return nil, err
		}
		m.Schema = names.of(e.Schema)
		return m, nil
	}, nil
}

// lastName makes strings of schema names. Mostly a name is the one before, which costs no memory then.
type lastName struct{ last atomic.Pointer[string] }

func (n *lastName) of(name []byte) string {
	if last := n.last.Load(); last != nil && *last == string(name) {
		return *last
	}
	s := string(name)
	n.last.Store(&s)
	return s
}

// wholeMessage decodes the value with all its keys. It needs no data, but has to be an envelope in all other respects.
func wholeMessage(r *Record) (map[string]any, error) {
	if _, err := envelope.Parse(r.Value); err != nil {
		return nil, err
	}
	var m map[string]any
	if err := json.Unmarshal(r.Value, &m); err != nil {
		return nil, fmt.Errorf("decode the value: %w", err)
	}
	return m, nil
}

func dataDecoder[T any](validate bool) (func(*Record) (T, error), error) {
	c, err := codecOf[T](validate)
	if err != nil {
		return nil, err
	}
	return func(r *Record) (T, error) {
		var data, none T
		e, err := envelope.Parse(r.Value)
		if err != nil {
			return none, err
		}
		if err := c.decode(e, &data); err != nil {
			return none, err
		}
		return data, nil
	}, nil
}

// codec decodes the data of envelopes into values of type X.
type codec[X any] struct {
	typ    reflect.Type
	raw    bool // X is the JSON itself
	null   bool // null is an X
	schema *schema.Schema
}

func codecOf[X any](validate bool) (*codec[X], error) {
	c := &codec[X]{typ: reflect.TypeFor[X]()}
	if err := c.refuse(); err != nil {
		return nil, err
	}
	switch any(*new(X)).(type) {
	case []byte, json.RawMessage:
		c.raw = true
	}
	switch c.typ.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		c.null = true
	}
	if !validate {
		return c, nil
	}
	if c.raw || c.typ.Kind() == reflect.Interface {
		return nil, fmt.Errorf("option Validate has nothing to check in %v: take a struct", c.typ)
	}
	var err error
	if c.schema, err = schema.For(c.typ); err != nil {
		return nil, fmt.Errorf("option Validate: %w", err)
	}
	return c, nil
}

// refuse says why data cannot be an X.
func (c *codec[X]) refuse() error {
	var x X
	_, isMessage := any(x).(carriesDelivery)
	_, wantsPointer := any(&x).(carriesDelivery)
	switch any(x).(type) {
	case Record:
		return errors.New("a record is handed on by its address: take a *bus.Record")
	case *Record:
		return errors.New("a bus.Message has its record in the field Record: its type argument is the type of the data")
	}
	switch kind := c.typ.Kind(); {
	case isMessage || wantsPointer:
		return fmt.Errorf("%v is no data: take a *bus.Message[X], X being the type of the data", c.typ)
	case kind == reflect.Interface && c.typ.NumMethod() > 0:
		return fmt.Errorf("JSON cannot be decoded into the interface %v: take a struct, or any", c.typ)
	}
	t := c.typ
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Pointer:
		return fmt.Errorf("JSON cannot be decoded into %v: take a struct", c.typ)
	}
	return nil
}

// decode decodes the data of e into x, which is not to be used after an error.
func (c *codec[X]) decode(e envelope.Envelope, x *X) error {
	switch {
	case e.Data == nil:
		return errors.New(`the value has no data: it should be an envelope, {"schema":"...","data":...}`)
	case c.raw:
		c.setRaw(e.Data, x)
		return nil
	case !c.null && string(e.Data) == "null":
		return fmt.Errorf("decode data into %v: it is null; a handler that takes a pointer gets nil then", c.typ)
	}
	if c.schema != nil {
		if err := c.check(e.Data); err != nil {
			return err
		}
	}
	if err := json.Unmarshal(e.Data, x); err != nil {
		return fmt.Errorf("decode data into %v: %w", c.typ, err)
	}
	return nil
}

// setRaw hands the JSON on as it is, a view into the record's value.
func (*codec[X]) setRaw(data []byte, x *X) {
	switch x := any(x).(type) {
	case *[]byte:
		*x = data
	case *json.RawMessage:
		*x = data
	}
}

// check validates data.
func (c *codec[X]) check(data []byte) error {
	err := c.schema.Check(data)
	if invalid, ok := errors.AsType[*schema.Invalid](err); ok {
		return newValidationError(c.typ.String(), invalid)
	}
	return err
}
