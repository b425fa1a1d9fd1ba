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
	// keepAlive is the maximum silence of an event stream. It keeps proxies from closing the stream, and detects
	// viewers that have disconnected.
	keepAlive = 15 * time.Second
	// writeTimeout is how long a write to a viewer may block.
	writeTimeout = time.Minute
)

// Queue holds the events that one viewer has not received yet, in bounded memory. When it is full, it drops the
// oldest event, and the viewer receives an event "missed", whose data is the number of dropped events. Its methods
// may be called concurrently.
type Queue struct {
	most, mostBytes int

	mu      sync.Mutex
	waiting []event
	bytes   int
	missed  uint64
	changed chan struct{} // has a token after an Add
}

type event struct {
	name string
	data []byte
}

// NewQueue returns a queue that holds at most the given number of events and bytes of their data.
func NewQueue(events, bytes int) *Queue {
	return &Queue{most: events, mostBytes: bytes, changed: make(chan struct{}, 1)}
}

// Add appends events with one name, and copies their data. It never blocks.
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

// drain empties the queue.
func (q *Queue) drain() (events []event, missed uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	events, missed = q.waiting, q.missed
	q.waiting, q.bytes, q.missed = nil, 0, 0
	return events, missed
}

// Serve sends the queue's events to a viewer until ctx ends, the viewer disconnects, or closed is closed and the
// queue is empty. The request's own context should be a parent of ctx.
func (q *Queue) Serve(ctx context.Context, w http.ResponseWriter, closed <-chan struct{}) error {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would buffer events
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
		events, missed := q.drain()
		if missed > 0 {
			appendEvent(&buf, "missed", strconv.AppendUint(nil, missed, 10))
		}
		for _, e := range events {
			appendEvent(&buf, e.name, e.data)
		}
	}
}

// appendEvent writes an event in the format of the HTML standard: each line of the data in a field of its own.
func appendEvent(buf *bytes.Buffer, name string, data []byte) {
	buf.WriteString("event: " + name + "\n")
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		buf.WriteString("data: ")
		buf.Write(bytes.ReplaceAll(line, []byte("\r"), nil)) // a CR would end the line, too
		buf.WriteByte('\n')
	}
	buf.WriteByte('\n')
}
