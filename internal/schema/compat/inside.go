package compat

import (
	"maps"
	"regexp"
	"slices"
)

// items returns why items of the writer's arrays may not be what the reader wants of them.
func (c *comparison) items(field string, w conjunction, r object) []Problem {
	first := len(prefix(r))
	for _, part := range w.parts {
		first = max(first, len(prefix(part)))
	}
	var found []Problem
	for i := range first + 1 { // the last one stands for all behind
		own := w.item(i)
		if own.never || w.endsBefore(i) {
			continue
		}
		found = append(found, c.compareMembers(field+"[]", own, itemOf(r, i))...)
	}
	return unique(found)
}

// members is what a schema says of an item or a property: several schemas that all count.
type members struct {
	schemas []any
	never   bool
}

func (c *comparison) compareMembers(field string, w members, r any) []Problem {
	if r == nil || w.never {
		return nil
	}
	writer := conjunction{}
	for _, s := range w.schemas {
		more, err := c.writer.flatten(s)
		if err != nil {
			return []Problem{c.problem(field, "$ref", "cannot be told: "+err.Error(), "cannot be compared")}
		}
		writer = writer.and(more)
	}
	reader, err := c.reader.flatten(r)
	if err != nil {
		return []Problem{c.problem(field, "$ref", "may be anything", "cannot be told: "+err.Error())}
	}
	return c.acceptsAll(field, writer, reader)
}

func prefix(part object) []any {
	p, _ := part["prefixItems"].([]any)
	return p
}

// itemOf returns the schema of an item; nil for none.
func itemOf(part object, i int) any {
	if p := prefix(part); i < len(p) {
		return p[i]
	}
	return part["items"]
}

func (c conjunction) item(i int) members {
	var all members
	for _, part := range c.parts {
		if s := itemOf(part, i); s != nil {
			all.schemas = append(all.schemas, s)
		}
	}
	return all
}

// endsBefore reports whether the schema's arrays have no item i.
func (c conjunction) endsBefore(i int) bool {
	l := c.limitOf(itemCounts(), -1)
	return l.value != nil && l.value.IsInt() && l.value.Num().IsInt64() && l.value.Num().Int64() <= int64(i)
}

func names(value any) []string {
	list, _ := value.([]any)
	var all []string
	for _, name := range list {
		if s, ok := name.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

func (c conjunction) requires(name string) bool {
	return slices.ContainsFunc(c.parts, func(part object) bool { return slices.Contains(names(part["required"]), name) })
}

func (c *comparison) required(field string, w conjunction, value any) []Problem {
	var found []Problem
	for _, name := range names(value) {
		if !w.requires(name) {
			found = append(found, c.problem(join(field, name), "required", "may lack it", "requires it"))
		}
	}
	return found
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

// properties returns why properties that the writer's schema names, or describes by a pattern or as additional ones,
// may not be what the reader wants of them.
func (c *comparison) properties(field string, w conjunction, r object) []Problem {
	var found []Problem
	for _, name := range w.propertyNames(r) {
		own, isWritten := w.property(name)
		if !isWritten || own.never {
			continue
		}
		wanted := propertyOf(r, name)
		for _, s := range wanted {
			if s == false {
				found = append(found, c.problem(join(field, name), "additionalProperties", "may have it",
					"allows no such property"))
				continue
			}
			found = append(found, c.compareMembers(join(field, name), own, s)...)
		}
	}
	// Names that only a pattern or additionalProperties of the writer allows may be any of the reader's.
	for _, own := range w.open() {
		for _, keyword := range []string{"additionalProperties", "patternProperties"} {
			found = append(found, c.openProperties(field, own, r, keyword)...)
		}
	}
	return found
}

// openProperties compares what the writer's schema says of properties without a name.
func (c *comparison) openProperties(field string, own any, r object, keyword string) []Problem {
	w := members{schemas: []any{own}}
	switch value := r[keyword].(type) {
	case nil:
		return nil
	case bool:
		if value {
			return nil
		}
		return []Problem{c.problem(join(field, "*"), keyword, "may have further properties", "allows none")}
	case map[string]any:
		if keyword == "additionalProperties" {
			return c.compareMembers(join(field, "*"), w, value)
		}
		var found []Problem
		for _, pattern := range slices.Sorted(maps.Keys(value)) {
			found = append(found, c.compareMembers(join(field, "*"), w, value[pattern])...)
		}
		return found
	}
	return nil
}

// open returns what the schema says of properties that it does not name. One that says nothing of them has none.
func (c conjunction) open() []any {
	var all []any
	for _, part := range c.parts {
		if additional, ok := part["additionalProperties"].(map[string]any); ok {
			all = append(all, additional)
		}
		patterns, _ := part["patternProperties"].(map[string]any)
		for _, pattern := range slices.Sorted(maps.Keys(patterns)) {
			if patterns[pattern] != false {
				all = append(all, patterns[pattern])
			}
		}
	}
	return all
}

// propertyNames returns the names that either schema has.
func (c conjunction) propertyNames(r object) []string {
	all := make(map[string]bool)
	for _, part := range append([]object{r}, c.parts...) {
		properties, _ := part["properties"].(map[string]any)
		for name := range properties {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// property returns what the schema says of a property, and whether its data has it at all.
func (c conjunction) property(name string) (all members, isWritten bool) {
	for _, part := range c.parts {
		properties, _ := part["properties"].(map[string]any)
		_, named := properties[name]
		for _, s := range propertyOf(part, name) {
			all.never = all.never || s == false
			all.schemas = append(all.schemas, s)
		}
		_, additional := part["additionalProperties"].(map[string]any)
		isWritten = isWritten || named || matchesAny(part, name) || additional
	}
	return all, isWritten || c.requires(name)
}

// propertyOf returns the schemas that a part has for a property.
func propertyOf(part object, name string) []any {
	var all []any
	properties, _ := part["properties"].(map[string]any)
	own, named := properties[name]
	if named {
		all = append(all, own)
	}
	patterns, _ := part["patternProperties"].(map[string]any)
	for _, pattern := range slices.Sorted(maps.Keys(patterns)) {
		if matches(pattern, name) {
			all = append(all, patterns[pattern])
			named = true
		}
	}
	if additional, ok := part["additionalProperties"]; ok && !named {
		all = append(all, additional)
	}
	return all
}

func matchesAny(part object, name string) bool {
	patterns, _ := part["patternProperties"].(map[string]any)
	return slices.ContainsFunc(slices.Collect(maps.Keys(patterns)), func(pattern string) bool {
		return matches(pattern, name)
	})
}

func matches(pattern, name string) bool {
	re, err := regexp.Compile(pattern)
	return err == nil && re.MatchString(name)
}
