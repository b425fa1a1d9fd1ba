package schema

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/kafkaesk/kafkaesk/internal/jsonplan"
)

// rejectEndlessTypes walks every type that t reaches and refuses those that invopop would follow without end, a stack
// overflow that nothing can
// recover: pointers and aliases that lead to themselves only.
func rejectEndlessTypes(t reflect.Type, seen map[reflect.Type]bool) error {
	for hops := 0; ; hops++ {
		if t == nil {
			return errors.New("a JSONSchemaAlias method returns nil")
		}
		if hops > 100 {
			return fmt.Errorf("type %s leads to itself through pointers or JSONSchemaAlias only: it has no JSON", t)
		}
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		} else if t.Implements(aliaserType) && t.Kind() != reflect.Interface {
			t = reflect.TypeOf(reflect.Zero(t).Interface().(aliaser).JSONSchemaAlias())
		} else {
			break
		}
	}
	if seen[t] {
		return nil
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		return rejectEndlessTypes(t.Elem(), seen)
	case reflect.Struct:
		for _, f := range jsonplan.Fields(t) {
			if err := rejectEndlessTypes(f.Type, seen); err != nil {
				return fmt.Errorf("field %q: %w", f.Name, err)
			}
			if !t.Implements(propertyAliasType) {
				continue
			}
			if alias := reflect.Zero(t).Interface().(propertyAlias).JSONSchemaProperty(f.Name); alias != nil {
				if err := rejectEndlessTypes(reflect.TypeOf(alias), seen); err != nil {
					return fmt.Errorf("field %q: %w", f.Name, err)
				}
			}
		}
	}
	return nil
}
