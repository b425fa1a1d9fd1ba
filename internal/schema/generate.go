package schema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/kafkaesk/kafkaesk/internal/jsonplan"
)

// The hooks by which a type shapes its own schema, as invopop knows them.
type (
	customizer    interface{ JSONSchema() *jsonschema.Schema }
	extender      interface{ JSONSchemaExtend(*jsonschema.Schema) }
	aliaser       interface{ JSONSchemaAlias() any }
	propertyAlias interface{ JSONSchemaProperty(name string) any }
)

var (
	customizerType    = reflect.TypeFor[customizer]()
	extenderType      = reflect.TypeFor[extender]()
	aliaserType       = reflect.TypeFor[aliaser]()
	propertyAliasType = reflect.TypeFor[propertyAlias]()
	marshalerType     = reflect.TypeFor[json.Marshaler]()
	textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()
	timeType          = reflect.TypeFor[time.Time]()
	numberType        = reflect.TypeFor[json.Number]()
)

// generator makes the schema document of one type. invopop reads the tags and knows the kinds; which fields a struct
// has and where types refer to each other is decided here, because invopop differs from encoding/json in both (hidden
// and embedded fields, marshalers, nil, equal names in two packages) and never returns from some recursive types. Every
// struct is therefore shown to it as a flat one without name, and every named struct inside as a reference.
type generator struct {
	reflector *jsonschema.Reflector
	defs      jsonschema.Definitions
	names     map[reflect.Type]string
	taken     map[string]bool
	flat      map[reflect.Type]bool // the flattened structs: invopop's to reflect
	queue     []reflect.Type        // named structs whose definition is still to be made
	open      map[reflect.Type]bool // named containers being made, true once they refer to themselves
	err       error                 // the first one: invopop's hooks cannot return it
}

// generate returns the schema document of t.
func generate(t reflect.Type) (doc []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // invopop's way to say that a type has no schema
			err = fmt.Errorf("making its JSON schema: %v", p)
		}
	}()
	if err := rejectEndlessTypes(t, map[reflect.Type]bool{}); err != nil {
		return nil, err
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	g := &generator{
		defs:  jsonschema.Definitions{},
		names: map[reflect.Type]string{},
		taken: map[string]bool{},
		flat:  map[reflect.Type]bool{},
		open:  map[reflect.Type]bool{},
	}
	g.reflector = &jsonschema.Reflector{Anonymous: true, AllowAdditionalProperties: true, Namer: g.name, Mapper: g.mapped}
	root := nullable(g.reflect(t), t)
	for len(g.queue) > 0 {
		next := g.queue[0]
		g.queue = g.queue[1:]
		g.defs[g.name(next)] = g.structure(next)
	}
	if g.err != nil {
		return nil, g.err
	}
	return g.document(t, root)
}

// document puts root and definitions together. The root's own definition moves to the top unless others refer to it.
func (g *generator) document(t reflect.Type, root *jsonschema.Schema) ([]byte, error) {
	name := g.names[t]
	if def := g.defs[name]; name != "" && def != nil && root.Ref == reference(name) {
		inside, err := json.Marshal(g.defs)
		if err != nil {
			return nil, err
		}
		if !strings.Contains(string(inside), strconv.Quote(reference(name))) {
			delete(g.defs, name)
			root = def
		}
	}
	top := *root
	top.Version = jsonschema.Version
	top.Definitions = g.defs
	if base := jsonschema.ID("https://" + t.PkgPath()); base.Validate() == nil {
		top.ID = base.Add(jsonschema.ToSnakeCase(g.name(t)))
	}
	doc, err := json.Marshal(&top)
	if err != nil {
		return nil, err
	}
	return jsonplan.PlainText(doc), nil
}

// reflect returns the schema of a type by invopop, which asks mapped first.
func (g *generator) reflect(t reflect.Type) *jsonschema.Schema {
	s := *g.reflector.ReflectFromType(t)
	maps.Copy(g.defs, s.Definitions)
	s.Version, s.Definitions = "", nil
	return &s
}

// mapped decides the types that invopop must not: nil leaves one to it. Pointers and aliases have been followed. It
// returns a new schema each time, because tags are written into it.
func (g *generator) mapped(t reflect.Type) *jsonschema.Schema {
	marshals := reflect.PointerTo(t).Implements(marshalerType)
	switch {
	case t == timeType || g.flat[t] || t.Implements(customizerType):
		return nil
	case t == numberType:
		return &jsonschema.Schema{Type: "number"}
	case t.Implements(extenderType) && marshals && t.Kind() != reflect.Interface:
		s := &jsonschema.Schema{} // anything, and what the type has to say about it
		reflect.Zero(t).Interface().(extender).JSONSchemaExtend(s)
		return s
	case t.Implements(extenderType) && t.Kind() != reflect.Struct:
		return nil
	case t.Kind() == reflect.Interface || marshals:
		return &jsonschema.Schema{}
	case t.Implements(textMarshalerType):
		return &jsonschema.Schema{Type: "string"}
	case reflect.PointerTo(t).Implements(textMarshalerType): // a string only where the value is addressable
		return &jsonschema.Schema{}
	}
	switch t.Kind() {
	case reflect.Struct:
		if t.Name() == "" {
			return g.structure(t)
		}
		name := g.name(t)
		if g.defs[name] == nil {
			g.defs[name] = &jsonschema.Schema{} // its place, until the queue comes to it
			g.queue = append(g.queue, t)
		}
		return &jsonschema.Schema{Ref: reference(name)}
	case reflect.Slice, reflect.Array, reflect.Map:
		return g.container(t)
	default:
		return nil
	}
}

