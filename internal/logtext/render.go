// Package logtext writes log records for people:
//
//	2026-11-23 17:14:11.495 ERROR    logs.shop  payment failed  order.id=42 took=27ms exception=*net.OpError
//	    stack | dial tcp 10.0.0.7:443: connection refused
//
// It reads the record's JSON in place. A record is one line, followed by the lines of its stacks, which are indented
// and labeled, so that no text in a record can look like another record or field, or control the terminal. The output
// is at most a small multiple of the record.
package logtext

import (
	"bytes"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/jsonscan"
	"github.com/kafkaesk/kafkaesk/internal/severity"
)

// Full is the time layout with the date, and Short the one without.
const (
	Full  = "2006-01-02 15:04:05.000"
	Short = "15:04:05.000"
)

// Record is the input of a Renderer: a log record or any other Kafka record.
type Record struct {
	// Object is the valid JSON object of a log record; nil for any other record.
	Object []byte
	// Text is shown instead of a missing Object.
	Text string
	// Time is used when Object has no timestamp; zero for none.
	Time time.Time
	// Stream is shown behind the level. Empty for none.
	Stream string
	// Note is shown before the message, such as "not JSON". Empty for none.
	Note string
	// Schema is shown when the record has neither a message nor fields.
	Schema string
	// Extra are further fields, shown first, such as the key and the headers.
	Extra []Extra
}

// Extra is a field outside of the record's JSON.
type Extra struct{ Name, Value string }

// Renderer writes records. Its methods may be called concurrently; its fields must not change meanwhile.
type Renderer struct {
	// Color uses ANSI sequences.
	Color bool
	// Layout of times, in Zone: [Full], [Short], or another of package time.
	Layout string
	Zone   *time.Location
	// Width is the width of the terminal in columns: values longer than about two lines are cut, and the middle of
	// long stacks is left out. 0 cuts nothing.
	Width int
	// StreamWidth is the minimum width of the stream's column.
	StreamWidth int
	// Long writes each field on a line of its own.
	Long bool
	// Hide reports whether to leave out a field, given its path of names joined by dots.
	Hide func(path string) bool
	// Highlight marks its matches in messages and values. It needs Color.
	Highlight *regexp.Regexp
}

// Append appends the record's text, including the last line end.
func (r *Renderer) Append(dst []byte, rec *Record) []byte {
	var f fields
	if rec.Object != nil {
		f.read(rec.Object)
	}
	dst = r.head(dst, rec, &f)
	start := len(dst)
	w := writer{Renderer: r, dst: dst, start: start}
	if rec.Note != "" {
		w.part(dim, "["+rec.Note+"]")
	}
	w.message(rec, &f)
	if !r.Long {
		w.dst = append(w.dst, ' ')
	}
	w.rest(rec, &f)
	w.dst = append(w.dst, '\n')
	if !f.says(f.stack) {
		w.lines("stack", f.stack)
	}
	w.lines("trace", f.trace)
	return w.dst
}

// Parts are the parts of a record's line, for callers with a layout of their own.
type Parts struct {
	// Time is the record's time; zero for none.
	Time time.Time
	// Level is the numeric level, and LevelName the record's name for it; empty for none.
	Level     slog.Level
	LevelName string
	// Message includes the note, and Fields are all other fields as name=value. Both are escaped, and cut as the
	// Renderer is configured.
	Message, Fields string
}

// Parts returns the parts of the record's line. Stacks are not included.
func (r *Renderer) Parts(rec *Record) Parts {
	var f fields
	if rec.Object != nil {
		f.read(rec.Object)
	}
	p := Parts{Time: rec.Time}
	if own, ok := Timestamp(f.timestamp); ok {
		p.Time = own
	}
	if level, ok := Level(f.level, f.severity); ok {
		p.Level, p.LevelName = level, string(AppendName(nil, f.severityName(level)))
	}
	w := writer{Renderer: r}
	if rec.Note != "" {
		w.part(plain, "["+rec.Note+"]")
	}
	switch {
	case f.message != nil:
		w.long(plain, jsonscan.Text(f.message[1:len(f.message)-1]), AppendText)
	case rec.Object == nil && rec.Text != "":
		w.long(plain, rec.Text, AppendText)
	}
	p.Message = string(bytes.TrimLeft(w.dst, " "))
	w.dst = nil
	w.rest(rec, &f)
	p.Fields = string(bytes.TrimLeft(w.dst, " "))
	return p
}

