package logrecord

import (
	"log/slog"
	"maps"
	"slices"
	"strconv"

	"github.com/kafkaesk/kafkaesk/internal/severity"
)

// attrPrefix begins the name of a plain attribute that has the name of an own field.
const attrPrefix = "attr_"

// own is an own field: a field that the record has by itself. The first twelve are the base fields, in two parts:
// those known before the attributes, and those known after them.
type own uint8

const (
	ownTimestamp own = iota
	ownSeverity
	ownLevel
	ownMessage
	ownLogger
	ownHostname
	ownService
	ownNamespace
	ownCluster
	ownException // the first one that is written at the end
	ownTrace
	ownStack
	ownSource // the first one that is not a base field
	ownTraceID
	ownSpanID
	ownTraceFlags
	ownInvalid // the first one that no model may write
	ownSchemaErrors
	ownTruncated
	ownFields // the number of own fields
)

// Sets of own fields, one bit for each.
const (
	early = 1<<ownException - 1      // base fields that are known before the attributes
	late  = 1<<ownSource - 1 - early // base fields that are known after the attributes
)

// ownNames returns the names of the own fields.
func ownNames() [ownFields]string {
	return [ownFields]string{
		"timestamp", "severity", "level", "message", "logger", "hostname", "service", "namespace", "cluster",
		"exception", "trace", "stack", "source", "trace_id", "span_id", "trace_flags", "invalid",
		"schema_errors", "truncated",
	}
}

// isBase reports whether the name is that of a base field.
func isBase(name string) bool {
	own := ownNames()
	return slices.Contains(own[:ownSource], name)
}

// names are the names of the own fields.
type names struct {
	keys   [ownFields][]byte // quoted, with a colon; nil for a field that is left out
	source [3]string         // names of function, file and line; source is one object if they are empty
	number func(slog.Level) int64
	byText map[string]own
	// lengths has one bit for each length, up to 63, of the names with the same first and last byte: it excludes most
	// keys of attributes without a further lookup.
	lengths [256]uint64
}

// IsOwnField reports whether the name is that of an own field of records in Kafka: one of the twelve base fields,
// source, trace_id, span_id, trace_flags, invalid, schema_errors or truncated. A plain attribute with such a name is
// renamed to attr_<name>.
func IsOwnField(name string) bool {
	own := ownNames()
	return slices.Contains(own[:], name)
}

// Preset is a set of names for the own fields.
type Preset uint8

const (
	// Kafkaesk are the names that records in Kafka have.
	Kafkaesk Preset = iota
	// OTel are the names of OpenTelemetry's log data model and its semantic conventions: Timestamp, SeverityText,
	// SeverityNumber (with OpenTelemetry's numbers), Body, trace_id, span_id, trace_flags, service.name,
	// exception.type.
	OTel
	// ECS are the names of the Elastic Common Schema, with dots: @timestamp, log.level, message, service.name,
	// error.type, trace.id. It has no field for the number of the level and the trace flags: they are left out.
	ECS
)

// names returns the preset's names of the own fields, "" for those that it lacks, the names of the three parts of
// source, "" if source is one object, and the start of all records.
func (p Preset) names() (fields [ownFields]string, source [3]string, start string) {
	fields = ownNames()
	switch p {
	case OTel:
		copy(fields[:], []string{
			"Timestamp", "SeverityText", "SeverityNumber", "Body", "otel.scope.name", "host.name", "service.name",
			"k8s.namespace.name",
			"k8s.cluster.name", "exception.type", "code.stacktrace", "exception.stacktrace",
		})
		source = [3]string{"code.function.name", "code.file.path", "code.line.number"}
	case ECS:
		copy(fields[:], []string{
			"@timestamp", "log.level", "", "message", "log.logger", "host.hostname", "service.name", "orchestrator.namespace",
			"orchestrator.cluster.name", "error.type", "log.origin.stack_trace", "error.stack_trace", "source", "trace.id",
			"span.id", "",
		})
		source = [3]string{"log.origin.function", "log.origin.file.name", "log.origin.file.line"}
		start = `"ecs.version":"8.11.0",`
	}
	return fields, source, start
}

