package schema

import (
	"reflect"
	"testing"
)

func TestEncodeAllocatesNothing(t *testing.T) {
	for _, v := range []any{anEvent(), anOrder(), aBasket(), aLabeled(), &aLabeled().Labels} {
		s, w := must(t, reflect.TypeOf(v)), Writer{Buf: make([]byte, 0, 1024)}
		write := func() {
			w.Buf = w.Buf[:0]
			if err := s.Encode(&w, v); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(200, write); n > 0 {
			t.Errorf("%T: %v allocations", v, n)
		}
	}
}
