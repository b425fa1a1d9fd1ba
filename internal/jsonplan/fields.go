package jsonplan

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// Field is one member of the object that encoding/json writes for a struct.
type Field struct {
	Name      string
	Index     []int // as reflect.Value.FieldByIndex takes it
	Type      reflect.Type
	Tag       reflect.StructTag
	OmitEmpty bool
	OmitZero  bool
	Quoted    bool // the string option, on a type that it applies to
	Indirect  bool // reached through an embedded pointer: absent when that is nil
	tagged    bool // the name is from the tag
}

// MayBeAbsent reports whether some value of the struct is written without this field.
func (f *Field) MayBeAbsent() bool { return f.OmitEmpty || f.OmitZero || f.Indirect }

// Fields lists the fields of a struct type by encoding/json's rules, in the order in which it writes them: embedded
// structs are dissolved, a shallower field hides a deeper one of the same name, then a tagged one an untagged one, and
// if two are left neither is written.
func Fields(t reflect.Type) []Field {
	type level struct {
		typ      reflect.Type
		index    []int
		indirect bool
	}
	var all []Field
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
				f.Index, f.Indirect = index, at.indirect
				all = append(all, f)
				if count[at.typ] > 1 { // embedded twice at this depth: a second entry makes the two hide each other
					all = append(all, f)
				}
			}
		}
	}
	return visible(all)
}

// describe reads one struct field. inner is set instead for an embedded struct that is dissolved, ok is false for a
// field that is not written.
func describe(sf reflect.StructField) (f Field, inner reflect.Type, ok bool) {
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
	f = Field{
		Name:      name,
		tagged:    name != "",
		Type:      sf.Type,
		Tag:       sf.Tag,
		OmitEmpty: slices.Contains(options, "omitempty"),
		OmitZero:  slices.Contains(options, "omitzero"),
		Quoted:    slices.Contains(options, "string") && quotable(ft.Kind()),
	}
	if name == "" {
		f.Name = sf.Name
	}
	return f, nil, true
}

// visible drops what Go's rules for embedded fields hide.
func visible(all []Field) []Field {
	slices.SortStableFunc(all, func(a, b Field) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		if c := cmp.Compare(len(a.Index), len(b.Index)); c != 0 {
			return c
		}
		if a.tagged != b.tagged {
			if a.tagged {
				return -1
			}
			return 1
		}
		return slices.Compare(a.Index, b.Index)
	})
	var kept []Field
	for i := 0; i < len(all); {
		end := i + 1
		for end < len(all) && all[end].Name == all[i].Name {
			end++
		}
		if end == i+1 || len(all[i].Index) != len(all[i+1].Index) || all[i].tagged != all[i+1].tagged {
			kept = append(kept, all[i])
		}
		i = end
	}
	slices.SortFunc(kept, func(a, b Field) int { return slices.Compare(a.Index, b.Index) })
	return kept
}

// validName reports whether encoding/json takes a tag's text as a name.
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

var isZeroerType = reflect.TypeFor[isZeroer]()

type isZeroer interface{ IsZero() bool }

// absent returns what reports whether encoding/json leaves a field out for its value, nil when it is always written.
func absent(f Field) func(ptr) bool {
	var empty, zero func(ptr) bool
	if f.OmitEmpty {
		empty = isEmpty(f.Type)
	}
	if f.OmitZero {
		zero = isZero(f.Type)
	}
	switch {
	case zero == nil:
		return empty
	case empty == nil:
		return zero
	}
	return func(p ptr) bool { return empty(p) || zero(p) }
}

// isEmpty returns what omitempty means to encoding/json for a type, nil where it means nothing.
func isEmpty(t reflect.Type) func(ptr) bool {
	switch k := t.Kind(); {
	case k == reflect.String:
		return func(p ptr) bool { return get[string](p) == "" }
	case k == reflect.Slice:
		return func(p ptr) bool { return get[sliceHeader](p).len == 0 }
	case k == reflect.Map || k == reflect.Array:
		return func(p ptr) bool { return valueAt(t, p).Len() == 0 }
	case k == reflect.Pointer:
		return func(p ptr) bool { return get[ptr](p) == nil }
	case k >= reflect.Bool && k <= reflect.Float64:
		return isZeroNumber(t)
	case k == reflect.Interface:
		return func(p ptr) bool { return valueAt(t, p).IsZero() }
	}
	return nil
}

// isZeroNumber returns the test whether a bool or number is zero; minus zero is.
func isZeroNumber(t reflect.Type) func(ptr) bool {
	switch {
	case t.Kind() == reflect.Float64:
		return func(p ptr) bool { return get[float64](p) == 0 }
	case t.Kind() == reflect.Float32:
		return func(p ptr) bool { return get[float32](p) == 0 }
	case t.Size() == 8:
		return func(p ptr) bool { return get[uint64](p) == 0 }
	case t.Size() == 4:
		return func(p ptr) bool { return get[uint32](p) == 0 }
	case t.Size() == 2:
		return func(p ptr) bool { return get[uint16](p) == 0 }
	}
	return func(p ptr) bool { return get[uint8](p) == 0 }
}

// isZero returns what omitzero means to encoding/json for a type. A method that panics in a log record keeps its field,
// whose value will say so.
func isZero(t reflect.Type) func(ptr) bool {
	switch nilable := t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface; {
	case t.Implements(isZeroerType) && nilable:
		return func(p ptr) bool {
			v := valueAt(t, p)
			return v.IsNil() || v.Kind() == reflect.Interface && v.Elem().Kind() == reflect.Pointer && v.Elem().IsNil() ||
				v.Interface().(isZeroer).IsZero()
		}
	case !nilable && reflect.PointerTo(t).Implements(isZeroerType):
		return func(p ptr) bool { return reflect.NewAt(t, p).Interface().(isZeroer).IsZero() }
	}
	return func(p ptr) bool { return valueAt(t, p).IsZero() }
}
