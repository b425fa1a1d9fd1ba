package logrecord

import "bytes"

// Schema returns the JSON Schema of log records. It requires the fields that are always there, and leaves their types
// open, because a model may replace any of them.
func Schema() []byte {
	return bytes.TrimSpace([]byte(`
{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "LogRecord",
  "description": "One log record. Every log model and every plain attribute adds fields of its own.",
  "type": "object",
  "properties": {
    "timestamp": {
      "description": "When it was logged: RFC 3339 in UTC with nine digits; null when unknown.",
      "examples": ["2026-11-23T16:39:52.245858000Z"]
    },
    "logger": {"description": "The name of the logger."},
    "severity": {"description": "DEBUG, INFO, WARNING, ERROR or CRITICAL."},
    "level": {"description": "The severity as a number: 10, 20, 30, 40 or 50; others lie between named ones."},
    "message": {"description": "The text that was logged."},
    "exception": {"description": "The type of the error that was logged."},
    "trace": {"description": "The stack of the log call."},
    "stack": {"description": "The text of the error, with its trace."},
    "hostname": {"description": "The host that logged it."},
    "service": {"description": "The service that logged it."},
    "namespace": {"description": "The Kubernetes namespace."},
    "cluster": {"description": "The cluster."},
    "source": {"description": "Where the log call stands: function, file and line."},
    "trace_id": {"description": "OpenTelemetry's trace id, in hex."},
    "span_id": {"description": "OpenTelemetry's span id, in hex."},
    "invalid": {"description": "Fields that break the schema of their model, moved here under their path."},
    "schema_errors": {"description": "Why: <field>: <keyword>: <text>."},
    "truncated": {"description": "true when values were shortened to make the record fit."}
  },
  "required": [
    "timestamp", "logger", "severity", "level", "message", "exception", "trace", "stack",
    "hostname", "service", "namespace", "cluster"
  ],
  "additionalProperties": true
}`))
}
