package bus

import "sync"

// recordLimit is how many records ConsumeFor still wants. A nil one is without end.
type recordLimit struct {
	mu        sync.Mutex
	goal      int
	left      int // records that may still begin
	handled   int
	exhausted chan struct{} // closed when all are handled
}

// limitState is whether another record may begin.
type limitState int

const (
	limitRemaining limitState = iota // it may begin
	limitReserved                    // all that are wanted are under way: one of them may turn out not to be finished
	limitExhausted                   // all are handled
)

func newRecordLimit(n int) *recordLimit {
	return &recordLimit{goal: n, left: n, exhausted: make(chan struct{})}
}

// reserve asks to begin up to n records, and returns how many may; of none the state says why.
func (b *recordLimit) reserve(n int) (int, limitState) {
	if b == nil {
		return n, limitRemaining
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.left > 0:
		n = min(n, b.left)
		b.left -= n
		return n, limitRemaining
	case b.handled < b.goal:
		return 0, limitReserved
	}
	return 0, limitExhausted
}

// release tells that n records that had begun were not finished.
func (b *recordLimit) release(n int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
}

// done tells that a record is finished.
func (b *recordLimit) done() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.handled++; b.handled == b.goal {
		close(b.exhausted)
	}
}

func (b *recordLimit) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.handled
}
