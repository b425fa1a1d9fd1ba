package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/near"
)

// schemasAt says where schemas stand in the value of a keyword; 0: nowhere.
type schemasAt int

const (
	oneSchema schemasAt = 1 << iota
	listOfSchemas
	mapOfSchemas
)

// keywords returns those of JSON Schema's drafts and OpenAPI's annotations.
func keywords() map[string]schemasAt {
	all := map[string]schemasAt{
		"additionalItems": oneSchema, "unevaluatedItems": oneSchema, "contains": oneSchema, "additionalProperties": oneSchema,
		"unevaluatedProperties": oneSchema, "propertyNames": oneSchema, "if": oneSchema, "then": oneSchema, "else": oneSchema,
		"not": oneSchema, "contentSchema": oneSchema,
		"items":       oneSchema | listOfSchemas,
		"prefixItems": listOfSchemas, "allOf": listOfSchemas, "anyOf": listOfSchemas, "oneOf": listOfSchemas,
		"$defs": mapOfSchemas, "definitions": mapOfSchemas, "properties": mapOfSchemas, "patternProperties": mapOfSchemas,
		"dependentSchemas": mapOfSchemas, "dependencies": mapOfSchemas,
	}
	for _, name := range strings.Fields(`$schema $id id $ref $anchor $dynamicRef $dynamicAnchor $recursiveRef
		$recursiveAnchor $vocabulary $comment title description default examples readOnly writeOnly deprecated type enum
		const multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength pattern maxItems minItems
		uniqueItems maxContains minContains maxProperties minProperties required dependentRequired format
		contentEncoding contentMediaType example nullable discriminator xml externalDocs`) {
		all[name] = 0
	}
	return all
}

// checkKeywords returns which keyword of a supplied document is misspelt. JSON Schema lets a document have keywords of
// its own, which check nothing: what is refused is only what differs from a known keyword by its case, one letter, or
// two that are swapped.
func checkKeywords(document any) error {
	c := keywordCheck{known: keywords()}
	c.schema("#", document)
	return c.err
}

type keywordCheck struct {
	known map[string]schemasAt
	err   error // the first that was found
}

// schema checks the schema at a JSON pointer of the document. A schema that is not an object has no keywords.
func (c *keywordCheck) schema(pointer string, schema any) {
	members, _ := schema.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if c.err != nil {
			return
		}
		in, known := c.known[name]
		if !known {
			c.err = c.misspelt(pointer, name)
			continue
		}
		value, inside := members[name], pointer+"/"+name
		if in&oneSchema != 0 {
			c.schema(inside, value)
		}
		if list, ok := value.([]any); ok && in&listOfSchemas != 0 {
			for i, s := range list {
				c.schema(fmt.Sprintf("%s/%d", inside, i), s)
			}
		}
		if named, ok := value.(map[string]any); ok && in&mapOfSchemas != 0 {
			for _, key := range slices.Sorted(maps.Keys(named)) {
				c.schema(inside+"/"+key, named[key])
			}
		}
	}
}

// misspelt returns an error if an unknown keyword is nearly a known one.
func (c *keywordCheck) misspelt(pointer, name string) error {
	for known := range c.known {
		if len(known) >= 4 && nearly(strings.ToLower(name), strings.ToLower(known)) {
			return fmt.Errorf("the schema at %.200q has an unknown keyword %q%s", pointer, name,
				near.DidYouMean(name, maps.Keys(c.known)))
		}
	}
	return nil
}

// nearly reports whether two names differ by one letter at most, or by the order of two.
func nearly(a, b string) bool {
	switch near.Distance(a, b) {
	case 0, 1:
		return true
	case 2:
		return slices.Equal(slices.Sorted(strings.SplitSeq(a, "")), slices.Sorted(strings.SplitSeq(b, "")))
	}
	return false
}