// head appends the columns: time, level, stream.
func (r *Renderer) head(dst []byte, rec *Record, f *fields) []byte {
	t := rec.Time
	if own, ok := Timestamp(f.timestamp); ok {
		t = own
	}
	var text []byte
	if t.IsZero() {
		text = pad([]byte("-"), len(r.Layout))
	} else {
		text = t.In(r.Zone).AppendFormat(nil, r.Layout)
	}
	dst = r.styled(dst, dim, text)
	dst = append(dst, ' ')
	level, leveled := Level(f.level, f.severity)
	if leveled {
		dst = r.styled(dst, LevelStyle(level), pad(appendWord(nil, f.severityName(level)), len("CRITICAL")))
	} else {
		dst = r.styled(dst, dim, pad([]byte("-"), len("CRITICAL")))
	}
	if rec.Stream != "" {
		dst = append(dst, ' ')
		name := AppendName(nil, rec.Stream)
		dst = r.styled(dst, StreamStyle(rec.Stream), pad(name, r.StreamWidth))
	}
	return dst
}

// styled appends text in a style. Empty text has no escape sequences.
func (r *Renderer) styled(dst []byte, s Style, text []byte) []byte {
	if !r.Color || s == plain || len(text) == 0 {
		return append(dst, text...)
	}
	dst = append(dst, s...)
	dst = append(dst, text...)
	return append(dst, reset...)
}

// fields are the well-known fields of a record, as JSON, and the others.
type fields struct {
	timestamp, severity, level, message              []byte
	logger, exception, trace, stack                  []byte
	hostname, service, namespace, cluster            []byte
	traceID, spanID, source, truncated, schemaErrors []byte
	others                                           []field
}

type field struct {
	name  string
	value []byte
}

func (f *fields) read(object []byte) {
	var s jsonscan.Scanner
	if !s.Scan(object) {
		return
	}
	if s.Flags&jsonscan.Repeated != 0 {
		jsonscan.Unique(object, f.member)
	} else {
		for _, m := range s.Members {
			f.member(s.Name(m), s.Value(m))
		}
	}
	if f.message == nil { // the name in other loggers
		for i, o := range f.others {
			if o.name == "msg" && o.value[0] == '"' {
				f.message = o.value
				f.others = append(f.others[:i:i], f.others[i+1:]...)
				break
			}
		}
	}
}

// member stores a member of the record. A well-known name with an unusual type is an ordinary field.
func (f *fields) member(name, value []byte) {
	text := jsonscan.Text(name)
	var known *[]byte
	switch text {
	case "timestamp":
		known = &f.timestamp
	case "severity":
		known = &f.severity
	case "message":
		known = &f.message
	case "logger":
		known = &f.logger
	case "exception":
		known = &f.exception
	case "trace":
		known = &f.trace
	case "stack":
		known = &f.stack
	case "hostname":
		known = &f.hostname
	case "service":
		known = &f.service
	case "namespace":
		known = &f.namespace
	case "cluster":
		known = &f.cluster
	case "trace_id":
		known = &f.traceID
	case "span_id":
		known = &f.spanID
	}
	switch {
	case known != nil && string(value) == "null":
	case known == &f.timestamp && !isTime(value):
		f.others = append(f.others, field{text, value})
	case known != nil && value[0] == '"':
		*known = value
	case text == "level" && isLevel(value):
		f.level = value
	case text == "level" && string(value) == "null":
	case text == "source" && value[0] == '{':
		f.source = value
	case text == "truncated" && string(value) == "true":
		f.truncated = value
	case text == "schema_errors" && value[0] == '[':
		f.schemaErrors = value
	default:
		f.others = append(f.others, field{text, value})
	}
}

func isLevel(value []byte) bool {
	_, ok := Level(value, nil)
	return ok
}

func isTime(value []byte) bool {
	_, ok := Timestamp(value)
	return ok
}

