package jsonplan

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// The encoders of the kinds that hold no others.

func writeBool(w *Writer, p ptr)   { w.Buf = strconv.AppendBool(w.Buf, get[bool](p)) }
func writeString(w *Writer, p ptr) { w.text(get[string](p)) }

type signed interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64
}

type unsigned interface {
	~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

func writeInt[T signed](w *Writer, p ptr) { w.Buf = rawjson.AppendInt(w.Buf, int64(get[T](p))) }
func writeUint[T unsigned](w *Writer, p ptr) {
	w.Buf = rawjson.AppendUint(w.Buf, uint64(get[T](p)))
}

func writeFloat32(w *Writer, p ptr) { w.float(float64(get[float32](p)), 32) }
func writeFloat64(w *Writer, p ptr) { w.float(get[float64](p), 64) }

// scalars are the encoders of the kinds whose values are written in one way.
var scalars = map[reflect.Kind]encoder{
	reflect.Bool: writeBool, reflect.String: writeString,
	reflect.Int: writeInt[int], reflect.Int8: writeInt[int8], reflect.Int16: writeInt[int16],
	reflect.Int32: writeInt[int32],
	reflect.Int64: writeInt[int64], reflect.Uint: writeUint[uint], reflect.Uint8: writeUint[uint8],
	reflect.Uint16: writeUint[uint16],
	reflect.Uint32: writeUint[uint32], reflect.Uint64: writeUint[uint64], reflect.Uintptr: writeUint[uintptr],
	reflect.Float32: writeFloat32, reflect.Float64: writeFloat64,
}

func writeBytes(w *Writer, p ptr) {
	b := get[[]byte](p)
	if b == nil && !w.nilIsEmpty() {
		w.null()
		return
	}
	if w.Log != nil {
		if limit := w.Log.textLimit(len(w.Buf)) / 4 * 3; len(b) > limit {
			b, w.Log.Truncated = b[:limit], true
		}
	}
	w.Buf = append(base64.StdEncoding.AppendEncode(append(w.Buf, '"'), b), '"')
}

// nilIsEmpty reports whether a nil slice is written as [] and a nil map as {}: in published data, and where a model is
// checked.
func (w *Writer) nilIsEmpty() bool { return w.Log == nil || w.Log.checking }

func writeTime(w *Writer, p ptr) {
	var ok bool
	if w.Buf, ok = rawjson.AppendTime(w.Buf, get[time.Time](p)); !ok {
		_, err := (*time.Time)(p).MarshalJSON() // for the words of encoding/json
		w.marshalError(timeType, err)
	}
}

// writeNumber writes a json.Number, "" as 0.
func writeNumber(w *Writer, p ptr) {
	s := get[string](p)
	switch {
	case s == "":
		w.raw("0")
	case (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && json.Valid([]byte(s)) && strings.TrimSpace(s) == s:
		w.raw(s)
	default:
		w.fail(fmt.Errorf("json: invalid number literal %q", s))
	}
}
