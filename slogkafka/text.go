package slogkafka

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/logrecord"
)

// appendText appends a record for people:
//
//	15:04:05.000 WARNING slow answer user=ada request.path=/a took=1200
//
// Groups are flattened. What is the same in every record, the host and the service, is left out. The lines of a stack
// follow, indented. Nothing in a record can control a terminal or make a line look like a record of its own.
func appendText(dst []byte, r *logrecord.Record) []byte {
	if r.Time.IsZero() {
		dst = append(dst, "--:--:--.---"...)
	} else {
		dst = r.Time.Local().AppendFormat(dst, "15:04:05.000")
	}
	dst = append(dst, ' ')
	dst = append(append(dst, sanitize(r.Severity)...), ' ')
	if r.Logger != "" {
		dst = append(append(dst, sanitize(r.Logger)...), ": "...)
	}
	dst = append(dst, sanitize(r.Message)...)
	for _, f := range r.Fields {
		dst = appendField(dst, f.Name, f.Value)
	}
	for _, e := range r.SchemaErrors {
		dst = appendPair(dst, "schema_error", e)
	}
	if r.Truncated {
		dst = append(dst, " truncated=true"...)
	}
	if r.TraceID != "" {
		dst = appendPair(dst, "trace_id", r.TraceID)
	}
	if r.Source != nil {
		dst = appendPair(dst, "source", r.Source.File+":"+strconv.Itoa(r.Source.Line))
	}
	if strings.Contains(r.Stack, "\n") { // else it says what the error's own field says
		dst = appendLines(dst, r.Stack)
	}
	return appendLines(dst, r.Trace)
}

// appendLines appends a stack, each line behind a bar that no record's line begins with.
func appendLines(dst []byte, text string) []byte {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		if text != "" {
			dst = append(append(dst, "\n    | "...), sanitize(strings.ReplaceAll(line, "\t", "    "))...)
		}
	}
	return dst
}

// appendField appends name=value, for an object once for each of its members.
func appendField(dst []byte, name string, value json.RawMessage) []byte {
	if value[0] != '{' || string(value) == "{}" {
		return appendPair(dst, name, plain(value))
	}
	dec := json.NewDecoder(bytes.NewReader(value))
	_, _ = dec.Token() // the brace; the value is known to be valid
	for dec.More() {
		key, _ := dec.Token()
		var inner json.RawMessage
		if dec.Decode(&inner) != nil {
			break
		}
		text, _ := key.(string)
		dst = appendField(dst, name+"."+text, inner)
	}
	return dst
}

// plain returns the text of a string, and the JSON of anything else.
func plain(value json.RawMessage) string {
	if text, ok := (logrecord.Field{Value: value}).Plain().(string); ok {
		return text
	}
	return string(value)
}

func appendPair(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, ' '), sanitize(name)...), '=')
	if value == "" || !harmless(value) || strings.ContainsAny(value, " =\"") {
		return append(dst, escape(value, true)...)
	}
	return append(dst, value...)
}

// sanitize escapes what is not to be printed.
func sanitize(text string) string {
	if harmless(text) {
		return text
	}
	return escape(text, false)
}

// harmless tells whether the text is nothing but what can be seen: no control characters, none that change the direction of
// a text, none without width.
func harmless(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// escape writes what is not printable as Go does, in quotes or not.
func escape(text string, quotes bool) string {
	quoted := strconv.Quote(text)
	if !quotes {
		quoted = strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	}
	return quoted
}
