package logrecord

import (
	"fmt"
	"log/slog"
	"reflect"
	"sync"

	"github.com/kafkaesk/kafkaesk/internal/jsonplan"
	"github.com/kafkaesk/kafkaesk/internal/schema"
)

var (
	logValuerType = reflect.TypeFor[slog.LogValuer]()
	slogValueType = reflect.TypeFor[slog.Value]()
	markedType    = reflect.TypeFor[marked]()
	errorType     = reflect.TypeFor[error]()
)

// receiver is the kind of receiver that a method needs.
type receiver uint8

const (
	noMethod  receiver = iota
	onValue            // any value of the type
	onPointer          // one that has an address
)

func receiverOf(t, method reflect.Type) receiver {
	switch {
	case t.Implements(method):
		return onValue
	case t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && reflect.PointerTo(t).Implements(method):
		return onPointer
	}
	return noMethod
}

// typeInfo is the cached information about a type.
type typeInfo struct {
	model  receiver
	valuer bool // the type has LogValue
	direct bool // the type is a model without LogValue

	once sync.Once
	plan *jsonplan.Plan // plan of a model; see compiled
	// signs are the signs of the keys that the plan may write, and bits has one bit for each of them. Both are empty
	// when the keys are unknown, or one of them is the name of an own field.
	signs []uint32
	bits  uint64
}

// types caches the types that an encoder has used. A program has a limited number of them.
type types struct {
	plans  *jsonplan.Plans
	names  *names
	report func(error) // nil: not reported
	known  sync.Map    // reflect.Type to *typeInfo
}

func (ts *types) of(t reflect.Type) *typeInfo {
	if info, ok := ts.known.Load(t); ok {
		return info.(*typeInfo)
	}
	info := &typeInfo{model: receiverOf(t, markedType), valuer: receiverOf(t, logValuerType) != noMethod}
	info.direct = info.model == onValue && !info.valuer && !t.Implements(errorType)
	actual, _ := ts.known.LoadOrStore(t, info)
	return actual.(*typeInfo)
}

// compiled returns the plan of a model's type, which is created with its schema at the first use. A type whose schema
// cannot be created is not checked, and is reported once.
func (ts *types) compiled(info *typeInfo, t reflect.Type) *jsonplan.Plan {
	info.once.Do(func() { ts.compile(info, t) })
	return info.plan
}

func (ts *types) compile(info *typeInfo, t reflect.Type) {
	s, err := schema.For(t)
	if err != nil {
		info.plan = ts.plans.Model(t, nil)
		if ts.report != nil {
			ts.report(wrongTags(t, err))
		}
	} else {
		info.plan = ts.plans.Model(t, s.Rule())
	}
	for _, name := range info.plan.Keys() {
		if _, isOwn := ts.names.find(name); isOwn {
			info.signs, info.bits = nil, 0
			return
		}
		sign := signOf(appendString(nil, name))
		info.signs, info.bits = append(info.signs, sign), info.bits|bit(sign)
	}
}

// Check returns what is wrong with the jsonschema tags of the log model T; nil if nothing is. Values of a type with
// wrong tags are logged unchecked. Call it in a test, or when the program starts.
func Check[T any]() error {
	t := reflect.TypeFor[T]()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if _, err := schema.For(t); err != nil {
		return wrongTags(t, err)
	}
	return nil
}

func wrongTags(t reflect.Type, err error) error {
	return fmt.Errorf("logrecord: values of the log model %v are not checked, because its schema cannot be created: %w", t,
		err)
}

// resolved is a value that is no slog.LogValuer, with what was found while resolving it.
type resolved struct {
	slog.Value
	model bool  // one was a log model
	err   error // one was this error
}

// resolve is slog.Value.Resolve without recovering a panic, so that the caller can write it as a note. A nil pointer
// whose method cannot handle it is nil.
func (b *builder) resolve(v slog.Value) (r resolved) {
	const most = 100
	for range most {
		if b.steps--; b.steps < 0 {
			break
		}
		k := v.Kind()
		if k == slog.KindAny || k == slog.KindLogValuer {
			r.model = r.model || b.isModel(v)
			if err, ok := v.Any().(error); ok {
				r.err = err
			}
		}
		if k != slog.KindLogValuer {
			r.Value = v
			return r
		}
		v = logValue(v.LogValuer())
	}
	r.Value = slog.StringValue(errorNote + "LogValue called too many times")
	return r
}

func logValue(l slog.LogValuer) slog.Value {
	if v := reflect.ValueOf(l); v.Kind() == reflect.Pointer && v.IsNil() {
		return slog.AnyValue(nil)
	}
	return l.LogValue()
}
