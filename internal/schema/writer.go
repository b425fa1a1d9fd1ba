package schema

import (
	"encoding/base64"
	"reflect"
	"strconv"
	"time"
)

// writer is encoding/json compiled for one Go type: the type is read once, by reflection, and not again for every value. It writes what
// encoding/json writes, byte for byte, as encoders.encode hands it on.
type writer struct {
	// write appends the JSON of v. It is not ok when the value has no JSON or is nested too deeply to be sure that it ends; then
	// encoding/json decides the whole value, and says what is wrong with it.
	write    func(dst []byte, v reflect.Value, depth int) (out []byte, ok bool)
	standard bool // encoding/json does all of it
}

// nested is how many pointers, slices and maps may be inside each other: a value that leads to itself gets there quickly, others hardly ever.
const nested = 200

// writers makes the writers of a type and of those inside it, and is not needed afterwards.
type writers struct {
	known    map[reflect.Type]*writer
	standard *encoders
}

// newWriter makes the writer of a type. What it leaves to encoding/json goes through standard.
func newWriter(t reflect.Type, standard *encoders) *writer {
	all := writers{known: map[reflect.Type]*writer{}, standard: standard}
	return all.of(t)
}

func (all *writers) of(t reflect.Type) *writer {
	if known, ok := all.known[t]; ok {
		return known // a recursive type finds itself here, still without its function
	}
	made := new(writer)
	all.known[t] = made
	*made = all.choose(t)
	return made
}

// choose goes by the kind of type, and leaves to encoding/json whatever is more than its kind: types with a method for their JSON or text,
// interfaces, and kinds that have no JSON.
func (all *writers) choose(t reflect.Type) writer {
	switch {
	case t == timeType:
		return writer{write: writeTime}
	case custom(t) || t == numberType:
		return all.leave()
	}
	switch t.Kind() {
	case reflect.Bool:
		return writer{write: writeBool}
	case reflect.String:
		return writer{write: writeString}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return writer{write: writeInt}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return writer{write: writeUint}
	case reflect.Float32, reflect.Float64:
		bits := t.Bits()
		return writer{write: func(dst []byte, v reflect.Value, _ int) ([]byte, bool) { return appendFloat(dst, v.Float(), bits) }}
	case reflect.Pointer:
		return pointerTo(all.of(t.Elem()))
	case reflect.Slice:
		if bytesLike(t) {
			return writer{write: writeBytes}
		}
		return all.list(t)
	case reflect.Array:
		return all.list(t)
	case reflect.Map:
		return all.mapping(t)
	case reflect.Struct:
		return all.structure(t)
	default:
		return all.leave()
	}
}

// leave returns the writer that hands a value to encoding/json.
func (all *writers) leave() writer {
	standard := all.standard
	return writer{standard: true, write: func(dst []byte, v reflect.Value, _ int) ([]byte, bool) {
		if !v.CanInterface() {
			return dst, false
		}
		switch { // as encoding/json would see it in its place: methods of the pointer count, and those of an interface type
		case v.CanAddr():
			v = v.Addr()
		case v.Kind() == reflect.Interface:
			box := reflect.New(v.Type())
			box.Elem().Set(v)
			v = box
		}
		out, err := standard.encode(dst, v.Interface())
		return out, err == nil
	}}
}

func writeBool(dst []byte, v reflect.Value, _ int) ([]byte, bool) {
	return strconv.AppendBool(dst, v.Bool()), true
}

func writeInt(dst []byte, v reflect.Value, _ int) ([]byte, bool) {
	return strconv.AppendInt(dst, v.Int(), 10), true
}

func writeUint(dst []byte, v reflect.Value, _ int) ([]byte, bool) {
	return strconv.AppendUint(dst, v.Uint(), 10), true
}

func writeString(dst []byte, v reflect.Value, _ int) ([]byte, bool) {
	return appendText(dst, v.String()), true
}

func writeBytes(dst []byte, v reflect.Value, _ int) ([]byte, bool) {
	if v.IsNil() {
		return append(dst, "null"...), true
	}
	dst = base64.StdEncoding.AppendEncode(append(dst, '"'), v.Bytes())
	return append(dst, '"'), true
}

// writeTime: AppendText and MarshalJSON write the same RFC 3339, and refuse the same times.
func writeTime(dst []byte, v reflect.Value, _ int) ([]byte, bool) {
	if !v.CanInterface() {
		return dst, false
	}
	t, _ := reflect.TypeAssert[time.Time](v)
	dst, err := t.AppendText(append(dst, '"'))
	return append(dst, '"'), err == nil
}
