// Package rule checks JSON, as bytes, against a compiled JSON Schema.
//
// The result is that of github.com/santhosh-tekuri/jsonschema/v5, whose compiler reads the schema. Most keywords are
// checked here, in time that grows with the bytes and whatever their shape; what is beyond them goes to v5, for the
// part of the value that needs it. An object in which a declared property comes twice is refused: readers do not agree
// on which one counts.
package rule

import (
	"math/big"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// Rule is one node of a schema. A nil Rule allows everything. It does not change, and may be used by several
// goroutines.
type Rule struct {
	// Types are the JSON types that the node allows, 0 for all.
	Types Type
	// Never allows nothing.
	Never bool
	// Choices are enum and const: each is a set of values in canonical form, of which the value must be one.
	Choices []Choice
	// Format is v5's check of the format, nil where v5 has none of that name.
	Format     func(any) bool
	FormatName string

	MinProperties, MaxProperties int // -1: none
	Required                     []string
	Properties                   map[string]*Property
	// Additional is for the properties that are not declared.
	Additional *Rule

	MinItems, MaxItems int // -1: none
	Unique             bool
	Items              *Rule

	MinLength, MaxLength int // -1: none
	Pattern              *Pattern

	Minimum, Maximum, ExclusiveMinimum, ExclusiveMaximum *Limit
	MultipleOf                                           *big.Rat

	// Ref applies to the same value.
	Ref *Rule
	// Otherwise applies to the same value unless it is null: anyOf or oneOf have it beside {"type": "null"}. NullTwice
	// tells that it is oneOf, and that Otherwise allows null too, so that null is refused.
	Otherwise *Rule
	NullTwice bool

	// Delegated is the keyword for which v5 checks the value; "": v5 does not check it.
	Delegated string
	schema    *jsonschema.Schema

	doc      any // the node in the schema's document, for messages
	document any
	folded   map[string]string
}

// Property is a declared property of an object.
type Property struct {
	*Rule
	index int
	extra bool // it is required and not declared
}

// Choice is a set of values in canonical form.
type Choice struct {
	keyword string
	Values  map[string]bool
}

// Has reports whether the value in canonical form is one of the choice.
func (c Choice) Has(canonical []byte) bool { return c.Values[string(canonical)] }

// Limit is a number that a keyword compares with.
type Limit struct {
	rawjson.Decimal
	Rat *big.Rat
}

// Type is a set of JSON types.
type Type uint8

// The JSON types. An integer is a number too: Number includes it.
const (
	Null Type = 1 << iota
	Boolean
	Integer
	fraction
	String
	Array
	Object
	Number = Integer | fraction
)

var types = map[string]Type{"null": Null, "boolean": Boolean, "integer": Integer, "number": Number, "string": String,
	"array": Array, "object": Object}

// Allows reports whether the node's own type keyword allows all values of that type.
func (r *Rule) Allows(t Type) bool { return r.Types == 0 || r.Types&t == t }

// typeOf returns the type of the value that starts at i. It tells integers from fractions only where asked to.
func typeOf(b []byte, i int) Type {
	switch b[i] {
	case '"':
		return String
	case '{':
		return Object
	case '[':
		return Array
	case 't', 'f':
		return Boolean
	case 'n':
		return Null
	default:
		return Number
	}
}
