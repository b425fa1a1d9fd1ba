package slogkafka

import (
	"log/slog"
	"math"
	"math/bits"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/internal/recordid"
	"github.com/kafkaesk/kafkaesk/internal/shipping"
	"github.com/kafkaesk/kafkaesk/internal/tracecontext"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// queued is one accepted record, from Handle to its outcome. All its bytes lie in one piece of memory, and both serve
// again for another record. What changes after it came in is guarded by the shard's mutex, or belongs to the worker
// while the record is sending. What a log call writes lies together.
type queued struct {
	memory          []byte // the text, the key and the ids of the span, one behind the other
	shard           *shard
	seq             uint64  // rising in the order of the calls
	waiter          *waiter // of FlushOn; nil for most
	textLen, keyLen int32   // keyLen is -1 without a key
	state           state
	truncated       bool
	hasID           bool  // the id is made
	tried           bool  // the producer had it
	level           int32 // of the log call; unknownLevel for a record from the disk
	form            logrecord.Form
	time            time.Time
	charge          int64 // what the record takes of the queue's bytes

	prev, next *queued // among its shard's records without an outcome, in the order of seq
	stream     string  // "": that of the handler
	vendors    string
	id         [recordid.Length]byte // made when the record is first sent or spooled, and kept from there on
	shifts     int                   // how often the broker refused the time
	err        error                 // of the last attempt
}

// unknownLevel stands for a level that is not known without decoding the record.
const unknownLevel = math.MinInt32

// piece is a record with the memory that most need, in one piece.
type piece struct {
	queued
	bytes [smallestMemory]byte
}

// newMemory returns a record with memory for so many bytes.
func newMemory(size int) *queued {
	if size > smallestMemory {
		return &queued{memory: make([]byte, 0, size)}
	}
	b := new(piece)
	b.memory = b.bytes[:0:size]
	return &b.queued
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

func (r *queued) text() []byte { return r.memory[:r.textLen:r.textLen] }

// value returns the envelope. The record does not change.
func (r *queued) value(clock *logrecord.Clock) []byte {
	if r.form.Whole() {
		return r.text()
	}
	return r.appendValue(make([]byte, 0, r.valueLen()), clock)
}

func (r *queued) valueLen() int { return r.form.Len(int(r.textLen), len(r.span()) > 0) }

// appendValue appends the envelope.
func (r *queued) appendValue(dst []byte, clock *logrecord.Clock) []byte {
	var span *trace.SpanContext
	if ids := r.span(); len(ids) > 0 {
		span = new(spanOf(ids))
	}
	return r.form.Append(dst, r.text(), r.time, span, clock)
}

func (r *queued) key() []byte {
	if r.keyLen < 0 {
		return nil
	}
	end := r.textLen + r.keyLen
	return r.memory[r.textLen:end:end]
}

// span returns the ids of the record's span as bytes; none without one.
func (r *queued) span() []byte { return r.memory[r.textLen+max(0, r.keyLen):] }

// spanLength is the length of a span's ids: of the trace, of the span, and the flags.
const spanLength = len(trace.TraceID{}) + len(trace.SpanID{}) + 1

// spanOf returns the span whose ids fill has copied.
func spanOf(ids []byte) trace.SpanContext {
	var c trace.SpanContextConfig
	copy(c.TraceID[:], ids)
	copy(c.SpanID[:], ids[len(c.TraceID):])
	c.TraceFlags = trace.TraceFlags(ids[spanLength-1])
	return trace.NewSpanContext(c)
}

// appendHeaders appends the record's headers, of which the last is its id.
func (r *queued) appendHeaders(dst []shipping.Header, now time.Time) []shipping.Header {
	if ids := r.span(); len(ids) > 0 {
		parent := tracecontext.AppendParent(make([]byte, 0, tracecontext.ParentLength), spanOf(ids))
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
	n := len(e.text) + len(e.key)
	if e.span != nil {
		n += spanLength
	}
	return n
}

// length returns how long the envelope is.
func (e *entry) length() int { return e.form.Len(len(e.text), e.span != nil) }

// whole returns the envelope.
func (e *entry) whole() []byte {
	if e.form.Whole() {
		return e.text
	}
	return e.form.Append(nil, e.text, e.time, e.span, new(logrecord.Clock))
}

// charge is what the record takes of the queue's bytes: as much as if it were whole, which it is once it is sent.
func (e *entry) charge() int64 {
	_, size := classOf(e.needs() + e.length() - len(e.text))
	return int64(itemOverhead + size)
}

// memories keeps records that are over, and their memory, for others of about their size. The queue keeps them, because
// a sync.Pool forgets them when the garbage is collected, and what one processor has put into it comes to another late.
type memories struct {
	classes [classes][]*queued
	bytes   int64 // what they take
}

const (
	smallestMemory = 256 // most records need less, so that they all may have each other's memory
	classes        = 33  // up to 64 KiB; longer records are rare, and not worth their memory
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

// get returns a record of a class; nil if there is none. It does not look at the record, which is in another
// processor's cache.
func (m *memories) get(class, size int) *queued {
	if class == classes || len(m.classes[class]) == 0 {
		return nil
	}
	last := len(m.classes[class]) - 1
	r := m.classes[class][last]
	m.classes[class][last], m.classes[class] = nil, m.classes[class][:last]
	m.bytes -= memoryCharge(size)
	return r
}

// put takes a record that is over and was cleared.
func (m *memories) put(r *queued) {
	class, size := classOf(cap(r.memory))
	if class == classes || size != cap(r.memory) {
		return
	}
	m.bytes += memoryCharge(size)
	m.classes[class] = append(m.classes[class], r)
}

// memoryCharge is what a record takes that has so much memory.
func memoryCharge(size int) int64 { return int64(itemOverhead + size) }

// clear makes a record that is over ready for another one.
func (r *queued) clear() {
	r.shard, r.prev, r.next, r.memory, r.state, r.hasID, r.tried = nil, nil, nil, r.memory[:0], waiting, false, false
	r.form, r.stream, r.vendors, r.waiter, r.err, r.shifts = logrecord.Form{}, "", "", nil, nil, 0
}

// cell is what a processor keeps, as a rule, for the records that are logged on it.
type cell struct {
	shard uint32  // where its records go
	spare *queued // the memory of the next record; nil: none
}

// take returns the spare record if it is of that class, else one of the shard's, or a new one.
func (c *cell) take(s *shard, class, size int) *queued {
	r := c.spare
	if c.spare = nil; r != nil && cap(r.memory) == size {
		return r
	}
	if r = s.exchange(r, class, size); r == nil {
		r = s.queue.memory(class, size)
	}
	return r
}

// fetch brings a record, and its memory for n bytes, into the processor's cache, where it is not any more after the
// producer has used it. It does so by writing to it, which takes place while the caller goes on. The next record is
// copied into it without waiting for that.
func (r *queued) fetch(n int) {
	const line = 64
	r.state, r.charge = waiting, 0
	memory := r.memory[:cap(r.memory)]
	for i := 0; i < min(n, len(memory)); i += line {
		memory[i] = 0
	}
}

// fill copies what was handed over into a record that is empty.
func (r *queued) fill(e *entry, w *waiter) {
	r.time, r.truncated, r.waiter, r.form = e.time, e.truncated, w, e.form
	r.memory = append(append(r.memory, e.text...), e.key...)
	r.textLen, r.keyLen, r.level = int32(len(e.text)), int32(len(e.key)), int32(e.level)
	if slog.Level(r.level) != e.level {
		r.level = unknownLevel
	}
	if e.key == nil {
		r.keyLen = -1
	}
	if e.stream != "" {
		r.stream = e.stream
	}
	if e.span != nil {
		id, parent := e.span.TraceID(), e.span.SpanID()
		r.memory = append(append(append(r.memory, id[:]...), parent[:]...), byte(e.span.TraceFlags()))
		if vendors := e.span.TraceState(); vendors.Len() > 0 {
			r.vendors = vendors.String()
		}
	}
}

// newQueued returns a record that does not go into the queue, with a copy of what was handed over.
func newQueued(e *entry) *queued {
	r := &queued{memory: make([]byte, 0, e.needs()), charge: e.charge()}
	r.fill(e, nil)
	return r
}

// replace gives a record another value, which is shorter. Key and span stay.
func (r *queued) replace(value []byte) {
	tail := r.memory[r.textLen:]
	_, size := classOf(len(value) + len(tail))
	r.memory = append(append(make([]byte, 0, size), value...), tail...)
	r.textLen, r.form, r.charge = int32(len(value)), logrecord.Form{}, memoryCharge(size)
}
