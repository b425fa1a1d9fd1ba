package schema

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

// jsonField is one member of the object that encoding/json writes for a struct.
type jsonField struct {
	name      string
	index     path
	typ       reflect.Type
	tag       reflect.StructTag
	tagged    bool // the name is from the tag
	omitEmpty bool
	omitZero  bool
	quoted    bool // the string option, on a type that it applies to
	indirect  bool // reached through an embedded pointer: absent when that is nil
}

// mayBeAbsent tells whether some value of the struct is written without this field.
func (f *jsonField) mayBeAbsent() bool { return f.omitEmpty || f.omitZero || f.indirect }

// path leads from a struct to a field of it or of the structs embedded in it, as reflect.Value.FieldByIndex takes it.
type path []int

// from returns the field of the struct v. It is not there when an embedded pointer on the way is nil.
func (p path) from(v reflect.Value) (field reflect.Value, there bool) {
	for _, at := range p {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(at)
	}
	return v, true
}

// fieldsOf lists the fields of a struct type by encoding/json's rules, in the order in which it writes them: embedded structs are
// dissolved, a shallower field hides a deeper one of the same name, then a tagged one an untagged one, and if two are left neither
// is written.
func fieldsOf(t reflect.Type) []jsonField {
	type level struct {
		typ      reflect.Type
		index    []int
		indirect bool
	}
	var all []jsonField
	visited := map[reflect.Type]bool{}
	next := []level{{typ: t}}
	nextCount := map[reflect.Type]int{}
	for len(next) > 0 {
		current, count := next, nextCount
		next, nextCount = nil, map[reflect.Type]int{}
		for _, at := range current {
			if visited[at.typ] {
				continue
			}
			visited[at.typ] = true
			for i := range at.typ.NumField() {
				sf := at.typ.Field(i)
				f, inner, ok := describe(sf)
				if !ok {
					continue
				}
				index := append(slices.Clip(slices.Clone(at.index)), i)
				if inner != nil {
					nextCount[inner]++
					if nextCount[inner] == 1 {
						next = append(next, level{inner, index, at.indirect || sf.Type.Kind() == reflect.Pointer})
					}
					continue
				}
				f.index, f.indirect = index, at.indirect
				all = append(all, f)
				if count[at.typ] > 1 { // embedded twice at this depth: a second entry makes the two hide each other
					all = append(all, f)
				}
			}
		}
	}
	return visible(all)
}

// describe reads one struct field. inner is set instead for an embedded struct that is dissolved, ok is false for a field that is
// not written.
func describe(sf reflect.StructField) (f jsonField, inner reflect.Type, ok bool) {
	ft := sf.Type
	if ft.Name() == "" && ft.Kind() == reflect.Pointer {
		ft = ft.Elem()
	}
	if sf.Anonymous {
		if !sf.IsExported() && ft.Kind() != reflect.Struct {
			return f, nil, false
		}
	} else if !sf.IsExported() {
		return f, nil, false
	}
	tag := sf.Tag.Get("json")
	if tag == "-" {
		return f, nil, false
	}
	name, rest, _ := strings.Cut(tag, ",")
	if !validName(name) {
		name = ""
	}
	if name == "" && sf.Anonymous && ft.Kind() == reflect.Struct {
		return f, ft, true
	}
	options := strings.Split(rest, ",")
	f = jsonField{
		name:      name,
		tagged:    name != "",
		typ:       sf.Type,
		tag:       sf.Tag,
		omitEmpty: slices.Contains(options, "omitempty"),
		omitZero:  slices.Contains(options, "omitzero"),
		quoted:    slices.Contains(options, "string") && quotable(ft.Kind()),
	}
	if name == "" {
		f.name = sf.Name
	}
	return f, nil, true
}

// visible drops what Go's rules for embedded fields hide.
func visible(all []jsonField) []jsonField {
	slices.SortStableFunc(all, func(a, b jsonField) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		if c := cmp.Compare(len(a.index), len(b.index)); c != 0 {
			return c
		}
		if a.tagged != b.tagged {
			if a.tagged {
				return -1
			}
			return 1
		}
		return slices.Compare(a.index, b.index)
	})
	var kept []jsonField
	for i := 0; i < len(all); {
		end := i + 1
		for end < len(all) && all[end].name == all[i].name {
			end++
		}
		if end == i+1 || len(all[i].index) != len(all[i+1].index) || all[i].tagged != all[i+1].tagged {
			kept = append(kept, all[i])
		}
		i = end
	}
	slices.SortFunc(kept, func(a, b jsonField) int { return slices.Compare(a.index, b.index) })
	return kept
}

// validName tells whether encoding/json takes a tag's text as a name.
func validName(name string) bool {
	if name == "" {
		return false
	}
	for _, c := range name {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return false
		}
	}
	return true
}

func quotable(k reflect.Kind) bool {
	return k >= reflect.Bool && k <= reflect.Float64 || k == reflect.String
}

var isZeroerType = reflect.TypeFor[interface{ IsZero() bool }]()

// absent returns what tells whether encoding/json leaves a field out for its value, nil when it is always written. known is false when
// an IsZero method decides that, other than time.Time's.
func absent(f jsonField) (skip func(reflect.Value) bool, known bool) {
	if f.omitEmpty {
		skip = empty(f.typ.Kind())
	}
	if !f.omitZero {
		return skip, true
	}
	zero := reflect.Value.IsZero
	if f.typ == timeType {
		zero = zeroTime
	} else if f.typ.Implements(isZeroerType) || reflect.PointerTo(f.typ).Implements(isZeroerType) {
		return nil, false
	}
	if skip == nil {
		return zero, true
	}
	isEmpty := skip
	return func(v reflect.Value) bool { return isEmpty(v) || zero(v) }, true
}

// zeroTime asks the time itself: it may have a zone and be zero all the same.
func zeroTime(v reflect.Value) bool {
	if !v.CanInterface() {
		return false
	}
	t, _ := reflect.TypeAssert[time.Time](v)
	return t.IsZero()
}

// empty returns what omitempty means to encoding/json for a kind, nil where it means nothing.
func empty(k reflect.Kind) func(reflect.Value) bool {
	switch k {
	case reflect.String:
		return func(v reflect.Value) bool { return v.String() == "" }
	case reflect.Array, reflect.Map, reflect.Slice:
		return func(v reflect.Value) bool { return v.Len() == 0 }
	case reflect.Pointer, reflect.Interface:
		return reflect.Value.IsNil
	}
	if k >= reflect.Bool && k <= reflect.Float64 {
		return reflect.Value.IsZero
	}
	return nil
}
