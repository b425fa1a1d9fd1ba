package bus

import "sync"

// budget is how many records ConsumeFor still wants. A nil one is without end.
type budget struct {
	mu      sync.Mutex
	goal    int
	left    int // records that may still begin
	handled int
	spent   chan struct{} // closed when all are handled
}

// budgetState is whether another record may begin.
type budgetState int

const (
	budgetLeft  budgetState = iota // it may begin
	budgetFull                     // all that are wanted are under way: one of them may turn out not to be finished
	budgetSpent                    // all are handled
)

func newBudget(n int) *budget { return &budget{goal: n, left: n, spent: make(chan struct{})} }

// take asks to begin up to n records, and returns how many may; of none the state says why.
func (b *budget) take(n int) (int, budgetState) {
	if b == nil {
		return n, budgetLeft
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.left > 0:
		n = min(n, b.left)
		b.left -= n
		return n, budgetLeft
	case b.handled < b.goal:
		return 0, budgetFull
	}
	return 0, budgetSpent
}

// giveBack tells that n records that had begun were not finished.
func (b *budget) giveBack(n int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
}

// done tells that a record is finished.
func (b *budget) done() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.handled++; b.handled == b.goal {
		close(b.spent)
	}
}

func (b *budget) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.handled
}
