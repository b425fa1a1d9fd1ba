// Package jsonplan writes Go values as JSON and checks them against a schema while it does. Everything that the type
// decides is decided once, in a plan: how each field is written, and which constraints of the schema the type does not
// already prove.
//
// The JSON is encoding/json's, with HTML characters and U+2028, U+2029 as they are. Published data differs in one
// thing: a nil slice is [] and a nil map {}. Values of log records have rules of their own, see [Log].
package jsonplan

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// Writer writes one value after another. It may not be used concurrently.
type Writer struct {
	// Buf is what has been written.
	Buf []byte
	// Log are the rules of log records, nil for published data.
	Log *Log

	held    []ptr // what interfaces hold in place of a pointer
	writing bool  // published data: also when it has failed, which leaves its state
	state
}

// state is that of one value. A method of the user's may have another value written in between.
type state struct {
	broken bool // a value breaks its schema, or could not be proved to keep it
	addr   bool // the value has an address by encoding/json's rules: methods of the pointer count

	err  error  // of published data: nothing more is written
	path string // of the value that err is about

	depth   int // of pointers, slices and maps
	visits  []visit
	watched int // the depth of the only visit, in published data
}

// visit is a pointer, map or slice that the value being written lies in.
type visit struct {
	at  ptr
	len int
	typ reflect.Type
}

// Reset makes the writer ready for other values. It keeps its memory, and nothing of what it has written.
func (w *Writer) Reset() {
	clear(w.held[:cap(w.held)])
	w.Buf, w.held, w.state = w.Buf[:0], w.held[:0], state{}
}

// encoder appends the JSON of the value at p.
type encoder func(w *Writer, p ptr)

// fail notes that a value has no JSON.
func (w *Writer) fail(err error) {
	if w.Log != nil {
		w.writeError(err.Error())
		return
	}
	if w.err == nil {
		w.err = err
	}
}

// stopped tells that the rest of a value is not needed: it has failed, or is longer than a log record may be.
func (w *Writer) stopped() bool {
	return w.err != nil || w.Log != nil && w.full()
}

// at puts a step before the path of the value that has failed.
func (w *Writer) at(step string) {
	if w.path == "" || w.path[0] == '[' {
		w.path = step + w.path
		return
	}
	w.path = step + "." + w.path
}

func (w *Writer) null()        { w.Buf = append(w.Buf, "null"...) }
func (w *Writer) raw(s string) { w.Buf = append(w.Buf, s...) }

// broken text is written as encoding/json does in published data; in log records keys are compared as they are written.
func (w *Writer) invalidUTF8() string {
	if w.Log != nil {
		return rawjson.Plain
	}
	return rawjson.Escaped
}

// text appends a string.
func (w *Writer) text(s string) {
	if w.Log != nil {
		w.cutText(s)
		return
	}
	w.Buf = rawjson.AppendText(w.Buf, s, rawjson.Escaped)
}

func (w *Writer) float(f float64, bits int) {
	var ok bool
	if w.Buf, ok = rawjson.AppendFloat(w.Buf, f, bits); !ok {
		w.fail(&json.UnsupportedValueError{Value: reflect.ValueOf(f), Str: strconv.FormatFloat(f, 'g', -1, bits)})
	}
}

// cyclesFrom is the depth from which on published values are watched for leading to themselves, as encoding/json does
// it: a value that does gets there quickly, others hardly ever.
const cyclesFrom = 1000

// enter notes that what follows lies in a pointer, map or slice. It is not ok for one that lies in itself.
func (w *Writer) enter(t reflect.Type, at ptr, n int) bool {
	w.depth++
	if w.Log == nil && w.depth <= cyclesFrom {
		return true
	}
	v := visit{at, n, t}
	if w.liesIn(v) {
		w.depth--
		if w.Log != nil {
			w.writeError("a " + t.String() + " that contains itself")
		} else {
			w.fail(&json.UnsupportedValueError{Value: reflect.Zero(t), Str: "encountered a cycle via " + t.String()})
		}
		return false
	}
	return true
}

// liesIn reports whether the value being written lies in v. Of a log record, whose depth is bounded, all values around
// it are looked at. Of published data only the last one at a depth that is a power of two: a value that leads to itself
// comes back to it.
func (w *Writer) liesIn(v visit) bool {
	if w.Log != nil {
		if v.at != nil && slices.Contains(w.visits, v) {
			return true
		}
		w.visits = append(w.visits, v)
		return false
	}
	if len(w.visits) > 0 && w.visits[0] == v {
		return true
	}
	if w.depth&(w.depth-1) == 0 {
		w.visits, w.watched = append(w.visits[:0], v), w.depth
	}
	return false
}

// leave ends what enter began.
func (w *Writer) leave() {
	if w.Log != nil {
		w.visits = w.visits[:len(w.visits)-1]
	} else if w.depth == w.watched {
		w.visits, w.watched = w.visits[:0], 0
	}
	w.depth--
}
