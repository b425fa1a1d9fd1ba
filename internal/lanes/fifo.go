package lanes

import "slices"

// fifo is a queue in one array, which it uses again.
type fifo[E any] struct {
	array []E
	head  int // where the oldest lies
}

func (q *fifo[E]) len() int { return len(q.array) - q.head }

// front returns the oldest element; there must be one.
func (q *fifo[E]) front() E { return q.array[q.head] }

func (q *fifo[E]) push(e E) {
	// Half of the array lies behind: moving the rest to the beginning costs less than what has been taken since.
	if len(q.array) == cap(q.array) && q.head > len(q.array)/2 {
		q.array, q.head = slices.Delete(q.array, 0, q.head), 0
	}
	q.array = append(q.array, e)
}

// pushFront puts elements before the oldest, in their order.
func (q *fifo[E]) pushFront(all ...E) {
	if q.head < len(all) {
		q.array, q.head = slices.Concat(make([]E, len(all)), q.array[q.head:]), len(all)
	}
	q.head -= len(all)
	copy(q.array[q.head:], all)
}

// pop removes the oldest element; there must be one.
func (q *fifo[E]) pop() E {
	e := q.array[q.head]
	var none E
	q.array[q.head] = none
	if q.head++; q.head == len(q.array) {
		q.array, q.head = q.array[:0], 0
	}
	return e
}

// all returns the elements, the oldest first.
func (q *fifo[E]) all() []E { return q.array[q.head:] }

// drop removes the elements that match.
func (q *fifo[E]) drop(match func(E) bool) {
	q.array, q.head = slices.DeleteFunc(slices.Delete(q.array, 0, q.head), match), 0
}
