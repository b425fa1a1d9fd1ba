package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"

	"github.com/kafkaesk/kafkaesk/internal/envelope"
	"github.com/kafkaesk/kafkaesk/internal/jsonplan"
	"github.com/kafkaesk/kafkaesk/internal/schema"
)

// decoderOf returns what makes a handler's argument out of a record, or says why there can be no argument of that type.
// The decoder may be called concurrently.
//
// []byte is the record's value as it is, *Record the record, map[string]any the value decoded, *Message all of it; any
// other T is the envelope's data. With validate, data is checked against the JSON Schema of its Go type.
//
// Integers beyond 2^53 lose digits in a map[string]any, as they do everywhere in Go: its numbers are float64. Take a
// struct, or json.RawMessage, where they matter.
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
		return nil, notData(reflect.TypeFor[T]())
	}
	return decode.(func(*Record) (T, error)), nil
}

func notData(t reflect.Type) error {
	return fmt.Errorf("option Validate checks data, and %v is not data: take a struct, or a *bus.Message of one", t)
}

// elementDecoder is decoderOf for the elements of a batch's slice, of which only the type is known.
func elementDecoder(t reflect.Type, validate bool) (func(r *Record, element reflect.Value) error, error) {
	var decode func(r *Record, element reflect.Value) error
	switch zero := reflect.Zero(t).Interface().(type) {
	case elementsDecode:
		return zero.elementDecoder(validate)
	case []byte:
		decode = func(r *Record, element reflect.Value) error {
			element.SetBytes(r.Value)
			return nil
		}
	case *Record:
		decode = func(r *Record, element reflect.Value) error {
			element.Set(reflect.ValueOf(r))
			return nil
		}
	case map[string]any:
		decode = func(r *Record, element reflect.Value) error {
			m, err := wholeMessage(r)
			if err == nil {
				element.Set(reflect.ValueOf(m))
			}
			return err
		}
	default:
		c, err := codecOf(t, validate)
		if err != nil {
			return nil, err
		}
		return func(r *Record, element reflect.Value) error {
			_, err := c.decode(r, element.Addr().Interface())
			return err
		}, nil
	}
	if validate {
		return nil, notData(t)
	}
	return decode, nil
}

// ValueDecoder is a type that decodes the whole value of a record itself, instead of its data by encoding/json.
// logrecord.Record is one, because log records of several programs have fields of several types. A handler takes it,
// a pointer to it, or a *[Message] of either. The value is a JSON object, which may have no data. It must not be
// changed, and what is decoded may point into it. A record whose DecodeValue returns an error is rejected. [Validate]
// cannot check such a type.
type ValueDecoder interface {
	DecodeValue(value []byte) error
}

var valueDecoderType = reflect.TypeFor[ValueDecoder]()

// decodes is a type that knows how to be decoded: *Message, whose X decoderOf cannot name.
type decodes[T any] interface {
	decoder(validate bool) (func(*Record) (T, error), error)
}

// elementsDecode is *Message, as an element of a batch.
type elementsDecode interface {
	elementDecoder(validate bool) (func(r *Record, element reflect.Value) error, error)
}

func (m *Message[X]) elementDecoder(validate bool) (func(*Record, reflect.Value) error, error) {
	decode, err := m.decoder(validate)
	return func(r *Record, element reflect.Value) error {
		m, err := decode(r)
		if err == nil {
			element.Set(reflect.ValueOf(m))
		}
		return err
	}, err
}

