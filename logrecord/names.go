package logrecord

import (
	"log/slog"
	"maps"
	"slices"
	"strconv"

	"github.com/kafkaesk/kafkaesk/internal/severity"
)

// attrPrefix stands before the name of a plain attribute that would be taken for a field of the record's own.
const attrPrefix = "attr_"

// own is a field that the record has of its own. The first twelve are the base fields, in two parts: what is known when a
// record begins, and what is known at its end.
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
	ownException // the first that is written at the end
	ownTrace
	ownStack
	ownSource // the first that is no base field
	ownTraceID
	ownSpanID
	ownTraceFlags
	ownInvalid // the first that no model may write
	ownSchemaErrors
	ownTruncated
	ownFields // how many there are
)

// Sets of own fields, one bit for each.
const (
	early = 1<<ownException - 1      // the base fields that are known when a record begins
	late  = 1<<ownSource - 1 - early // and those that are known at its end
)

// ownNames returns the names of the record's own fields.
func ownNames() [ownFields]string {
	return [ownFields]string{
		"timestamp", "severity", "level", "message", "logger", "hostname", "service", "namespace", "cluster",
		"exception", "trace", "stack", "source", "trace_id", "span_id", "trace_flags", "invalid", "schema_errors", "truncated",
	}
}

// isBase tells whether every record has a base field of that name.
func isBase(name string) bool {
	own := ownNames()
	for _, n := range own[:ownSource] {
		if n == name {
			return true
		}
	}
	return false
}

// names are the names of the record's own fields.
type names struct {
	keys   [ownFields][]byte // quoted, with a colon; nil for a field that is left out
	byText map[string]own
	// lengths has, for each first byte of a name, one bit for each length of such a name, up to 63: most keys of
	// attributes are found to be none of these names without looking further.
	lengths [256]uint64
}

func newNames(texts [ownFields]string) names {
	n := names{byText: make(map[string]own, len(texts))}
	for i, text := range texts {
		if text == "" {
			continue
		}
		n.keys[i] = append(appendString(nil, text), ':')
		n.byText[text] = own(i)
		n.lengths[text[0]] |= 1 << min(len(text), 63)
	}
	return n
}

// find returns the own field of that name.
func (n *names) find(name string) (own, bool) {
	if name == "" || n.lengths[name[0]]&(1<<min(len(name), 63)) == 0 {
		return 0, false
	}
	f, found := n.byText[name]
	return f, found
}

// constant returns the base fields that are the same in all records, each with its comma.
func (n *names) constant(b Base) []byte {
	var text []byte
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

// levelText is how records of a level begin.
type levelText struct {
	level slog.Level
	name  string
	text  []byte // the fields severity and level
}

// levelTexts returns the levels that have names, from the lowest on.
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
		dst = append(strconv.AppendInt(append(dst, key...), severity.Number(l), 10), ',')
	}
	return dst
}

// level writes the fields severity and level. A level without a name has that of the one below it.
func (b *builder) level(l slog.Level) {
	name := b.severities[0].name
	for i := range b.severities {
		t := &b.severities[i]
		if t.level == l {
			b.buf = append(b.buf, t.text...)
			return
		}
		if t.level < l {
			name = t.name
		}
	}
	b.buf = b.names.appendLevel(b.buf, name, l)
}
