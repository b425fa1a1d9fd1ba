package asyncapi

import (
	"fmt"
	"slices"
	"strings"
)

// schemas moves the schema of a message into the components of the document, where references are to the document's
// root.
type schemas struct {
	prefix     string // the message's key
	components map[string]any
}

func schemaRef(key string) map[string]any {
	return map[string]any{"$ref": "#/components/schemas/" + key}
}

// add puts a schema, and those of its $defs, into the components.
func (s schemas) add(key string, root any) {
	object, ok := root.(map[string]any)
	switch {
	case root == true: // AsyncAPI takes these two inside of a schema only
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

// definition returns the key of a member of $defs: another one for each name.
func (s schemas) definition(name string) string {
	return s.prefix + "." + notInKeys.ReplaceAllStringFunc(name, func(c string) string { return fmt.Sprintf("-%x", c) })
}

// verbatim are keywords whose value is data, and no schema.
var verbatim = []string{"const", "enum", "default", "examples", "required"}

// named are keywords whose members are schemas by names of the user's choice.
var named = []string{"properties", "patternProperties", "dependentSchemas"}

// moved returns a schema as it is written at its new place: without what only a document's root has, and with its
// references to where their targets are now.
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

// reference returns where a reference within the schema's document leads to in the new one.
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
