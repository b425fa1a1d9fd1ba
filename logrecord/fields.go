package logrecord

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// field is one field of a struct as encoding/json sees it.
type field struct {
	name      string
	key       []byte // quoted, with its colon
	index     []int
	tagged    bool
	omitEmpty bool
	omitZero  bool
	quoted    bool // ,string
	typ       reflect.Type
}

// fieldsOf returns the fields that encoding/json writes for the struct type t, in its order: those of embedded structs
// belong to it, unless one that is less deep, or as deep and tagged, has the same name. Two equals hide each other.
func fieldsOf(t reflect.Type) []field {
	type level struct {
		typ   reflect.Type
		index []int
	}
	var all []field
	visited := map[reflect.Type]bool{}
	for now := []level{{typ: t}}; len(now) > 0; {
		var next []level
		count := map[reflect.Type]int{}
		for _, l := range now {
			count[l.typ]++
		}
		seen := map[reflect.Type]bool{}
		for _, l := range now {
			if visited[l.typ] || seen[l.typ] {
				continue
			}
			seen[l.typ] = true
			for i := range l.typ.NumField() {
				f, embedded, ok := fieldOf(l.typ.Field(i), l.index, i)
				switch {
				case !ok:
				case embedded:
					next = append(next, level{typ: f.typ, index: f.index})
				default:
					all = append(all, f)
					if count[l.typ] > 1 {
						all = append(all, f) // embedded twice at this level: it hides itself
					}
				}
			}
		}
		for _, l := range now {
			visited[l.typ] = true
		}
		now = next
	}
	return dominant(all)
}

// fieldOf reads one struct field. An embedded one is a struct whose fields belong to the struct around it.
func fieldOf(sf reflect.StructField, outer []int, i int) (f field, embedded, ok bool) {
	elem := sf.Type
	if elem.Kind() == reflect.Pointer && (elem.Name() == "" || sf.Anonymous) {
		elem = elem.Elem()
	}
	if sf.Anonymous {
		if !sf.IsExported() && elem.Kind() != reflect.Struct {
			return f, false, false
		}
	} else if !sf.IsExported() {
		return f, false, false
	}
	tag := sf.Tag.Get("json")
	if tag == "-" {
		return f, false, false
	}
	name, options, _ := strings.Cut(tag, ",")
	if !validName(name) {
		name = ""
	}
	f = field{name: name, tagged: name != "", typ: sf.Type, index: append(slices.Clone(outer), i)}
	if name == "" && sf.Anonymous && elem.Kind() == reflect.Struct {
		f.typ = elem
		return f, true, true
	}
	if !f.tagged {
		f.name = sf.Name
	}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty":
			f.omitEmpty = true
		case "omitzero":
			f.omitZero = true
		case "string":
			f.quoted = quotable(elem.Kind())
		}
	}
	f.key = append(appendString(nil, f.name), ':')
	return f, false, true
}

// dominant drops the fields that are hidden by others of their name, and brings the rest into the order of the struct.
func dominant(all []field) []field {
	slices.SortStableFunc(all, func(a, b field) int {
		return cmp.Or(strings.Compare(a.name, b.name), len(a.index)-len(b.index), boolFirst(a.tagged, b.tagged), slices.Compare(a.index, b.index))
	})
	var kept []field
	for i := 0; i < len(all); {
		same := 1
		for i+same < len(all) && all[i+same].name == all[i].name {
			same++
		}
		if same == 1 || len(all[i].index) != len(all[i+1].index) || all[i].tagged != all[i+1].tagged {
			kept = append(kept, all[i])
		}
		i += same
	}
	slices.SortFunc(kept, func(a, b field) int { return slices.Compare(a.index, b.index) })
	return kept
}

func boolFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// validName tells whether encoding/json takes the name in a tag.
func validName(name string) bool {
	for _, c := range name {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return false
		}
	}
	return name != ""
}

func quotable(k reflect.Kind) bool {
	switch k {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return true
	}
	return false
}

// in returns the field's value; not ok when an embedded pointer on the way is nil.
func (f *field) in(v reflect.Value) (reflect.Value, bool) {
	for _, i := range f.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, true
}