// severityName returns the record's own name of its level.
func (f *fields) severityName(level slog.Level) string {
	for _, name := range [][]byte{f.severity, f.level} {
		if len(name) > 2 && name[0] == '"' {
			return jsonscan.Text(name[1 : len(name)-1])
		}
	}
	return severity.Name(level)
}

// says reports whether a field of the record equals text: the text of an error without a trace is an attribute
// already.
func (f *fields) says(text []byte) bool {
	for _, o := range f.others {
		if bytes.Equal(o.value, text) {
			return true
		}
	}
	return false
}

// writer appends one record.
type writer struct {
	*Renderer
	dst     []byte
	start   int // of the message
	written int // fields
	left    int // fields that were left out of a long record
	size    int // of their values
}

// part appends a part of the line behind two spaces.
func (w *writer) part(s Style, text string) {
	w.dst = append(w.dst, "  "...)
	w.dst = w.styled(w.dst, s, []byte(text))
}

// message appends the message, or its replacement.
func (w *writer) message(rec *Record, f *fields) {
	switch {
	case f.message != nil:
		s := plain
		if l, ok := Level(f.level, f.severity); ok && l >= slog.LevelWarn {
			s = bold
		}
		w.long(s, jsonscan.Text(f.message[1:len(f.message)-1]), appendMessage)
	case rec.Object == nil && rec.Text != "":
		w.long(plain, rec.Text, AppendText)
	}
}

// long appends a text that may be cut.
func (w *writer) long(s Style, text string, form func(dst []byte, text string) []byte) {
	shown, shorter := cut(text, 4*w.most())
	w.dst = append(w.dst, "  "...)
	w.dst = w.highlighted(w.dst, s, form(nil, shown))
	if shorter {
		w.dst = appendSize(w.dst, len(text))
	}
}

// rest appends the parts behind the message.
func (w *writer) rest(rec *Record, f *fields) {
	for _, e := range rec.Extra {
		w.text(e.Name, e.Value)
	}
	w.fields(f)
	if rec.Object != nil && f.message == nil && w.written == 0 && rec.Schema != "" {
		w.dst = bytes.TrimSuffix(w.dst, []byte(" ")) // the separator before the fields
		w.part(dim, string(AppendName(nil, rec.Schema)))
	}
	w.more()
	w.dst = bytes.TrimRight(w.dst, " ")
}

// most returns the maximum number of bytes of a value; 0: unlimited.
func (w *writer) most() int {
	if w.Width == 0 {
		return 0
	}
	n := max(2*w.Width, 160)
	if w.Long {
		n *= 10
	}
	return n
}

// fields appends all fields except the message.
func (w *writer) fields(f *fields) {
	for _, o := range f.others {
		w.field(o.name, o.value, 0)
	}
	for _, known := range [...]field{
		{"exception", f.exception}, {"logger", f.logger}, {"service", f.service}, {"hostname", f.hostname},
		{"namespace", f.namespace}, {"cluster", f.cluster}, {"trace_id", f.traceID}, {"span_id", f.spanID},
	} {
		if len(known.value) > 2 && (known.name != "service" || string(known.value) != `"unknown"` || w.Long) {
			w.field(known.name, known.value, 0)
		}
	}
	if f.source != nil {
		if at, ok := callSite(f.source); ok {
			w.text("source", at)
		} else {
			w.field("source", f.source, 0)
		}
	}
	if f.truncated != nil {
		w.text("truncated", "true")
	}
	if f.schemaErrors != nil {
		w.field("schema_errors", f.schemaErrors, 0)
	}
}

// callSite formats the position of the log call from slog's Source.
func callSite(source []byte) (string, bool) {
	file, line := jsonscan.Find(source, "file"), jsonscan.Find(source, "line")
	if len(file) < 3 || file[0] != '"' || len(line) == 0 || line[0] < '0' || line[0] > '9' {
		return "", false
	}
	text := jsonscan.Text(file[1 : len(file)-1])
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == '/' || text[i] == '\\' {
			text = text[i+1:]
			break
		}
	}
	return text + ":" + string(line), true
}

const (
	deepest = 8   // maximum depth of flattened groups
	allowed = 256 // bytes that the paths of its members may add to a group's size
)

