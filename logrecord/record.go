package logrecord

import (
	"encoding/json"
	"log/slog"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// Record is one decoded log record.
//
// A base field with an unusual type, such as "level":"high" of a model in Python, is in Fields under its own name, so
// that nothing is lost, and its field here is empty.
type Record struct {
	// Schema is the schema id of the envelope, such as "LogRecord:1" or, from Python, "PydanticLogModel:1". It is
	// empty for a record without an envelope.
	Schema string
	// Time is the record's timestamp in UTC; zero when it is missing or unreadable.
	Time time.Time
	// Level is slog's level: that of the record's level number, else that of its severity, else slog.LevelInfo.
	Level slog.Level
	// Severity is the record's own, else the name of its level: DEBUG, INFO, WARNING, ERROR or CRITICAL. Python lets
	// services add names.
	Severity string
	// Logger is the name of the logger.
	Logger string
	// Message is the logged message.
	Message string
	// Exception is the type of the logged error.
	Exception string
	// Stack is the text of that error with its stack trace.
	Stack string
	// Trace is the stack of the log call.
	Trace string
	// Hostname, Service, Namespace and Cluster describe the record's origin.
	Hostname, Service, Namespace, Cluster string
	// TraceID and SpanID are OpenTelemetry's ids, in hex.
	TraceID, SpanID string
	// Source is the position of the log call; nil when unknown.
	Source *slog.Source
	// Truncated reports that values were shortened to make the record fit.
	Truncated bool
	// SchemaErrors are the reasons why fields were moved to the record's field "invalid".
	SchemaErrors []string
	// Fields are all other fields, in their order.
	Fields []Field
}

// Field is one field of a record.
type Field struct {
	// Name is the field's key.
	Name string
	// Value is its JSON, as it was written. It points into the bytes that Decode was given.
	Value json.RawMessage
}

// Plain returns the value for printing: the text of a string, and the JSON of anything else.
func (f Field) Plain() any {
	if len(f.Value) > 0 && f.Value[0] == '"' {
		return rawjson.Unquote(f.Value)
	}
	return f.Value
}
