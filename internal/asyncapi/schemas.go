package asyncapi

import (
	"fmt"
	"slices"
	"strings"
)

// schemas moves the schema of a message into the components of the document and rewrites its references, which are
// relative to the document's root there.
type schemas struct {
	prefix     string // the message's key
	components map[string]any
}

func schemaRef(key string) map[string]any {
	return map[string]any{"$ref": "#/components/schemas/" + key}
}

// add stores a schema and its $defs in the components.
func (s schemas) add(key string, root any) {
	object, ok := root.(map[string]any)
	switch {
	case root == true: // AsyncAPI allows a boolean only inside a schema
		object = map[string]any{}
	case root == false:
		object = map[string]any{"not": map[string]any{}}
	case !ok:
		return
	}
	for _, keyword := range []string{"$defs", "definitions"} {
		defs, _ := object[keyword].(map[string]any)
		for name, def := range defs {
			s.add(s.definition(name), def)
		}
	}
	s.components[key] = s.moved(object)
}

// definition returns the component key of a member of $defs. Different names have different keys.
func (s schemas) definition(name string) string {
	return s.prefix + "." + notInKeys.ReplaceAllStringFunc(name, func(c string) string { return fmt.Sprintf("-%x", c) })
}

// verbatim lists the keywords whose value is data and not a schema.
var verbatim = []string{"const", "enum", "default", "examples", "required"}

// named lists the keywords whose members are schemas under names that the user chose.
var named = []string{"properties", "patternProperties", "dependentSchemas"}

// moved returns a copy of a schema for the components: without the keywords that only a root schema has, and with its
// references rewritten.
func (s schemas) moved(schema any) any {
	switch schema := schema.(type) {
	case map[string]any:
		out := make(map[string]any, len(schema))
		for keyword, value := range schema {
			switch {
			case slices.Contains([]string{"$schema", "$id", "$defs", "definitions"}, keyword):
			case keyword == "$ref":
				out[keyword] = s.reference(value)
			case slices.Contains(verbatim, keyword):
				out[keyword] = value
			case slices.Contains(named, keyword):
				out[keyword] = s.members(value)
			default:
				out[keyword] = s.moved(value)
			}
		}
		return out
	case []any:
		out := make([]any, len(schema))
		for i, member := range schema {
			out[i] = s.moved(member)
		}
		return out
	}
	return schema
}

func (s schemas) members(value any) any {
	members, ok := value.(map[string]any)
	if !ok {
		return value
	}
	out := make(map[string]any, len(members))
	for name, member := range members {
		out[name] = s.moved(member)
	}
	return out
}

// reference returns the new target of a reference within the schema's document.
func (s schemas) reference(value any) any {
	target, ok := value.(string)
	if !ok || !strings.HasPrefix(target, "#") {
		return value
	}
	for _, defs := range []string{"#/$defs/", "#/definitions/"} {
		if rest, ok := strings.CutPrefix(target, defs); ok {
			name, below, _ := strings.Cut(rest, "/")
			if below != "" {
				below = "/" + below
			}
			name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
			return "#/components/schemas/" + s.definition(name) + below
		}
	}
	return "#/components/schemas/" + s.prefix + strings.TrimPrefix(target, "#")
}
