// Package logrecord is the log record: what one call of a slog.Logger becomes on its way to a reader, and back.
//
// A log record is one JSON object. It has twelve base fields that are always there (timestamp, logger, severity,
// level, message, exception, trace, stack, hostname, service, namespace, cluster; null when unknown), and the
// fields of every log model and every plain attribute, groups nested.
//
// # Models
//
// A log model is a struct that marks itself as part of the record, by embedding [Model]:
//
//	type UserLog struct {
//		logrecord.Model
//		User string `json:"user" jsonschema:"minLength=1"`
//	}
//
//	logger.Info("signed in", logrecord.Attr(UserLog{User: "ada"}))
//
// It is recognised wherever slog lets a value be: as an argument of its own, under any key, in groups and in With. It
// becomes part of the object it stands in, and its key is gone: the record above has "user":"ada" beside "message".
// A nil pointer, slice or map in a field is left out. A field with the tag log:"-" is left out too, with log:"redact"
// it is "[redacted]", with log:"hash" an HMAC of its value; its constraints see the real value. A model with a method
// LogValue is logged as that returns it: its own tags mean nothing, neither those of log nor those of jsonschema. Only
// the handlers of package slogkafka know these tags: another handler that gets the same records, as in a fan-out,
// writes the values as they are. What must be seen nowhere has a LogValue that hides it, which every handler calls.
//
// The jsonschema tags of a model are its constraints. A field that breaks one is moved to "invalid", and the reason is
// told in "schema_errors"; the record goes out all the same.
//
// # Merging
//
// Base fields come first, then models and plain attributes in order of appearance, those of With before those of the
// call. A later one wins; null never overwrites. Groups of one name are one group. Only a model may replace a base
// field; a plain attribute or group of such a name, or of another field that the record has of its own, is kept as
// attr_<name>. No object of a record ever has the same key twice.
//
// The first attribute at the top whose value is an error, whatever its key, fills exception with the type of the first
// error in its chain that is no mere wrapper, and stack with the text of the chain and the stack that an error in it
// carries.
//
// # Encoding and decoding
//
// [Encoder] makes records out of slog's, and is what a slog.Handler is built on: see package slogkafka for two.
// [Decode] reads them, and those that kafkaesk for Python writes.
package logrecord
