//go:build !race

// The race detector makes sync.Pool forget on purpose.

package schema

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestAppendAllocates(t *testing.T) {
	for _, v := range []any{anEvent(), anOrder(), aBasket(), &aLabeled().Labels} {
		s, dst := must(t, reflect.TypeOf(v)), make([]byte, 0, 1024)
		if n := testing.AllocsPerRun(200, func() { _, _ = s.Append(dst, v) }); n > 0 {
			t.Errorf("Append of %T: %v allocations", v, n)
		}
	}
}

func TestLeftToStandardAllocates(t *testing.T) {
	v := aLabeled()
	s, dst := must(t, reflect.TypeOf(v)), make([]byte, 0, 1024)
	standard := testing.AllocsPerRun(200, func() { _, _ = json.Marshal(v) })
	if ours := testing.AllocsPerRun(200, func() { _, _ = s.Append(dst, v) }); ours >= standard {
		t.Errorf("Append: %v allocations, json.Marshal: %v", ours, standard)
	}
}
