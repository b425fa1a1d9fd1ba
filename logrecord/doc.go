// Package logrecord defines the log record: how a call of a slog.Logger is encoded, and how a reader decodes it.
//
// A log record is one JSON object. It always has twelve base fields (timestamp, logger, severity, level, message,
// exception, trace, stack, hostname, service, namespace, cluster; null when unknown), and it has the fields of every
// log model and every plain attribute, with nested groups. The fields that a record has by itself are its own fields:
// the base fields, and source, trace_id, span_id, trace_flags, invalid, schema_errors and truncated if there is
// something to write in them.
//
// # Models
//
// A log model is a struct that embeds [Model]:
//
//	type UserLog struct {
//		logrecord.Model
//		User string `json:"user" jsonschema:"minLength=1"`
//	}
//
//	logger.Info("signed in", logrecord.Attr(UserLog{User: "ada"}))
//
// A model may be logged wherever slog accepts a value: as an argument of its own, under any key, in groups and in
// With. Its fields become fields of the surrounding object, and its key is dropped: the record above has "user":"ada"
// beside "message". A field that is a nil pointer, slice or map is left out. The tag log:"-" leaves a field out,
// log:"redact" writes "[redacted]", and log:"hash" writes an HMAC of the value; constraints are checked against the
// real value. A model with a method LogValue is logged as the result of that method, without its log and jsonschema
// tags. Only the handlers of package slogkafka apply these tags: another handler that gets the same records, as in a
// fan-out, writes the real values. To hide a value from every handler, implement LogValue.
//
// The jsonschema tags of a model are its constraints. A field that violates one is moved to "invalid", and
// "schema_errors" has the reason; the record is still logged.
//
// # Merging
//
// The base fields come first, then models and plain attributes in the order of the calls, those of With before those of
// the log call. A later value replaces an earlier one, but null replaces nothing. Groups with one name are merged. Only
// a model may replace a base field; a plain attribute or group with the name of a base field, or of another field that
// the handler writes itself ([IsOwnField]), is renamed to attr_<name>. No object of a record has the same key twice.
//
// The first attribute at the top level whose value is an error, whatever its key, fills exception and stack.
// exception is the type of the first error in its chain that is not just a wrapper. stack is the text of the chain
// with the stack trace that an error in it carries.
//
// # Encoding and decoding
//
// [Encoder] encodes slog's records; package slogkafka has two handlers based on it. [Decode] decodes them, and the
// records of Python's kafkaesk.
package logrecord
