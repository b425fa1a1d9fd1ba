package webpage

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// keepAlive is how long a stream of events may be silent, so that proxies do not end it and a viewer that is gone is
	// noticed.
	keepAlive = 15 * time.Second
	// writeTimeout is how long a viewer may take nothing of what is written for it.
	writeTimeout = time.Minute
)

// Queue holds the events that one viewer has not received yet, in bounded memory: when it is full, the oldest event
// makes room, and the viewer is told by an event "missed", whose data is the number of those that it did
// not receive. Its methods may be called concurrently.
type Queue struct {
	most, mostBytes int

	mu      sync.Mutex
	waiting []event
	bytes   int
	missed  uint64
	changed chan struct{} // has a token when there is something new
}

type event struct {
	name string
	data []byte
}

// NewQueue returns a queue of at most so many events and bytes of their data.
func NewQueue(events, bytes int) *Queue {
	return &Queue{most: events, mostBytes: bytes, changed: make(chan struct{}, 1)}
}

// Add appends events of one name, whose data it copies. It never waits.
func (q *Queue) Add(name string, data ...[]byte) {
	q.mu.Lock()
	for _, d := range data {
		for len(q.waiting) > 0 && (len(q.waiting) >= q.most || q.bytes+len(d) > q.mostBytes) {
			q.bytes -= len(q.waiting[0].data)
			q.waiting[0] = event{}
			q.waiting = q.waiting[1:]
			q.missed++
		}
		q.waiting = append(q.waiting, event{name, bytes.Clone(d)})
		q.bytes += len(d)
	}
	q.mu.Unlock()
	select {
	case q.changed <- struct{}{}:
	default:
	}
}

// take empties the queue.
func (q *Queue) take() (events []event, missed uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	events, missed = q.waiting, q.missed
	q.waiting, q.bytes, q.missed = nil, 0, 0
	return events, missed
}

// Serve sends the events of the queue to a viewer until ctx ends, the viewer is gone, or, once closed is closed, the
// queue is empty. The request's own context should be a parent of ctx.
func (q *Queue) Serve(ctx context.Context, w http.ResponseWriter, closed <-chan struct{}) error {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events back
	control := http.NewResponseController(w)
	idle := time.NewTicker(keepAlive)
	defer idle.Stop()
	var buf bytes.Buffer
	buf.WriteString(": events\n\n") // so that the viewer gets the headers at once
	for ended := false; ; {
		if err := control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return fmt.Errorf("send events: set the time limit of a write: %w", err)
		}
		_, err := w.Write(buf.Bytes())
		if err == nil {
			err = control.Flush()
		}
		if err != nil {
			return fmt.Errorf("send events: %w", err)
		}
		if ended {
			return nil
		}
		buf.Reset()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-q.changed:
		case <-closed:
			ended = true
		case <-idle.C:
			buf.WriteString(": \n\n")
		}
		events, missed := q.take()
		if missed > 0 {
			appendEvent(&buf, "missed", strconv.AppendUint(nil, missed, 10))
		}
		for _, e := range events {
			appendEvent(&buf, e.name, e.data)
		}
	}
}

// appendEvent writes an event as the HTML standard has it: each line of the data in a field of its own.
func appendEvent(buf *bytes.Buffer, name string, data []byte) {
	buf.WriteString("event: " + name + "\n")
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		buf.WriteString("data: ")
		buf.Write(bytes.ReplaceAll(line, []byte("\r"), nil)) // which would end the line, too
		buf.WriteByte('\n')
	}
	buf.WriteByte('\n')
}
