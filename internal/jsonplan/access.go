package jsonplan

import (
	"reflect"
	"unsafe"
)

// All of the package's unsafe code is in this file. Its rules:
//
//   - A ptr points to a whole value of the type that its encoder was made for, and is only read through. It always is
//     an unsafe.Pointer, never a number, so that the garbage collector keeps what it points to.
//   - It leads from a struct to a field by the offset that reflect gives for that type, and from a slice or array to an
//     element by the size of the element's type, for an index below the length.
//   - Values that reflect has to see (maps, methods, interfaces with methods) are made by reflect.NewAt of the same
//     type.
//   - A pointer or map that an interface holds is copied into Writer.held, to have a place.
//   - What an interface holds by value belongs to all its copies. Methods with a pointer receiver are called on it only
//     where encoding/json would call them: in values that the caller has reached through a pointer, a slice, or a copy.

// ptr points to a value of a type that its user knows.
type ptr = unsafe.Pointer

// get reads the value.
func get[T any](p ptr) T { return *(*T)(p) }

// field returns the field of the struct at p that starts at the offset.
func field(p ptr, offset uintptr) ptr { return unsafe.Add(p, offset) }

// sliceHeader is the memory of a slice.
type sliceHeader struct {
	data ptr
	len  int
	_    int // its capacity
}

// element returns an element of an array whose elements have the size.
func element(first ptr, i int, size uintptr) ptr { return unsafe.Add(first, uintptr(i)*size) }

// valueAt returns the value of type t at p, with its address.
func valueAt(t reflect.Type, p ptr) reflect.Value { return reflect.NewAt(t, p).Elem() }

// identity returns the pointer that is the same for equal types only. To compare two reflect.Types takes a call.
func identity(t reflect.Type) ptr { return (*[2]ptr)(ptr(&t))[1] }

// words returns the identity of v's type, nil for a nil interface, and v where that is a pointer.
func words(v any) (typ, pointer ptr) {
	at := (*[2]ptr)(ptr(&v))
	return at[0], at[1]
}

// dynamic returns the type and the place of what an interface holds, which is not nil. The place lasts until release.
func (w *Writer) dynamic(v any) (reflect.Type, ptr) {
	t := reflect.TypeOf(v)
	if t.Size() != unsafe.Sizeof(uintptr(0)) {
		return t, (*[2]ptr)(ptr(&v))[1]
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Chan, reflect.Func,
		reflect.UnsafePointer: // the interface holds it in the place of a pointer to it
		w.held = append(w.held, reflect.ValueOf(v).UnsafePointer())
		return t, ptr(&w.held[len(w.held)-1])
	case reflect.Struct, reflect.Array: // it depends on what is in it
		c := reflect.New(t)
		c.Elem().Set(reflect.ValueOf(v))
		return t, c.UnsafePointer()
	}
	return t, (*[2]ptr)(ptr(&v))[1]
}
