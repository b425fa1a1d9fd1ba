package main

import (
	"bytes"
	"encoding/json"
	"log/slog"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// What is wrong with a value that is no envelope.
const (
	noValue    = "no value"
	notJSON    = "not JSON"
	noEnvelope = "no envelope"
)

// printer appends a record's form to dst, its end of line included.
type printer interface {
	append(dst []byte, e *entry) []byte
}

// entry is a Kafka record as the printers need it.
type entry struct {
	record *bus.Record
	// schema is the envelope's, or empty.
	schema string
	// data is the envelope's data, or the value where that is JSON and no envelope, or nil. It begins and ends with no white space.
	data []byte
	// object tells that data is a JSON object.
	object bool
	// note says why the value is no envelope; empty where it is one.
	note string
}

// open looks into the record's value. Whatever it finds can be printed.
func open(r *bus.Record) entry {
	e := entry{record: r}
	e.schema, e.data, e.note = unwrap(r.Value)
	e.object = len(e.data) > 0 && e.data[0] == '{'
	return e
}

// unwrap takes the data out of its envelope.
func unwrap(value []byte) (schema string, data []byte, note string) {
	if value == nil {
		return "", nil, noValue
	}
	var envelope map[string]json.RawMessage // and not a struct: that would take "DATA" for "data"
	if err := json.Unmarshal(value, &envelope); err != nil || envelope == nil {
		if !json.Valid(value) {
			return "", nil, notJSON
		}
		return "", bytes.Trim(value, " \t\r\n"), noEnvelope
	}
	data, ok := envelope["data"]
	if ok && json.Unmarshal(envelope["schema"], &schema) == nil && envelope["schema"][0] == '"' {
		return schema, data, ""
	}
	return "", bytes.Trim(value, " \t\r\n"), noEnvelope
}

// logRecord reads the entry as a log record. ok is false where it has nothing of one.
func (e *entry) logRecord() (r logrecord.Record, ok bool) {
	if !e.object {
		return r, false
	}
	r, err := logrecord.Decode(e.record.Value)
	return r, err == nil
}

// level returns the log record's level. ok is false for what has none, and so is no log record.
func (e *entry) level() (level slog.Level, ok bool) {
	r, ok := e.logRecord()
	return r.Level, ok && e.leveled()
}

// leveled tells whether the record says its level, by number or by name.
func (e *entry) leveled() bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal(e.data, &fields) != nil {
		return false
	}
	number, name := fields["level"], fields["severity"]
	isNumber := len(number) > 0 && (number[0] == '-' || number[0] >= '0' && number[0] <= '9')
	return isNumber || len(name) > 0 && name[0] == '"'
}
