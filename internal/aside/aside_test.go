package aside

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestFunctionsAreCalledInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(10)
		var got []int
		for i := range 10 {
			r.Do(func() {
				got = append(got, i)
				switch i {
				case 3:
					panic("a handler panics")
				case 5:
					runtime.Goexit()
				}
			})
		}
		if !r.Close(t.Context()) || !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
			t.Errorf("called are %v", got)
		}
		if r.Do(func() {}) {
			t.Error("a function was taken after Close")
		}
	})
}

// What many goroutines give is called once each, in the order in which each of them gave it, though the Runner's own
// goroutine ends and begins again between them.
func TestManyGoroutinesGiveFunctions(t *testing.T) {
	t.Parallel()
	const goroutines, each = 8, 2000
	r := New(goroutines * each)
	var next [goroutines]int
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				if !r.Do(func() {
					if next[g] != i {
						t.Errorf("goroutine %d: function %d is called instead of %d", g, i, next[g])
					}
					next[g]++
				}) {
					t.Errorf("goroutine %d: function %d is not taken", g, i)
				}
				if i%100 == 0 && !r.Wait(t.Context()) {
					t.Error("Wait was cut off")
				}
			}
		})
	}
	wg.Wait()
	if !r.Close(t.Context()) || next != [goroutines]int{each, each, each, each, each, each, each, each} {
		t.Errorf("called are %v", next)
	}
}

// A function that blocks holds up nobody who calls Do, Wait or Close, and what waits behind it is bounded.
func TestAFunctionThatBlocksHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, blocked, called := New(2), make(chan struct{}), 0
		r.Do(func() { <-blocked })
		synctest.Wait()
		for i := range 4 {
			if taken := r.Do(func() { called++ }); taken != (i < 2) {
				t.Errorf("function %d: taken %v", i, taken)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if r.Close(ctx) || time.Since(start) != time.Second {
			t.Errorf("Close came back after %v", time.Since(start))
		}
		close(blocked)
		synctest.Wait()
		if called != 0 {
			t.Errorf("%d functions were called after Close", called)
		}
		if !r.Wait(t.Context()) {
			t.Error("the goroutine has not ended")
		}
	})
}
