package slogkafka

import (
	"math/bits"
	"sync"
	"time"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/recordid"
	"github.com/kafkaesk/kafkaesk/internal/shipping"
	"github.com/kafkaesk/kafkaesk/internal/tracecontext"
)

// queued is one accepted record, from Handle to its outcome. All its bytes lie in one piece of memory, and both serve
// again for another record. What changes after the hand-over is guarded by the shard's mutex, or belongs to the worker
// while the record is sending.
type queued struct {
	shard      *shard
	prev, next *queued // among its shard's records without an outcome, in the order of seq
	seq        uint64  // rising in the order of the calls
	state      state

	stream    string
	time      time.Time
	memory    []byte // the value, the key and the traceparent, one behind the other
	valueLen  int
	keyLen    int // -1: no key
	vendors   string
	truncated bool

	id     [recordid.Length]byte // made when the record is first sent or spooled, and kept from there on
	hasID  bool                  // the id is made
	tried  bool                  // the producer had it
	shifts int                   // how often the broker refused the time
	err    error                 // of the last attempt
	waiter *waiter               // of FlushOn; nil for most
}

// state is where a record is on its way.
type state uint8

const (
	waiting  state = iota // to be sent, or to be sent again
	sending               // the producer has it
	finished              // it has its outcome
)

// waiter is a call of Handle that waits for the outcome of its record.
type waiter struct {
	done chan struct{}
	err  error // valid after done
}

// itemOverhead is what a record takes besides its bytes: a queued, and its part of the lists it is in.
const itemOverhead = 320

// charge is what the record takes of the queue's bytes.
func (r *queued) charge() int64 { return int64(itemOverhead + cap(r.memory)) }

func (r *queued) value() []byte { return r.memory[:r.valueLen:r.valueLen] }

func (r *queued) key() []byte {
	if r.keyLen < 0 {
		return nil
	}
	return r.memory[r.valueLen : r.valueLen+r.keyLen : r.valueLen+r.keyLen]
}

// appendHeaders appends the record's headers, of which the last is its id.
func (r *queued) appendHeaders(dst []shipping.Header, now time.Time) []shipping.Header {
	if parent := r.memory[r.valueLen+max(0, r.keyLen):]; len(parent) > 0 {
		dst = append(dst, shipping.Header{Name: tracecontext.Parent, Value: parent})
		if r.vendors != "" {
			dst = append(dst, shipping.Header{Name: tracecontext.State, Value: []byte(r.vendors)})
		}
	}
	r.makeID(now)
	return append(dst, shipping.Header{Name: bus.IDHeader, Value: r.id[:]})
}

func (r *queued) makeID(now time.Time) {
	if !r.hasID {
		r.hasID = true
		recordid.New(&r.id, now)
	}
}

// Resolved takes the outcome of an attempt. The worker deals with it.
func (r *queued) Resolved(err error) {
	r.err = err
	r.shard.queue.resolved.add(r)
}

// end tells the call that waits for the record.
func (w *waiter) end(err error) {
	if w != nil {
		w.err = err
		close(w.done)
	}
}

// needs returns how much memory a record takes: its bytes, and those of its span.
func (e *entry) needs() int {
	n := len(e.value) + len(e.key)
	if e.span != nil {
		n += tracecontext.ParentLength
	}
	return n
}

// memories keeps the memory of records for others of about their size.
type memories struct{ pools [classes]sync.Pool }

const (
	smallestMemory = 256
	classes        = 33 // up to 64 KiB; longer records are rare, and not worth their memory
)

// classOf returns the class of n bytes, and how much memory it has: four classes for each doubling, so that at most a
// fifth is unused. What is longer than the last class has memory of its own.
func classOf(n int) (class, size int) {
	if n <= smallestMemory {
		return 0, smallestMemory
	}
	length := bits.Len(uint(n - 1))
	steps := (n-1)>>(length-3) + 1 // 5 to 8 eighths
	class = 4*(length-bits.Len(smallestMemory)) + steps - 4
	if class >= classes {
		return classes, n
	}
	return class, steps << (length - 3)
}

// get returns a record with a copy of what was handed over.
func (m *memories) get(e *entry) *queued {
	r := m.room(e.needs())
	r.stream, r.time, r.truncated = e.stream, e.time, e.truncated
	r.memory = append(append(r.memory, e.value...), e.key...)
	r.valueLen, r.keyLen = len(e.value), len(e.key)
	if e.key == nil {
		r.keyLen = -1
	}
	if e.span != nil {
		r.memory = tracecontext.AppendParent(r.memory, *e.span)
		if vendors := e.span.TraceState(); vendors.Len() > 0 {
			r.vendors = vendors.String()
		}
	}
	return r
}

// room returns a record that is empty, with memory for n bytes.
func (m *memories) room(n int) *queued {
	class, size := classOf(n)
	if class < classes {
		if r, ok := m.pools[class].Get().(*queued); ok {
			return r
		}
	}
	return &queued{memory: make([]byte, 0, size)}
}

// put takes the memory of a record that is over.
func (m *memories) put(r *queued) {
	class, size := classOf(cap(r.memory))
	if class < classes && size == cap(r.memory) {
		*r = queued{memory: r.memory[:0]}
		m.pools[class].Put(r)
	}
}

// replace gives a record another value, which is shorter. Key and span stay.
func (r *queued) replace(value []byte) {
	tail := r.memory[r.valueLen:]
	_, size := classOf(len(value) + len(tail))
	r.memory = append(append(make([]byte, 0, size), value...), tail...)
	r.valueLen = len(value)
}
