// Package aside runs functions on a goroutine of its own, for callers that must not wait for them: for handlers of log
// records that are slow, block, panic or end their goroutine.
package aside

import (
	"context"
	"sync"
)

// Runner calls functions one after another, in the order in which they were given. It has a goroutine only while there
// is something to call. All methods may be called concurrently.
type Runner struct {
	limit int

	mu      sync.Mutex
	waiting []func()
	working bool          // the goroutine is there
	idle    chan struct{} // closed when it has ended; nil while nobody waits for that
	closed  bool
}

// New returns a Runner that lets at most limit functions wait.
func New(limit int) *Runner { return &Runner{limit: limit} }

// Do has f called later. It returns false, and f is never called, when too many functions wait, or after Close.
func (r *Runner) Do(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.waiting) >= r.limit {
		return false
	}
	r.waiting = append(r.waiting, f)
	if !r.working {
		r.working = true
		go r.work()
	}
	return true
}

// work calls what waits. A function that ends its goroutine (runtime.Goexit) is replaced with another goroutine.
func (r *Runner) work() {
	ended := false
	defer func() {
		if !ended {
			go r.work()
		}
	}()
	for f := r.next(); f != nil; f = r.next() {
		call(f)
	}
	ended = true
}

// next returns the function to call next; nil when there is none, and the goroutine ends.
func (r *Runner) next() func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		r.working, r.waiting = false, nil
		if r.idle != nil {
			close(r.idle)
			r.idle = nil
		}
		return nil
	}
	f := r.waiting[0]
	r.waiting[0] = nil
	r.waiting = r.waiting[1:]
	return f
}

func call(f func()) {
	defer func() { _ = recover() }() // there is nowhere left to say that it panicked
	f()
}

// Wait returns true when all functions have returned, and false when ctx ends before.
func (r *Runner) Wait(ctx context.Context) bool {
	r.mu.Lock()
	if !r.working {
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
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	done := r.Wait(ctx)
	r.mu.Lock()
	r.waiting = nil
	r.mu.Unlock()
	return done
}
