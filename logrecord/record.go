package logrecord

import (
	"encoding/json"
	"log/slog"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/rawjson"
)

// Record is one log record as a reader sees it.
//
// A base field with an unusual type, such as "level":"high" of a model in Python, is in Fields under its own name, so
// that nothing is lost, and its field here is empty.
type Record struct {
	// Schema is the schema id of the envelope, such as "LogRecord:1" or, from Python, "PydanticLogModel:1".
	// It is empty for a bare record.
	Schema string
	// Time is the record's timestamp in UTC; zero when there is none that can be read.
	Time time.Time
	// Level is slog's level: that of the record's level number, else that of its severity, else slog.LevelInfo.
	Level slog.Level
	// Severity is the record's own, else the name of its level: DEBUG, INFO, WARNING, ERROR or CRITICAL. Python lets
	// services add names.
	Severity string
	// Logger is the name of the logger.
	Logger string
	// Message is the text that was logged.
	Message string
	// Exception is the type of the error that was logged.
	Exception string
	// Stack is the text of that error, with its trace.
	Stack string
	// Trace is the stack of the log call.
	Trace string
	// Hostname, Service, Namespace and Cluster say where the record was made.
	Hostname, Service, Namespace, Cluster string
	// TraceID and SpanID are OpenTelemetry's, in hex.
	TraceID, SpanID string
	// Source is where the log call stands; nil when unknown.
	Source *slog.Source
	// Truncated tells that values were shortened to make the record fit.
	Truncated bool
	// SchemaErrors are the reasons why fields of the record were moved to its field "invalid".
	SchemaErrors []string
	// Fields are all the others, in their order.
	Fields []Field
}

// Field is one field of a record.
type Field struct {
	// Name is its key.
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