// field appends a field. A group is flattened into its members by path, unless the paths would be much longer than
// it.
func (w *writer) field(name string, value []byte, depth int) {
	if w.Hide != nil && w.Hide(name) {
		return
	}
	if value[0] == '{' && depth < deepest {
		members := 0
		jsonscan.Walk(value, func([]byte, []byte) bool { members++; return true })
		if members > 0 && members*(len(name)+1) <= len(value)+allowed {
			jsonscan.Unique(value, func(key, member []byte) { w.field(name+"."+jsonscan.Text(key), member, depth+1) })
			return
		}
	}
	switch d, ok := duration(name, value); {
	case ok:
		w.pair(name, []byte(d), false, len(value))
	case value[0] == '"':
		w.text(name, jsonscan.Text(value[1:len(value)-1]))
	default:
		shown, shorter := cut(string(jsonscan.AppendSafe(nil, value, jsonscan.DeepFrom, Active)), w.most())
		w.pair(name, []byte(shown), shorter, len(value))
	}
}

// text appends a text field.
func (w *writer) text(name, text string) {
	shown, shorter := cut(text, w.most())
	w.pair(name, appendWord(nil, shown), shorter, len(text))
}

// pair appends name=value. In a record that is too long for the terminal it counts the field instead.
func (w *writer) pair(name string, value []byte, shorter bool, size int) {
	if w.Width > 0 && !w.Long && len(w.dst)-w.start > 12*w.Width {
		w.left++
		w.size += size
		return
	}
	w.written++
	between := "="
	if w.Long {
		w.dst = append(bytes.TrimRight(w.dst, " "), "\n    "...)
		between = ": "
	} else {
		w.dst = append(w.dst, ' ')
	}
	shown, _ := cut(name, 256)
	w.dst = w.styled(w.dst, dim, append(appendWord(nil, shown), between...))
	w.dst = w.highlighted(w.dst, plain, value)
	if shorter {
		w.dst = appendSize(w.dst, size)
	}
}

// more appends the number and size of the fields that were left out.
func (w *writer) more() {
	if w.left > 0 {
		w.part(dim, fmt.Sprintf("… and %d more fields (%s)", w.left, Size(w.size)))
	}
}

// highlighted appends text in a style, with the matches of Highlight in reverse video.
func (w *writer) highlighted(dst []byte, s Style, text []byte) []byte {
	if w.Highlight == nil || !w.Color {
		return w.styled(dst, s, text)
	}
	at := 0
	for _, m := range w.Highlight.FindAllIndex(text, 100) {
		if m[0] < m[1] {
			dst = w.styled(dst, s, text[at:m[0]])
			dst = w.styled(dst, reverse, text[m[0]:m[1]])
			at = m[1]
		}
	}
	return w.styled(dst, s, text[at:])
}

// fewLines is the maximum number of shown lines of a stack.
const fewLines = 50

// lines appends a stack: its lines indented behind a bar, the first with its name.
func (w *writer) lines(name string, literal []byte) {
	if len(literal) <= 2 || w.Hide != nil && w.Hide(name) {
		return
	}
	text := bytes.TrimRight([]byte(jsonscan.Text(literal[1:len(literal)-1])), "\n")
	label, n := name, 0
	for line := range bytes.Lines(text) {
		if n++; n > fewLines && w.Width > 0 && !w.Long {
			w.line(label, fmt.Sprintf("… and %d more lines", bytes.Count(text, []byte("\n"))+1-fewLines), 0)
			return
		}
		line = bytes.ReplaceAll(bytes.TrimSuffix(line, []byte("\n")), []byte("\t"), []byte("    "))
		shown, shorter := cut(string(line), 4*w.most())
		size := 0
		if shorter {
			size = len(line)
		}
		w.line(label, shown, size)
		label = "     "
	}
}

// line appends a line of a stack, and its size if it was cut.
func (w *writer) line(label, text string, size int) {
	form := AppendText([]byte(label+" | "), text)
	if size > 0 {
		form = appendSize(form, size)
	}
	w.dst = append(w.dst, "    "...)
	w.dst = append(w.styled(w.dst, dim, form), '\n')
}
