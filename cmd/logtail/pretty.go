package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kafkaesk/kafkaesk/logrecord"
)

// prettyPrinter prints a record for people:
//
//	2026-11-23 17:14:11.495 ERROR    logs.shop  payment failed  order.id=42 exception=*net.OpError
//	    dial tcp 10.0.0.7:443: connection refused
//
// Groups are flattened. Only the lines of a stack follow the first, indented, so that no text in a record can pass for a record.
// Where the record was made (hostname, namespace, cluster) is left out; JSON output has it.
type prettyPrinter struct {
	color bool
	zone  *time.Location
}

func (p prettyPrinter) append(dst []byte, e *entry) []byte {
	r, isObject := e.logRecord()
	t := r.Time
	if t.IsZero() {
		t = e.record.Time
	}
	dst = p.styled(dst, dim, t.In(p.zone).Format("2006-01-02 15:04:05.000"))
	dst = append(dst, ' ')
	if isObject && e.leveled() {
		dst = p.styled(dst, levelStyle(r.Level), pad(appendName(nil, r.Severity), len("CRITICAL")))
	} else {
		dst = p.styled(dst, dim, pad([]byte("-"), len("CRITICAL")))
	}
	dst = append(dst, ' ')
	dst = p.styled(dst, streamStyle(e.record.Stream), string(appendName(nil, e.record.Stream)))
	if e.note != "" {
		dst = p.part(dst, dim, "["+e.note+"]")
	}
	switch {
	case isObject:
		dst = p.object(dst, e, &r)
	case e.data != nil:
		dst = p.part(dst, plain, string(appendSafeJSON(nil, e.data)))
	case len(e.record.Value) > 0:
		dst = p.part(dst, plain, string(appendText(nil, string(e.record.Value))))
	}
	dst = append(dst, '\n')
	if !saysField(&r, r.Stack) {
		dst = p.stack(dst, r.Stack)
	}
	return p.stack(dst, r.Trace)
}

// object appends what the record says: the message, then everything else as name=value.
func (p prettyPrinter) object(dst []byte, e *entry, r *logrecord.Record) []byte {
	if r.Message != "" {
		style := plain
		if r.Level >= slog.LevelWarn {
			style = bold
		}
		dst = p.part(dst, style, string(appendText(nil, r.Message)))
	} else if e.schema != "" {
		dst = p.part(dst, dim, string(appendName(nil, e.schema)))
	}
	dst = append(dst, ' ')
	for _, f := range r.Fields {
		dst = p.field(dst, f.Name, f.Value, 0)
	}
	dst = p.text(dst, "exception", r.Exception)
	dst = p.text(dst, "logger", r.Logger)
	if r.Service != "unknown" {
		dst = p.text(dst, "service", r.Service)
	}
	dst = p.text(dst, "trace_id", r.TraceID)
	dst = p.text(dst, "span_id", r.SpanID)
	if r.Source != nil {
		dst = p.text(dst, "source", path.Base(r.Source.File)+":"+strconv.Itoa(r.Source.Line))
	}
	if r.Truncated {
		dst = p.text(dst, "truncated", "true")
	}
	dst = p.text(dst, "schema_errors", strings.Join(r.SchemaErrors, "; "))
	return bytes.TrimRight(dst, " ")
}

// field appends a field, and those of a group each by its path. What is nested deeper than anyone logs stays JSON.
func (p prettyPrinter) field(dst []byte, name string, value json.RawMessage, depth int) []byte {
	const deepest = 8
	switch {
	case value[0] == '"':
		var text string
		_ = json.Unmarshal(value, &text) // found valid by Decode
		return p.value(dst, name, quoted(text))
	case value[0] == '{' && depth < deepest:
		members := json.NewDecoder(bytes.NewReader(value))
		_, _ = members.Token() // the brace; none of these can fail in valid JSON
		if !members.More() {
			return p.value(dst, name, []byte("{}"))
		}
		for members.More() {
			key, _ := members.Token()
			var member json.RawMessage
			if members.Decode(&member) != nil {
				return dst
			}
			dst = p.field(dst, name+"."+key.(string), member, depth+1)
		}
		return dst
	default:
		return p.value(dst, name, appendSafeJSON(nil, value))
	}
}

// text appends a field that is a text, if there is any.
func (p prettyPrinter) text(dst []byte, name, text string) []byte {
	if text == "" {
		return dst
	}
	return p.value(dst, name, quoted(text))
}

func (p prettyPrinter) value(dst []byte, name string, value []byte) []byte {
	dst = append(dst, ' ')
	dst = p.styled(dst, dim, string(appendName(nil, name))+"=")
	return append(dst, value...)
}

// quoted returns text in quotes where it is not one word.
func quoted(text string) []byte {
	safe := appendText(nil, text)
	if text != "" && len(safe) == len(text) && !strings.ContainsAny(text, ` "=`) {
		return safe
	}
	return append(append([]byte{'"'}, bytes.ReplaceAll(safe, []byte(`"`), []byte(`\"`))...), '"')
}

// saysField tells whether a field of the record has that very text: an error without a trace is in its own attribute already.
func saysField(r *logrecord.Record, text string) bool {
	return slices.ContainsFunc(r.Fields, func(f logrecord.Field) bool { return f.Plain() == any(text) })
}

// stack appends the lines of a stack, each escaped and indented.
func (p prettyPrinter) stack(dst []byte, text string) []byte {
	if text == "" {
		return dst
	}
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		dst = append(dst, "    "...)
		indent := len(line) - len(strings.TrimLeft(line, "\t"))
		dst = append(dst, strings.Repeat("    ", indent)...)
		dst = p.styled(dst, dim, string(appendText(nil, line[indent:])))
		dst = append(dst, '\n')
	}
	return dst
}

// part appends a part of the line, two spaces apart from the one before it.
func (p prettyPrinter) part(dst []byte, s style, text string) []byte {
	return p.styled(append(dst, "  "...), s, text)
}

func (p prettyPrinter) styled(dst []byte, s style, text string) []byte {
	if !p.color || s == plain {
		return append(dst, text...)
	}
	dst = append(dst, s...)
	dst = append(dst, text...)
	return append(dst, reset...)
}

func pad(text []byte, width int) string {
	return string(text) + strings.Repeat(" ", max(0, width-len(text)))
}
