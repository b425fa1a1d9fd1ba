// Package aside runs functions on a goroutine of its own, for callers that must not wait for them: for handlers of log
// records that are slow, block, panic or end their goroutine.
package aside

import (
	"context"
	"sync"
	"sync/atomic"
)

// Runner calls functions one after another, in the order in which they were given. It has a goroutine only while there
// is something to call. All methods may be called concurrently. Do takes no lock: who gives a function waits for
// nobody, not even for one that the system has interrupted meanwhile.
type Runner struct {
	limit     int64
	waiting   atomic.Int64        // functions that are not called yet
	last      atomic.Pointer[job] // of those that the goroutine has not taken yet, the last that was given
	working   atomic.Bool         // the goroutine is there
	closed    atomic.Bool         // no more functions are taken
	cancelled atomic.Bool         // none is called any more

	mu   sync.Mutex
	idle chan struct{} // closed when the goroutine has ended; nil while nobody waits for that
}

// job is a function to call.
type job struct {
	f    func()
	next *job // that was given before; when the goroutine has taken them, the one that was given after
}

// New returns a Runner that lets at most limit functions wait.
func New(limit int) *Runner { return &Runner{limit: int64(limit)} }

// Do has f called later. It returns false, and f is never called, when too many functions wait, or after Close.
func (r *Runner) Do(f func()) bool {
	if r.closed.Load() {
		return false
	}
	if r.waiting.Add(1) > r.limit {
		r.waiting.Add(-1)
		return false
	}
	j := &job{f: f}
	for {
		j.next = r.last.Load()
		if r.last.CompareAndSwap(j.next, j) {
			break
		}
	}
	if r.working.CompareAndSwap(false, true) {
		go r.work(nil)
	}
	return true
}

// work calls first and what follows it, and then what waits. A function that ends its goroutine (runtime.Goexit) is
// replaced with another goroutine.
func (r *Runner) work(first *job) {
	ended := false
	defer func() {
		if !ended {
			go r.work(first)
		}
	}()
	for {
		for first != nil {
			f := first.f
			first = first.next
			r.waiting.Add(-1)
			if !r.cancelled.Load() {
				call(f)
			}
		}
		if first = r.takeAll(); first == nil && r.rest() {
			ended = true
			return
		}
	}
}

// takeAll returns the functions that wait, in the order in which they were given.
func (r *Runner) takeAll() (first *job) {
	for j := r.last.Swap(nil); j != nil; {
		j.next, first, j = first, j, j.next
	}
	return first
}

// rest ends the goroutine's work. It returns false when there is some again.
func (r *Runner) rest() bool {
	r.working.Store(false)
	if r.last.Load() != nil && r.working.CompareAndSwap(false, true) {
		return false // who gave it has seen the goroutine
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.idle != nil && !r.working.Load() {
		close(r.idle)
		r.idle = nil
	}
	return true
}

func call(f func()) {
	defer func() { _ = recover() }() // there is nowhere left to say that it panicked
	f()
}

// Wait returns true when all functions have returned, and false when ctx ends before.
func (r *Runner) Wait(ctx context.Context) bool {
	r.mu.Lock()
	if !r.working.Load() && r.last.Load() == nil {
		r.mu.Unlock()
		return true
	}
	if r.idle == nil {
		r.idle = make(chan struct{})
	}
	idle := r.idle
	r.mu.Unlock()
	select {
	case <-idle:
		return true
	case <-ctx.Done():
		return false
	}
}

// Close takes no more functions, and waits as Wait does. Functions that still wait when ctx ends are not called any
// more; one that blocks then keeps its goroutine until it returns.
func (r *Runner) Close(ctx context.Context) bool {
	r.closed.Store(true)
	done := r.Wait(ctx)
	r.cancelled.Store(true)
	return done
}
