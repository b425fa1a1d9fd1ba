// Package entry looks into the value of a Kafka record: is it an envelope, a log record, or something else. It reads
// the bytes where they lie, in one pass, and decodes nothing.
package entry

import (
	"bytes"
	"log/slog"
	"math"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/jsonscan"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// What is wrong with a value that is no envelope.
const (
	NoValue    = "no value"
	NotJSON    = "not JSON"
	NoEnvelope = "no envelope"
)

// Entry is a Kafka record, and what its value is. It is a view of the Opener that made it, and of the record.
type Entry struct {
	Record *wire.Record
	// Object is the JSON object of the envelope's data, or the value itself where that is one and no envelope; nil for
	// all else. It begins and ends with no white space.
	Object []byte
	// Data is the JSON of the envelope's data, or the value, where that is no object; nil for all else.
	Data []byte
	// Schema is the envelope's, empty where there is none.
	Schema string
	// Note says why the value is no envelope; empty where it is one.
	Note string
	// Flags tell what is to be looked at before the JSON is copied.
	Flags jsonscan.Flags
	// Nanos is the log record's own timestamp, and Kafka's where it has none, in nanoseconds since 1970.
	Nanos int64
	// Timed is false for a record that has no time at all: Nanos is the smallest number then.
	Timed bool

	value           []byte // in which members has its places
	members         []jsonscan.Member
	level, severity []byte
	logger, service []byte
	traceID         []byte
}

// Opener opens records one after another. It is for one goroutine.
type Opener struct {
	scanner jsonscan.Scanner
	again   jsonscan.Scanner // for what the first does not find
	entry   Entry
	schema  string // of the record before
}

// Open looks into a record. The entry is valid until the next Open.
func (o *Opener) Open(r *wire.Record) *Entry {
	o.entry = Entry{Record: r}
	e := &o.entry
	o.unwrap(e)
	for _, m := range e.members {
		e.note(m)
	}
	e.time()
	return e
}

// unwrap takes the data out of its envelope.
func (o *Opener) unwrap(e *Entry) {
	value := e.Record.Value
	switch {
	case value == nil:
		e.Note = NoValue
		return
	case !o.scanner.Scan(value):
		e.Note = NotJSON
		return
	}
	s := &o.scanner
	e.Flags, e.value = s.Flags, value
	var schema, data []byte
	for _, m := range s.Members {
		switch name := s.Name(m); {
		case string(name) == "schema", s.Flags&jsonscan.Repeated != 0 && jsonscan.Is(name, "schema"):
			schema = s.Value(m)
		case string(name) == "data", s.Flags&jsonscan.Repeated != 0 && jsonscan.Is(name, "data"):
			data = s.Value(m)
		}
	}
	switch {
	case data == nil || len(schema) == 0 || schema[0] != '"': // a bare object, or other JSON
		e.Note = NoEnvelope
		e.members = s.Members
		e.set(bytes.Trim(value, " \t\r\n"))
		return
	case s.Flags&jsonscan.Repeated != 0: // the members that were noted may be those of another data
		o.again.Scan(data)
		e.value, e.members = data, o.again.Members
	default:
		e.members = s.Data
	}
	if len(o.schema) != len(schema)-2 || o.schema != string(schema[1:len(schema)-1]) {
		o.schema = jsonscan.Text(schema[1 : len(schema)-1])
	}
	e.Schema = o.schema
	e.set(data)
}

func (e *Entry) set(data []byte) {
	if data[0] == '{' {
		e.Object = data
		return
	}
	e.Data, e.members = data, nil
}

// note keeps what filters and the order ask for most.
func (e *Entry) note(m jsonscan.Member) {
	switch value := e.value[m.Start:m.End:m.End]; string(e.value[m.NameStart:m.NameEnd]) {
	case "level":
		e.level = value
	case "severity":
		e.severity = value
	case "timestamp":
		if nanos, ok := logtext.Nanos(value); ok {
			e.Nanos, e.Timed = nanos, true
		}
	case "logger":
		e.logger = value
	case "service":
		e.service = value
	case "trace_id":
		e.traceID = value
	}
}

// time is Kafka's where the record has none of its own.
func (e *Entry) time() {
	switch ms := e.Record.Time.UnixMilli(); {
	case e.Timed:
	case !HasTime(e.Record):
		e.Nanos = math.MinInt64
	case ms > math.MaxInt64/1_000_000:
		e.Nanos, e.Timed = math.MaxInt64, true
	case ms < math.MinInt64/1_000_000:
		e.Nanos, e.Timed = math.MinInt64, true
	default:
		e.Nanos, e.Timed = ms*1e6, true
	}
}

// HasTime reports whether Kafka has a time for the record: -1 means that there is none.
func HasTime(r *wire.Record) bool { return !r.Time.IsZero() && r.Time.UnixMilli() != -1 }

// Time is Kafka's time of the record; zero for none.
func Time(r *wire.Record) time.Time {
	if !HasTime(r) {
		return time.Time{}
	}
	return r.Time
}

// HasUnderscore reports whether a field's name begins with an underscore, as those do that output adds.
func (e *Entry) HasUnderscore() bool {
	for _, m := range e.members {
		if m.NameEnd > m.NameStart && e.value[m.NameStart] == '_' {
			return true
		}
	}
	return false
}

// Level is the log record's level. ok is false for what has none, and so is no log record.
func (e *Entry) Level() (level slog.Level, ok bool) { return logtext.Level(e.level, e.severity) }

// Service, Logger and TraceID are the JSON of these fields; nil where there is none.
func (e *Entry) Service() []byte { return e.service }

// Logger is the JSON of the field logger.
func (e *Entry) Logger() []byte { return e.logger }

// TraceID is the JSON of the field trace_id.
func (e *Entry) TraceID() []byte { return e.traceID }

// Find returns the JSON of a field by its path: its name, or names of groups and fields with dots between them. It
// allocates nothing for names without escapes.
func (e *Entry) Find(path string) []byte {
	var value []byte
	for _, m := range e.members { // the last of a name counts
		if e.is(m, path) {
			value = e.value[m.Start:m.End:m.End]
		}
	}
	for i := 0; value == nil && i < len(path); i++ {
		if path[i] != '.' {
			continue
		}
		for _, m := range e.members {
			if e.value[m.Start] == '{' && e.is(m, path[:i]) {
				if found := find(e.value[m.Start:m.End:m.End], path[i+1:]); found != nil {
					value = found
				}
			}
		}
	}
	return value
}

// is reports whether a member has that name.
func (e *Entry) is(m jsonscan.Member, name string) bool {
	written := e.value[m.NameStart:m.NameEnd]
	return string(written) == name || e.Flags&jsonscan.Repeated != 0 && jsonscan.Is(written, name)
}

// find is Find in an object.
func find(object []byte, path string) (value []byte) {
	jsonscan.Walk(object, func(name, v []byte) bool {
		switch {
		case jsonscan.Is(name, path):
			value = v
		case v[0] == '{' && len(path) > len(name) && path[len(name)] == '.' && path[:len(name)] == string(name):
			if found := find(v, path[len(name)+1:]); found != nil {
				value = found
			}
		}
		return true
	})
	return value
}
