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

// take asks to begin a record.
func (b *budget) take() budgetState {
	if b == nil {
		return budgetLeft
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.left > 0:
		b.left--
		return budgetLeft
	case b.handled < b.goal:
		return budgetFull
	}
	return budgetSpent
}

// giveBack tells that a record was not finished.
func (b *budget) giveBack() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left++
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
