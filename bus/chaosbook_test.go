package bus_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// chaosSpot is where a record lies.
type chaosSpot struct {
	partition int
	offset    int64
}

// chaosBook is what many members of one group do with records that are numbered, and what must not happen there. Half
// of the records are keyed: those with an even number, by keyOf.
type chaosBook struct {
	t *testing.T

	mu         sync.Mutex
	ids        map[chaosSpot]int
	attempts   []int            // begun, by id
	finished   []int            // by id; more than once is a redelivery
	first      int              // ids that are finished
	done       []map[int64]bool // by partition: offsets from mark on that are finished
	mark       []int64          // by partition: all below it is finished
	running    map[string]int   // handlers, by key
	latest     map[string]int   // the last of each key that was finished for the first time
	committed  map[int32]int64
	last       time.Time     // when the last record was first finished
	pause      time.Duration // the longest between two of them
	sampled    int
	requests   int // that commit, where they can be seen
	overlaps   int // handlers of one key at the same time
	disordered int // records that were first finished before one that stands before them in their key
	tooFar     int // commits beyond what is finished
	fallen     int // commits below an earlier one
}

const chaosKeys = 200

func newChaosBook(t *testing.T, records, partitions int) *chaosBook {
	l := &chaosBook{
		t: t, ids: make(map[chaosSpot]int, records), attempts: make([]int, records), finished: make([]int, records),
		done: make([]map[int64]bool, partitions), mark: make([]int64, partitions),
		running: make(map[string]int), latest: make(map[string]int), committed: make(map[int32]int64),
	}
	for p := range l.done {
		l.done[p] = make(map[int64]bool)
	}
	return l
}

// keyOf returns a record's key and its number within the key, counted from 1; "" if it has none.
func keyOf(id int) (key string, n int) {
	if id%2 == 1 {
		return "", 0
	}
	return fmt.Sprint("key-", id/2%chaosKeys), id/2/chaosKeys + 1
}

// begin records that a handler has been called, and returns which attempt at the record it is. End has to follow.
func (l *chaosBook) begin(id int, at chaosSpot) (attempt int) {
	key, _ := keyOf(id)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids[at] = id
	l.attempts[id]++
	if key != "" {
		if l.running[key]++; l.running[key] > 1 {
			l.overlaps++
		}
	}
	return l.attempts[id]
}

func (l *chaosBook) end(id int) {
	key, _ := keyOf(id)
	l.mu.Lock()
	defer l.mu.Unlock()
	if key != "" {
		l.running[key]--
	}
}

// finish records that the record at a chaosSpot is done with. What is committed has to come after it.
func (l *chaosBook) finish(at chaosSpot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.ids[at]
	if l.finished[id]++; l.finished[id] == 1 {
		l.first++
		now := time.Now()
		if !l.last.IsZero() {
			l.pause = max(l.pause, now.Sub(l.last))
		}
		l.last = now
		if key, n := keyOf(id); key != "" {
			if n != l.latest[key]+1 {
				l.disordered++
			}
			l.latest[key] = n
		}
	}
	done := l.done[at.partition]
	if at.offset >= l.mark[at.partition] {
		done[at.offset] = true
	}
	for done[l.mark[at.partition]] {
		delete(done, l.mark[at.partition])
		l.mark[at.partition]++
	}
}

// sample takes what the group had committed a moment ago.
func (l *chaosBook) sample(committed map[int32]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sampled++
	for p, offset := range committed {
		l.checkLocked(p, offset)
		if offset < l.committed[p] {
			l.fallen++
			l.t.Errorf("partition %d: the committed offset fell from %d to %d", p, l.committed[p], offset)
		}
	}
	maps.Copy(l.committed, committed)
}

// sent takes what a member wants to commit, whether the broker will take it or not.
func (l *chaosBook) sent(r *kmsg.OffsetCommitRequest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	for _, topic := range r.Topics {
		for _, p := range topic.Partitions {
			l.checkLocked(p.Partition, p.Offset)
		}
	}
}

func (l *chaosBook) checkLocked(partition int32, offset int64) {
	if offset > l.mark[partition] {
		l.tooFar++
		l.t.Errorf("partition %d: offset %d is committed, and %d is the first that is not finished", partition, offset,
			l.mark[partition])
	}
}

// count returns how many ids are finished, and how often again.
func (l *chaosBook) count() (ids, again int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.finished {
		again += max(n-1, 0)
	}
	return l.first, again
}

func (l *chaosBook) handled() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

// summary fails the test for whatever must not have happened, and returns the figures.
func (l *chaosBook) summary() string {
	l.t.Helper()
	ids, again := l.count()
	l.mu.Lock()
	defer l.mu.Unlock()
	if lost := len(l.finished) - ids; lost > 0 {
		l.t.Errorf("%d records were never finished", lost)
	}
	if l.overlaps+l.disordered > 0 {
		l.t.Errorf("%d handlers of one key at the same time, %d records out of order", l.overlaps, l.disordered)
	}
	return fmt.Sprintf("%d of %d handled, %d again, out of order %d, overlapping %d, longest pause %v, %d commits and "+
		"%d looks at them: too far %d, fallen %d",
		ids, len(l.finished), again, l.disordered, l.overlaps, l.pause.Round(time.Millisecond), l.requests, l.sampled,
		l.tooFar, l.fallen)
}
