package slogkafka

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/kafkaesk/kafkaesk/internal/aside"
	"github.com/kafkaesk/kafkaesk/internal/ownlog"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// fallenKey marks the context of what a fallback gets, so that it ends here when the fallback leads back.
type fallenKey struct{}

func fallen(ctx context.Context) bool { return ctx.Value(fallenKey{}) != nil }

// fallback gives the records that are dropped to the handler of Fallback, on a goroutine of its own and out of a queue
// of its own. A handler that is slow, blocks or panics costs records of that queue, and nothing else.
type fallback struct {
	handler  slog.Handler // nil: none
	runner   *aside.Runner
	maxBytes int64        // of the records that wait for the handler
	calling  atomic.Int32 // calls of the handler that are under way

	looks     atomic.Uint64 // how often it was looked whether the handler calls us
	leadsBack atomic.Bool   // it did

	state            atomic.Uint64 // a fallbackState
	taken, lost, out atomic.Uint64
}

// fallbackState is how many records were given to the runner whose call has not returned, in the bits from
// fallbackShift on, how many bytes they take, in those below, and whether Close is over, and has counted them as lost.
// All change at once, without a lock, because log calls that find no room change it.
type fallbackState uint64

const (
	fallbackShift  = 38
	fallbackClosed = 1 << 63
)

func (s fallbackState) records() int64 { return int64(s &^ fallbackClosed >> fallbackShift) }
func (s fallbackState) bytes() int64   { return int64(s & (1<<fallbackShift - 1)) }
func (s fallbackState) closed() bool   { return s&fallbackClosed != 0 }

const (
	// maxFallback is how many records wait for the handler of Fallback at most.
	maxFallback = 4096
	// fallbackShare is the part of the queue's bytes that they may take beside it, and minFallback the least.
	fallbackShare, minFallback = 16, 256 << 10
)

// reserve reports whether one more record may wait. If not, or if there is no handler, the record is counted as lost.
func (f *fallback) reserve(n int64) bool {
	if f.handler == nil {
		f.lost.Add(1)
		return false
	}
	for {
		now := f.state.Load()
		s := fallbackState(now)
		if s.closed() || s.records() >= maxFallback || s.records() > 0 && s.bytes()+n > f.maxBytes {
			f.miss(1)
			return false
		}
		if f.state.CompareAndSwap(now, now+1<<fallbackShift+uint64(n)) {
			return true
		}
	}
}

// give has a record handled for which room was reserved.
func (f *fallback) give(r *queued, why reason) {
	n := r.charge
	if !f.runner.Do(func() { f.call(r, why, n) }) {
		f.done(n, false)
	}
}

// call has a record handled, and gives back the room of n bytes, also when the handler ends its goroutine.
func (f *fallback) call(r *queued, why reason, n int64) {
	ok := false
	defer func() { f.done(n, ok) }()
	ok = f.handle(r, why)
}

// miss counts dropped records that are not given to the handler.
func (f *fallback) miss(n uint64) {
	f.lost.Add(n)
	if f.handler != nil {
		f.out.Add(n)
	}
}

// giveAll has all these handled, however many they are, until stop says that the time is over.
func (f *fallback) giveAll(left []*queued, stop func() bool) {
	if f.handler == nil {
		f.miss(uint64(len(left)))
		return
	}
	f.state.Add(uint64(len(left)) << fallbackShift)
	f.runner.Do(func() {
		for _, r := range left {
			if stop() {
				return // end counts them
			}
			f.call(r, undelivered, 0)
		}
	})
}

// done counts a call that has returned.
func (f *fallback) done(bytes int64, ok bool) {
	for {
		now := f.state.Load()
		next := now - uint64(bytes)
		if !fallbackState(now).closed() {
			next -= 1 << fallbackShift
		}
		if !f.state.CompareAndSwap(now, next) {
			continue
		}
		switch {
		case fallbackState(now).closed():
		case ok:
			f.taken.Add(1)
		default:
			f.miss(1)
		}
		return
	}
}

// end counts the records that were not handled in time as lost, and returns how many they are.
func (f *fallback) end() int {
	for {
		now := f.state.Load()
		s := fallbackState(now)
		if f.state.CompareAndSwap(now, uint64(s.bytes())|fallbackClosed) {
			f.miss(uint64(s.records()))
			return int(s.records())
		}
	}
}

func (f *fallback) addTo(s *Stats) {
	s.Fallback, s.FallbackDropped, s.Lost = f.taken.Load(), f.out.Load(), f.lost.Load()
}

