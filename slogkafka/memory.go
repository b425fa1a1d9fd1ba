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

// queued is a record from its acceptance by Handle to its outcome. All its bytes are in one piece of memory. The struct
// and its memory are used again for further records. The shard's mutex guards the fields that change after push; while
// the record is being sent, the worker owns them. The fields that a log call writes are next to each other.
type queued struct {
	memory          []byte // the text, the key and the ids of the span, in this order
	shard           *shard
	seq             uint64  // rising in the order of the calls
	waiter          *waiter // of FlushOn; nil for most
	textLen, keyLen int32   // keyLen is -1 without a key
	state           state
	truncated       bool
	hasID           bool  // id is set
	tried           bool  // it was passed to the producer before
	level           int32 // of the log call; unknownLevel for a record from the disk
	form            logrecord.Form
	time            time.Time
	charge          int64 // the bytes that the record has reserved in the queue

	prev, next *queued // in the list of its shard
	stream     string  // "": that of the handler
	vendors    string
	id         [recordid.Length]byte // made when the record is first sent or spooled, and kept from there on
	shifts     int                   // how many times the broker has refused its time
	err        error                 // of the last attempt
}

// unknownLevel is the level of a record that would have to be decoded to know its level.
const unknownLevel = math.MinInt32

// piece is a record with memory of the smallest class, so that one allocation makes both.
type piece struct {
	queued
	bytes [smallestMemory]byte
}

// newMemory allocates a record with memory for size bytes.
func newMemory(size int) *queued {
	if size > smallestMemory {
		return &queued{memory: make([]byte, 0, size)}
	}
	b := new(piece)
	b.memory = b.bytes[:0:size]
	return &b.queued
}

// state is the state of the delivery of a record.
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

// itemOverhead is the memory of a record besides its bytes: a queued, and its share of the lists that contain it.
const itemOverhead = 320

func (r *queued) text() []byte { return r.memory[:r.textLen:r.textLen] }

// value returns the envelope. It does not change the record.
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

// Resolved receives the outcome of an attempt from the producer. The worker applies it.
func (r *queued) Resolved(err error) {
	r.err = err
	r.shard.queue.resolved.add(r)
}

// end ends the wait of the call with the error err. w may be nil.
func (w *waiter) end(err error) {
	if w != nil {
		w.err = err
		close(w.done)
	}
}

// needs returns the length of a record's memory: text, key and the ids of the span.
func (e *entry) needs() int {
	n := len(e.text) + len(e.key)
	if e.span != nil {
		n += spanLength
	}
	return n
}

// length returns the length of the envelope.
func (e *entry) length() int { return e.form.Len(len(e.text), e.span != nil) }

// whole returns the envelope.
func (e *entry) whole() []byte {
	if e.form.Whole() {
		return e.text
	}
	return e.form.Append(nil, e.text, e.time, e.span, new(logrecord.Clock))
}

// charge returns the bytes that the record reserves in the queue. It counts the whole envelope, because that is what
// the producer gets.
func (e *entry) charge() int64 {
	_, size := classOf(e.needs() + e.length() - len(e.text))
	return int64(itemOverhead + size)
}

// memories keeps finished records with their memory for further records of about the same size. It is not a sync.Pool,
// because a garbage collection empties a pool, and because here one processor frees the memory that another needs.
type memories struct {
	classes [classes][]*queued
	bytes   int64 // their sum of memoryCharge
}

const (
	smallestMemory = 256 // most records need less, and so are all of one class
	classes        = 33  // up to 64 KiB; longer records are rare, and their memory is not kept
)

// classOf returns the class for n bytes, and the length of its memory. There are four classes for each doubling, so
// that at most a fifth of the memory is unused. For more bytes than the last class has it returns classes and n.
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

// get returns a record of a class; nil if there is none. It does not read the record, which probably is in the cache of
// another processor.
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

// put keeps a finished record, which was cleared, unless its memory has the size of no class.
func (m *memories) put(r *queued) {
	class, size := classOf(cap(r.memory))
	if class == classes || size != cap(r.memory) {
		return
	}
	m.bytes += memoryCharge(size)
	m.classes[class] = append(m.classes[class], r)
}

// memoryCharge returns the bytes that a record with size bytes of memory takes in all.
func memoryCharge(size int) int64 { return int64(itemOverhead + size) }

// clear empties a finished record for its next use.
func (r *queued) clear() {
	r.shard, r.prev, r.next, r.memory, r.state, r.hasID, r.tried = nil, nil, nil, r.memory[:0], waiting, false, false
	r.form, r.stream, r.vendors, r.waiter, r.err, r.shifts = logrecord.Form{}, "", "", nil, nil, 0
}

// cell holds what consecutive log calls share. As a rule each processor has a cell of its own.
type cell struct {
	shard uint32  // number that selects the shard
	spare *queued // the memory of the next record; nil: none
}

// emptyRecord returns the spare record if it is of the class, else a free record of the shard, else one of
// queue.memory.
func (c *cell) emptyRecord(s *shard, class, size int) *queued {
	r := c.spare
	if c.spare = nil; r != nil && cap(r.memory) == size {
		return r
	}
	if r = s.exchange(r, class, size); r == nil {
		r = s.queue.memory(class, size)
	}
	return r
}

// fetch loads a record, and n bytes of its memory, into the processor's cache, from which the worker's use on another
// processor has removed it. It writes to each cache line: the processor completes such writes while the caller
// continues, so that fill does not wait for them later.
func (r *queued) fetch(n int) {
	const line = 64
	r.state, r.charge = waiting, 0
	memory := r.memory[:cap(r.memory)]
	for i := 0; i < min(n, len(memory)); i += line {
		memory[i] = 0
	}
}

// fill copies the log record e into the empty record.
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

// newQueued returns a copy of e for the fallback. It is not added to the queue.
func newQueued(e *entry) *queued {
	r := &queued{memory: make([]byte, 0, e.needs()), charge: e.charge()}
	r.fill(e, nil)
	return r
}

// replace replaces the value of a record by a shorter one. It keeps the key and the span.
func (r *queued) replace(value []byte) {
	tail := r.memory[r.textLen:]
	_, size := classOf(len(value) + len(tail))
	r.memory = append(append(make([]byte, 0, size), value...), tail...)
	r.textLen, r.form, r.charge = int32(len(value)), logrecord.Form{}, memoryCharge(size)
}
