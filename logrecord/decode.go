package logrecord

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
	"github.com/kafkaesk/kafkaesk/internal/severity"
)

// ErrNotRecord is the error of Decode for bytes that are not a log record: invalid JSON, or JSON that is not an
// object.
var ErrNotRecord = errors.New("logrecord: not a log record")

// Decode reads a log record, in its envelope or bare: the value of a Kafka record, or a line of a stream handler.
// Keys may come in any order. It also reads what kafkaesk for Python writes: times without a zone are UTC, base
// fields may be null, severities may have other names, and any field may have any type.
//
// It goes by the fields and not by the schema id: an envelope of another schema gives a Record that has Fields only. An
// object with the one member "data", whose value is an object, is taken for an envelope without a schema. The error
// wraps [ErrNotRecord]. The cost is linear in the size of the value. The Fields point into the value.
func Decode(value []byte) (Record, error) {
	if !json.Valid(value) {
		return Record{}, fmt.Errorf("%w: the %d bytes are not JSON", ErrNotRecord, len(value))
	}
	start := rawjson.Space(value, 0)
	if value[start] != '{' {
		return Record{}, fmt.Errorf("%w: the JSON is not an object", ErrNotRecord)
	}
	var r Record
	data := value
	if schema, inner, ok := envelope(value); ok {
		if inner[0] != '{' {
			return Record{}, fmt.Errorf("%w: the data of %q is not an object", ErrNotRecord, schema)
		}
		r.Schema, data = schema, inner
	}
	d := decoder{record: &r}
	rawjson.Members(data, d.member)
	d.finish()
	return r, nil
}

// DecodeValue sets the record to the result of [Decode]. It implements bus.ValueDecoder, so that handlers of
// subscriptions can take a Record, a *Record or a *bus.Message of either.
func (r *Record) DecodeValue(value []byte) error {
	decoded, err := Decode(value)
	if err != nil {
		return err
	}
	*r = decoded
	return nil
}

// envelope returns the content of an envelope: an object with a string "schema" and with "data", or an object whose
// only member is "data", an object.
func envelope(doc []byte) (schema string, data []byte, ok bool) {
	named, members := false, 0
	rawjson.Members(doc, func(key, value []byte) bool {
		members++
		switch rawjson.Unquote(key) {
		case "schema":
			named = value[0] == '"'
			if named {
				schema = rawjson.Unquote(value)
			}
		case "data":
			data = value
		}
		return true
	})
	return schema, data, data != nil && (named || members == 1 && data[0] == '{')
}

// decoder fills a record, member by member.
type decoder struct {
	record  *Record
	leveled bool // Level comes from the level's number
}

// member adds one member of the data. A null counts as absent for a known field, and is kept for any other.
func (d *decoder) member(key, value []byte) bool {
	name := rawjson.Unquote(key)
	if !d.known(name, value) {
		d.record.Fields = append(d.record.Fields, Field{Name: name, Value: json.RawMessage(value)})
	}
	return true
}

// known stores the value if the name is a field of Record and the value has the usual type.
func (d *decoder) known(name string, value []byte) bool {
	r := d.record
	var text *string
	switch name {
	case "logger":
		text = &r.Logger
	case "message":
		text = &r.Message
	case "exception":
		text = &r.Exception
	case "trace":
		text = &r.Trace
	case "stack":
		text = &r.Stack
	case "hostname":
		text = &r.Hostname
	case "service":
		text = &r.Service
	case "namespace":
		text = &r.Namespace
	case "cluster":
		text = &r.Cluster
	case "trace_id":
		text = &r.TraceID
	case "span_id":
		text = &r.SpanID
	case "severity":
		text = &r.Severity
	case "timestamp":
		return rawjson.IsNull(value) || d.time(value)
	case "level":
		return rawjson.IsNull(value) || d.level(value)
	case "source":
		return d.source(value)
	case "truncated":
		r.Truncated = string(value) == "true"
		return r.Truncated
	case "schema_errors":
		return d.errors(value)
	default:
		return false
	}
	if value[0] == '"' {
		*text = rawjson.Unquote(value)
		return true
	}
	return rawjson.IsNull(value)
}

func (d *decoder) time(value []byte) bool {
	if value[0] != '"' {
		return false
	}
	t, ok := rawjson.ParseTime(rawjson.Unquote(value))
	if ok {
		d.record.Time = t.UTC()
	}
	return ok
}

// level accepts a number, or a level name of another logger.
func (d *decoder) level(value []byte) bool {
	if value[0] == '"' {
		l, ok := severity.Word(rawjson.Unquote(value))
		if ok {
			d.record.Level, d.leveled = l, true
		}
		return ok
	}
	n, err := strconv.ParseFloat(string(value), 64)
	if err != nil {
		return false
	}
	d.record.Level, d.leveled = severity.Numbered(n), true
	return true
}

func (d *decoder) source(value []byte) bool {
	if value[0] != '{' {
		return false
	}
	// Only the form that this package writes: exactly three keys of the usual types.
	var s slog.Source
	dec := json.NewDecoder(strings.NewReader(string(value)))
	dec.DisallowUnknownFields()
	if dec.Decode(&s) != nil || s == (slog.Source{}) {
		return false
	}
	d.record.Source = &s
	return true
}

func (d *decoder) errors(value []byte) bool {
	if value[0] != '[' {
		return false
	}
	var texts []string
	ok := true
	rawjson.Elements(value, func(e []byte) bool {
		if ok = e[0] == '"'; ok {
			texts = append(texts, rawjson.Unquote(e))
		}
		return ok
	})
	if ok {
		d.record.SchemaErrors = texts
	}
	return ok
}

// finish derives a missing level from the severity, and a missing severity from the level.
func (d *decoder) finish() {
	r := d.record
	if !d.leveled {
		r.Level, _ = severity.Named(r.Severity) // INFO for an unknown name
	}
	if r.Severity == "" {
		r.Severity = severity.Name(r.Level)
	}
}
