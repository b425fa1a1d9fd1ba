package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/kafkaesk/kafkaesk/bus"
)

// runHeader names the run that a job belongs to: on a Kafka that stays there may be jobs of a run that was interrupted.
// They are done, but not counted.
const runHeader = "run"

// tally knows what became of the jobs of a run. A record may be handled more than once, so it counts jobs, not calls.
type tally struct {
	run  string
	want int
	over func() // called when all have come to an end

	mu   sync.Mutex
	ends map[string]string // how, by the id that a record keeps wherever it is sent on
}

func newTally(run string, want int, over func()) *tally {
	return &tally{run: run, want: want, over: over, ends: make(map[string]string)}
}

// end notes how a job has come to its end. The first word stands.
func (t *tally) end(r *bus.Record, how string) {
	if header(r, runHeader) != t.run {
		return
	}
	id := header(r, bus.IDHeader)
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.ends[id]; known {
		return
	}
	t.ends[id] = how
	if len(t.ends) == t.want {
		t.over()
	}
}

// left returns how many jobs have not come to an end.
func (t *tally) left() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.want - len(t.ends)
}

// print writes how many jobs ended in which way.
func (t *tally) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	count := make(map[string]int)
	for _, how := range t.ends {
		count[how]++
	}
	fmt.Fprintf(w, "%d jobs:\n", len(t.ends))
	for _, how := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(w, "%4d %s\n", count[how], how)
	}
}