// newNames returns the names of a preset, overridden by rename, whose keys are Kafkaesk's names; "" leaves a field
// out.
func newNames(preset Preset, rename map[string]string) (n names, start string) {
	fields, source, start := preset.names()
	for i, usual := range ownNames() {
		if name, renamed := rename[usual]; renamed {
			fields[i] = name
			if own(i) == ownSource {
				source = [3]string{}
			}
		}
	}
	n = names{byText: make(map[string]own, len(fields)), source: source}
	for i, text := range fields {
		if text == "" {
			continue
		}
		n.keys[i] = append(appendString(nil, text), ':')
		n.add(text, own(i))
	}
	for _, text := range source {
		if text != "" {
			n.add(text, ownSource)
		}
	}
	if preset == OTel {
		n.number = func(l slog.Level) int64 { return min(max(int64(l)+9, 1), 24) }
	} else {
		n.number = severity.Number
	}
	return n, start
}

func (n *names) add(text string, f own) {
	n.byText[text] = f
	n.lengths[endsOf(text)] |= 1 << min(len(text), 63)
}

// endsOf returns the index in names.lengths of a name, which must not be empty.
func endsOf(name string) byte { return name[0] + 31*name[len(name)-1] }

// find returns the own field of that name.
func (n *names) find(name string) (own, bool) {
	if name == "" || n.lengths[endsOf(name)]&(1<<min(len(name), 63)) == 0 {
		return 0, false
	}
	f, found := n.byText[name]
	return f, found
}

// constant returns the comma behind the message, and the base fields that are equal in all records, each with its
// comma.
func (n *names) constant(b Base) []byte {
	var text []byte
	if n.keys[ownMessage] != nil {
		text = append(text, ',')
	}
	for i, value := range []*string{b.Logger, b.Hostname, b.Service, b.Namespace, b.Cluster} {
		if key := n.keys[int(ownLogger)+i]; key != nil {
			text = append(text, key...)
			if value == nil {
				text = append(text, "null"...)
			} else {
				text = appendString(text, *value)
			}
			text = append(text, ',')
		}
	}
	return text
}

// lateNulls returns exception, trace and stack of a record without them.
func (n *names) lateNulls() []byte {
	var text []byte
	for f := ownException; f <= ownStack; f++ {
		if key := n.keys[f]; key != nil {
			text = append(append(text, key...), "null,"...)
		}
	}
	return text
}

// levelText is the start of records of a level.
type levelText struct {
	level slog.Level
	name  string
	text  []byte // the fields severity and level, and the key of the message
}

// levelTexts returns the levels with names, lowest first.
func (n *names) levelTexts(own map[slog.Level]string) []levelText {
	all := map[slog.Level]string{}
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError, slog.LevelError + 4} {
		all[l] = severity.Name(l)
	}
	maps.Copy(all, own)
	var texts []levelText
	for _, l := range slices.Sorted(maps.Keys(all)) {
		texts = append(texts, levelText{level: l, name: all[l], text: n.appendLevel(nil, all[l], l)})
	}
	return texts
}

func (n *names) appendLevel(dst []byte, name string, l slog.Level) []byte {
	if key := n.keys[ownSeverity]; key != nil {
		dst = append(appendString(append(dst, key...), name), ',')
	}
	if key := n.keys[ownLevel]; key != nil {
		dst = append(strconv.AppendInt(append(dst, key...), n.number(l), 10), ',')
	}
	return append(dst, n.keys[ownMessage]...)
}

// levelText returns the start of the records of a named level; nil for a level without a name.
func (s *shared) levelText(l slog.Level) *levelText {
	for i := range s.severities {
		if s.severities[i].level == l {
			return &s.severities[i]
		}
	}
	return nil
}

// level writes the fields severity and level, and the key of the message. A level without a name uses that of the
// next lower one.
func (b *builder) level(l slog.Level) {
	if t := b.levelText(l); t != nil {
		b.buf = append(b.buf, t.text...)
		return
	}
	name := b.severities[0].name
	for _, t := range b.severities {
		if t.level < l {
			name = t.name
		}
	}
	b.buf = b.names.appendLevel(b.buf, name, l)
}
