// Package entry classifies the value of a Kafka record: an envelope, a log record, or something else. It reads the
// bytes in place, in one pass, and decodes nothing.
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

// The notes for values that are not envelopes.
const (
	NoValue    = "no value"
	NotJSON    = "not JSON"
	NoEnvelope = "no envelope"
)

// Entry is a Kafka record with its classified value. It is a view of the Opener that returned it, and of the record.
type Entry struct {
	Record *wire.Record
	// Object is the JSON object of the envelope's data, or the value itself if it is an object and not an envelope;
	// nil for all else. It has no surrounding white space.
	Object []byte
	// Data is the JSON of the envelope's data, or of the value, if it is not an object; nil for all else.
	Data []byte
	// Schema is the envelope's schema, empty without one.
	Schema string
	// Note is the reason why the value is not an envelope; empty if it is one.
	Note string
	// Flags describe what needs attention before the JSON is copied.
	Flags jsonscan.Flags
	// Nanos is the log record's own timestamp, or else Kafka's, in nanoseconds since 1970.
	Nanos int64
	// Timed is false for a record without any time: Nanos is the smallest number then.
	Timed bool

	value           []byte // members has offsets into it
	members         []jsonscan.Member
	level, severity []byte
	logger, service []byte
	traceID         []byte
}

// Opener classifies records. It must be used by one goroutine.
type Opener struct {
	scanner jsonscan.Scanner
	find    jsonscan.Scanner // finds members in a second pass
	entry   Entry
	schema  string // of the previous record
}

// Open classifies a record. The entry is valid until the next Open.
func (o *Opener) Open(r *wire.Record) *Entry {
	o.entry = Entry{Record: r}
	e := &o.entry
	o.unwrap(e)
	for _, m := range e.members {
		e.addMember(m)
	}
	e.time()
	return e
}

// unwrap takes the data out of the envelope.
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
	case s.Flags&jsonscan.Repeated != 0: // the stored members may be those of an earlier data
		o.find.Scan(data)
		e.value, e.members = data, o.find.Members
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

// addMember stores the fields that filters and the order read most.
func (e *Entry) addMember(m jsonscan.Member) {
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

// time uses Kafka's timestamp for a record without its own.
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

// HasTime reports whether the record has a Kafka timestamp: -1 means none.
func HasTime(r *wire.Record) bool { return !r.Time.IsZero() && r.Time.UnixMilli() != -1 }

// Time returns the record's Kafka timestamp; zero for none.
func Time(r *wire.Record) time.Time {
	if !HasTime(r) {
		return time.Time{}
	}
	return r.Time
}

// HasUnderscore reports whether a field's name begins with an underscore, as the names that output adds do.
func (e *Entry) HasUnderscore() bool {
	for _, m := range e.members {
		if m.NameEnd > m.NameStart && e.value[m.NameStart] == '_' {
			return true
		}
	}
	return false
}

// Level returns the log record's level. ok is false for a record without one, which is not a log record.
func (e *Entry) Level() (level slog.Level, ok bool) { return logtext.Level(e.level, e.severity) }

// Service returns the JSON of the field service; nil without it.
func (e *Entry) Service() []byte { return e.service }

// Logger returns the JSON of the field logger; nil without it.
func (e *Entry) Logger() []byte { return e.logger }

// TraceID returns the JSON of the field trace_id; nil without it.
func (e *Entry) TraceID() []byte { return e.traceID }

// Find returns the JSON of a field by its path: its name, or the names of groups and the field joined by dots. It
// allocates nothing for names without escapes.
func (e *Entry) Find(path string) []byte {
	var value []byte
	for _, m := range e.members { // the last of equal names counts
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
