//go:build !race

// The race detector makes sync.Pool forget on purpose.

package schema

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestAppendAllocates(t *testing.T) {
	s, o := must(t, reflect.TypeFor[order]()), anOrder()
	dst := make([]byte, 0, 1024)
	standard := testing.AllocsPerRun(200, func() { _, _ = json.Marshal(o) })
	ours := testing.AllocsPerRun(200, func() { _, _ = s.Append(dst, o) })
	if ours >= standard {
		t.Errorf("Append: %v allocations, json.Marshal: %v", ours, standard)
	}
}
