// Package recordlimit counts the records that ConsumeFor still has to handle.
package recordlimit

import "sync"

// Limit is how many records are still to be handled. A nil one is without end. All methods may be called concurrently.
type Limit struct {
	mu        sync.Mutex
	goal      int
	left      int // records that may still begin
	handled   int
	exhausted chan struct{} // closed when all are handled
}

// State says whether another record may begin.
type State int

const (
	Remaining State = iota // it may begin
	Reserved               // all that are wanted are under way: one of them may turn out not to be finished
	Exhausted              // all are handled
)

// New returns a Limit of n records.
func New(n int) *Limit {
	return &Limit{goal: n, left: n, exhausted: make(chan struct{})}
}

// Reserve asks to begin up to n records, and returns how many may; of none the state says why.
func (l *Limit) Reserve(n int) (int, State) {
	if l == nil {
		return n, Remaining
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.left > 0:
		n = min(n, l.left)
		l.left -= n
		return n, Remaining
	case l.handled < l.goal:
		return 0, Reserved
	}
	return 0, Exhausted
}

// Release says that n records that had begun were not finished.
func (l *Limit) Release(n int) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left += n
}

// Done says that a record is finished.
func (l *Limit) Done() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.handled++; l.handled == l.goal {
		close(l.exhausted)
	}
}

// Wait returns a channel that is closed when all records are handled.
func (l *Limit) Wait() <-chan struct{} { return l.exhausted }

// Count returns how many records are finished.
func (l *Limit) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.handled
}