// structure returns the schema of a struct: invopop reflects a struct of the same fields that has no embedded ones and
// no name.
func (g *generator) structure(t reflect.Type) *jsonschema.Schema {
	if err := checkUnread(t); err != nil {
		g.fail(err)
	}
	fields := jsonplan.Fields(t)
	flat := make([]reflect.StructField, len(fields))
	for i, f := range fields {
		typ := f.Type
		if t.Implements(propertyAliasType) {
			if alias := reflect.Zero(t).Interface().(propertyAlias).JSONSchemaProperty(f.Name); alias != nil {
				typ = reflect.TypeOf(alias)
			}
		}
		fields[i].Type = typ
		if err := checkTag(f.Tag); err != nil {
			g.fail(fmt.Errorf("field %q of %s: %w", f.Name, t, err))
			fields[i].Tag, f.Tag = "", "" // invopop does not return from some of what is wrong
		}
		flat[i] = reflect.StructField{Name: "F" + strconv.Itoa(i), Type: typ, Tag: flatTag(&f)}
	}
	synthetic := reflect.StructOf(flat)
	g.flat[synthetic] = true
	s := g.reflect(synthetic)
	for _, f := range fields {
		property, ok := s.Properties.Get(f.Name)
		if !ok {
			continue
		}
		if err := checkEffect(f.Tag, property); err != nil {
			g.fail(fmt.Errorf("field %q of %s: %w", f.Name, t, err))
		}
		s.Properties.Set(f.Name, nullable(property, f.Type))
	}
	if t.Implements(extenderType) {
		reflect.Zero(t).Interface().(extender).JSONSchemaExtend(s)
	}
	return s
}

// flatTag writes the tags of a field so that invopop takes its name, and whether it is required, from there.
func flatTag(f *jsonplan.Field) reflect.StructTag {
	name := f.Name
	if f.MayBeAbsent() {
		name += ",omitempty"
	}
	if f.Quoted {
		name += ",string"
	}
	tag := "json:" + strconv.Quote(name)
	for _, key := range []string{"jsonschema", "jsonschema_extras", "jsonschema_description"} {
		if value, ok := f.Tag.Lookup(key); ok {
			tag += " " + key + ":" + strconv.Quote(value)
		}
	}
	return reflect.StructTag(tag)
}

// container returns the schema of a slice, array or map in place, so that a field's tags reach it, or as a reference if
// the type contains itself.
func (g *generator) container(t reflect.Type) *jsonschema.Schema {
	if t.Kind() == reflect.Slice && jsonplan.IsBytes(t) {
		return &jsonschema.Schema{Type: "string", ContentEncoding: "base64"}
	}
	if t.Name() != "" {
		if _, inside := g.open[t]; inside {
			g.open[t] = true
			return &jsonschema.Schema{Ref: reference(g.name(t))}
		}
		g.open[t] = false
		defer delete(g.open, t)
	}
	s := &jsonschema.Schema{}
	element := g.reflect(t.Elem())
	switch t.Kind() {
	case reflect.Map:
		s.Type = "object"
		if !reflect.DeepEqual(element, &jsonschema.Schema{}) {
			s.AdditionalProperties = element
		}
	case reflect.Array:
		n := uint64(t.Len())
		s.MinItems, s.MaxItems = &n, &n
		fallthrough
	default:
		s.Type, s.Items = "array", element
	}
	if !g.open[t] {
		return s
	}
	nullableInside(s, t)
	g.defs[g.name(t)] = s
	return &jsonschema.Schema{Ref: reference(g.name(t))}
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9]+`)

// name returns the name of a type's definition: its own, or if another type has that, with its package's name.
// Predeclared types and types without name have none.
func (g *generator) name(t reflect.Type) string {
	if t.Name() == "" || t.PkgPath() == "" {
		return ""
	}
	if name := g.names[t]; name != "" {
		return name
	}
	own, arguments, _ := strings.Cut(t.Name(), "[")
	for argument := range strings.SplitSeq(strings.TrimSuffix(arguments, "]"), ",") {
		own += "_" + argument[strings.LastIndexByte(argument, '/')+1:]
	}
	name := strings.Trim(notInName.ReplaceAllString(own, "_"), "_")
	if g.taken[name] {
		name = notInName.ReplaceAllString(t.PkgPath()[strings.LastIndexByte(t.PkgPath(), '/')+1:], "_") + "_" + name
	}
	for unique, n := name, 2; ; n++ {
		if !g.taken[unique] {
			g.taken[unique], g.names[t] = true, unique
			return unique
		}
		unique = name + "_" + strconv.Itoa(n)
	}
}

func (g *generator) fail(err error) {
	if g.err == nil {
		g.err = err
	}
}

func reference(name string) string { return "#/$defs/" + name }
