package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/kafkaesk/kafkaesk/bus"
)

// runHeader is the header with the id of the run that a job belongs to: a permanent Kafka may have jobs of an earlier
// run that was interrupted. They are done, but not counted.
const runHeader = "run"

// tally counts the jobs of a run by result. A record may be handled more than once, so it counts jobs, not calls.
type tally struct {
	run   string
	want  int
	onEnd func() // called when all jobs have ended

	mu   sync.Mutex
	ends map[string]string // result by the record's id, which forwarding keeps
}

func newTally(run string, want int, onEnd func()) *tally {
	return &tally{run: run, want: want, onEnd: onEnd, ends: make(map[string]string)}
}

// end records the result of a job. Its first result counts.
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
		t.onEnd()
	}
}

// left returns the number of jobs that have not ended.
func (t *tally) left() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.want - len(t.ends)
}

// print writes the number of jobs by result.
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