// handle gives one record to the handler. It returns false when the handler failed.
//
//go:noinline
func (f *fallback) handle(r *queued, why reason) (ok bool) {
	f.calling.Add(1)
	defer func() {
		f.calling.Add(-1)
		if recover() != nil {
			ok = false
		}
	}()
	ctx := fallbackContext()
	if r.level != unknownLevel && !f.handler.Enabled(ctx, slog.Level(r.level)) {
		return true // it does not want records of the level
	}
	record, err := logrecord.Decode(r.value(new(logrecord.Clock)))
	if err != nil {
		return false
	}
	if r.level == unknownLevel && !f.handler.Enabled(ctx, record.Level) {
		return true
	}
	return f.handler.Handle(ctx, fallbackRecord(&record, why)) == nil
}

// callsUs reports whether the handler of Fallback is calling on this goroutine: what it logs may lead back here,
// without the context that says so. It looks at the stack, which costs a microsecond, while the handler is called and
// only for records that find no room.
func (f *fallback) callsUs() bool {
	if f.calling.Load() == 0 {
		return false
	}
	var pcs [256]uintptr
	for _, pc := range pcs[:runtime.Callers(2, pcs[:])] {
		if strings.HasSuffix(runtime.FuncForPC(pc-1).Name(), "slogkafka.(*fallback).handle") {
			return true
		}
	}
	return false
}

// Of the records that find no room while the handler is called, these many are looked at for whether it logs them, and
// then one of so many others, until one is found.
const firstLooks, lookEvery = 256, 64

// mayCallUs is callsUs for records that are dropped: most of the looks, each of which takes longer than the log call,
// are spared. What the handler logs, and was not looked at, is given to it in turn, and found then.
func (f *fallback) mayCallUs() bool {
	if f.calling.Load() == 0 {
		return false
	}
	if n := f.looks.Add(1); n > firstLooks && n%lookEvery > 0 && !f.leadsBack.Load() {
		return false
	}
	calls := f.callsUs()
	if calls {
		f.leadsBack.Store(true)
	}
	return calls
}

// fallbackContext is the context of all that goes to the handler: its marks keep that from coming back here.
func fallbackContext() context.Context {
	return context.WithValue(ownlog.Mark(context.Background()), fallenKey{}, true)
}

// fallbackRecord makes a slog.Record out of what was encoded, because nothing of the original is kept. All fields are
// attributes of slog's own kinds; those that are null are left out. dropped says why the record did not reach Kafka.
func fallbackRecord(record *logrecord.Record, why reason) slog.Record {
	r := slog.NewRecord(record.Time, record.Level, record.Message, 0)
	r.AddAttrs(slog.String("dropped", why.String()))
	for _, base := range []slog.Attr{
		slog.String("logger", record.Logger), slog.String("exception", record.Exception),
		slog.String("stack", record.Stack), slog.String("trace", record.Trace),
		slog.String("hostname", record.Hostname), slog.String("service", record.Service),
		slog.String("namespace", record.Namespace), slog.String("cluster", record.Cluster),
		slog.String("trace_id", record.TraceID), slog.String("span_id", record.SpanID),
	} {
		if base.Value.String() != "" {
			r.AddAttrs(base)
		}
	}
	if record.Source != nil {
		r.AddAttrs(slog.Any(slog.SourceKey, record.Source))
	}
	for _, f := range record.Fields {
		r.AddAttrs(slog.Attr{Key: f.Name, Value: plainValue(f.Value)})
	}
	if len(record.SchemaErrors) > 0 {
		r.AddAttrs(slog.Any("schema_errors", record.SchemaErrors))
	}
	if record.Truncated {
		r.AddAttrs(slog.Bool("truncated", true))
	}
	return r
}

// plainValue makes one of slog's values out of JSON: objects are groups in their order, and numbers have slog's kinds.
func plainValue(text []byte) slog.Value {
	if len(text) > 0 && text[0] == '{' {
		return groupValue(text)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return slog.StringValue(string(text))
	}
	if n, ok := v.(json.Number); ok {
		return numberValue(n)
	}
	return slog.AnyValue(v)
}

func numberValue(n json.Number) slog.Value {
	if i, err := n.Int64(); err == nil {
		return slog.Int64Value(i)
	}
	if f, err := n.Float64(); err == nil && strings.ContainsAny(n.String(), ".eE") {
		return slog.Float64Value(f)
	}
	return slog.AnyValue(n) // an integer of more than 64 bits keeps its digits
}

func groupValue(text []byte) slog.Value {
	dec := json.NewDecoder(bytes.NewReader(text))
	_, err := dec.Token()
	var attrs []slog.Attr
	for err == nil && dec.More() {
		var key json.Token
		var value json.RawMessage
		if key, err = dec.Token(); err == nil {
			err = dec.Decode(&value)
		}
		name, _ := key.(string)
		attrs = append(attrs, slog.Attr{Key: name, Value: plainValue(value)})
	}
	if err != nil {
		return slog.StringValue(string(text))
	}
	return slog.GroupValue(attrs...)
}