// decoder is called on a nil *Message.
func (*Message[X]) decoder(validate bool) (func(*Record) (*Message[X], error), error) {
	c, err := codecOf(reflect.TypeFor[X](), validate)
	if err != nil {
		return nil, err
	}
	var names lastName
	return func(r *Record) (*Message[X], error) {
		m := &Message[X]{Record: r}
		e, err := c.decode(r, &m.Data)
		if err != nil {
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
	if err := unmarshal(r.Value, &m); err != nil {
		return nil, fmt.Errorf("decode the value: %w", err)
	}
	return m, nil
}

func dataDecoder[T any](validate bool) (func(*Record) (T, error), error) {
	c, err := codecOf(reflect.TypeFor[T](), validate)
	if err != nil {
		return nil, err
	}
	return func(r *Record) (T, error) {
		var data, none T
		if _, err := c.decode(r, &data); err != nil {
			return none, err
		}
		return data, nil
	}, nil
}

// codec decodes the data of envelopes into values of one type.
type codec struct {
	typ    reflect.Type
	raw    bool // the type is the JSON itself
	itself bool // the type, or what it points to, is a ValueDecoder
	null   bool // null is a value of the type
	schema *schema.Schema
}

func codecOf(typ reflect.Type, validate bool) (*codec, error) {
	c := &codec{typ: typ, raw: typ == reflect.TypeFor[[]byte]() || typ == reflect.TypeFor[json.RawMessage]()}
	if err := c.refuse(); err != nil {
		return nil, err
	}
	c.itself = c.typ.Implements(valueDecoderType) || reflect.PointerTo(c.typ).Implements(valueDecoderType)
	switch c.typ.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		c.null = true
	}
	if !validate {
		return c, nil
	}
	if c.raw || c.itself || c.typ.Kind() == reflect.Interface {
		return nil, fmt.Errorf("option Validate has nothing to check in %v: take a struct", c.typ)
	}
	var err error
	if c.schema, err = schema.For(c.typ); err != nil {
		return nil, fmt.Errorf("option Validate: %w", err)
	}
	return c, nil
}

var anyMessageType = reflect.TypeFor[anyMessage]()

// refuse says why data cannot be of the codec's type.
func (c *codec) refuse() error {
	switch c.typ {
	case reflect.TypeFor[Record]():
		return errors.New("a record is handed on by its address: take a *bus.Record")
	case reflect.TypeFor[*Record]():
		return errors.New("a bus.Message has its record in the field Record: its type argument is the type of the data")
	}
	switch kind := c.typ.Kind(); {
	case c.typ.Implements(anyMessageType) || reflect.PointerTo(c.typ).Implements(anyMessageType):
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

// decode decodes the data of a record into what x, a pointer to the codec's type, points to. That is not to be used
// after an error. A tombstone, which has no envelope, is a nil pointer where the type is one, as null is.
func (c *codec) decode(r *Record, x any) (envelope.Envelope, error) {
	if r.Value == nil && c.typ.Kind() == reflect.Pointer {
		return envelope.Envelope{}, nil
	}
	e, err := envelope.Parse(r.Value)
	if err != nil {
		return e, err
	}
	switch null := string(e.Data) == "null"; {
	case c.itself && !null:
		return e, c.decodeItself(r.Value, x)
	case e.Data == nil:
		return e, errors.New(`the value has no data: it should be an envelope, {"schema":"...","data":...}`)
	case c.raw:
		setRaw(e.Data, x)
		return e, nil
	case null && !c.null:
		return e, fmt.Errorf("decode data into %v: it is null; a handler that takes a pointer gets nil then", c.typ)
	case null && c.typ.Kind() == reflect.Pointer:
		return e, nil
	}
	err = c.decodeData(e.Data, x)
	if err == nil {
		return e, nil
	}
	// Other languages write some values as encoding/json does not take them. They are looked for only now: mostly there
	// are none.
	adapted, changed := jsonplan.Adapt(c.typ, e.Data)
	if !changed {
		return e, err
	}
	reflect.ValueOf(x).Elem().SetZero() // what was decoded before the error must not stay
	return e, c.decodeData(adapted, x)
}

// decodeData validates data, if that is asked for, and decodes it.
func (c *codec) decodeData(data []byte, x any) error {
	if c.schema != nil {
		if err := c.check(data); err != nil {
			return err
		}
	}
	if err := unmarshal(data, x); err != nil {
		if c.typ.Kind() == reflect.Slice && data[0] == '{' {
			return fmt.Errorf("decode data into %v: %w (a handler of many records at once needs the option bus.Batch)", c.typ,
				err)
		}
		return fmt.Errorf("decode data into %v: %w", c.typ, err)
	}
	return nil
}

// unmarshal is json.Unmarshal with an error of bounded length: encoding/json repeats a number that it cannot decode,
// however many digits the record gives it, and the path to it, however deep the record goes into a recursive type.
func unmarshal(data []byte, x any) error {
	err := json.Unmarshal(data, x)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		wrong.Value, wrong.Field = shortened(wrong.Value, 100), shortened(wrong.Field, 300)
	}
	return err
}

// shortened returns the text, or of one that is longer than most bytes the beginning.
func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// decodeItself has x, or a new value that it then points to, decode the whole value.
func (c *codec) decodeItself(value []byte, x any) error {
	d, ok := x.(ValueDecoder)
	if !ok { // x is a pointer to a pointer
		made := reflect.New(c.typ.Elem())
		reflect.ValueOf(x).Elem().Set(made)
		d = made.Interface().(ValueDecoder)
	}
	if err := d.DecodeValue(value); err != nil {
		return fmt.Errorf("decode the value into %v: %w", c.typ, err)
	}
	return nil
}

// setRaw hands the JSON on as it is, a view into the record's value.
func setRaw(data []byte, x any) {
	switch x := x.(type) {
	case *[]byte:
		*x = data
	case *json.RawMessage:
		*x = data
	}
}

// check validates data.
func (c *codec) check(data []byte) error {
	err := c.schema.CheckExact(data)
	if invalid, ok := errors.AsType[*schema.Invalid](err); ok {
		return newValidationError(c.typ.String(), invalid)
	}
	return err
}

// Decode returns what a handler of T would get for the record: see [Subscribe]. It is for records of [App.Tail], and
// for middleware. A *Message that it returns can neither Forward nor Commit. T has to be a type that Subscribe takes.
// Errors name the record and say what is wrong with it.
func Decode[T any](r *Record) (T, error) {
	var none T
	if r == nil {
		return none, errors.New("bus: decode: the record is nil")
	}
	decode, err := decoderOf[T](false)
	if err != nil {
		return none, fmt.Errorf("bus: decode: %w", err)
	}
	v, err := decode(r)
	if err != nil {
		return none, fmt.Errorf("bus: decode %s: %w", where(r), err)
	}
	return v, nil
}
