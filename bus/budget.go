package bus

import (
	"context"
	"sync"

	"github.com/kafkaesk/kafkaesk/internal/kafka/consume"
)

// budget is how many records ConsumeFor still wants. A nil one is without end.
type budget struct {
	mu      sync.Mutex
	goal    int
	left    int // records that may still begin
	handled int
	room    chan struct{} // closed, and replaced, when a record that has begun turns out not to be finished
	spent   chan struct{} // closed when all are handled
}

func newBudget(n int) *budget {
	return &budget{goal: n, left: n, room: make(chan struct{}), spent: make(chan struct{})}
}

// take asks to begin a record. While all that are wanted are under way it waits for what becomes of them.
func (b *budget) take(ctx context.Context) bool {
	if b == nil {
		return true
	}
	for {
		b.mu.Lock()
		room := b.room
		if b.left > 0 {
			b.left--
			b.mu.Unlock()
			return true
		}
		b.mu.Unlock()
		select {
		case <-room:
		case <-b.spent:
			return false
		case <-consume.PlaceOf(ctx).Draining():
			return false
		}
	}
}

// giveBack tells that a record was not finished.
func (b *budget) giveBack() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left++
	close(b.room)
	b.room = make(chan struct{})
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
