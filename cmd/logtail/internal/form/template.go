package form

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/entry"
	"github.com/kafkaesk/kafkaesk/internal/jsonscan"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
	"github.com/kafkaesk/kafkaesk/internal/severity"
)

// Template is a compiled Go template.
type Template struct {
	template *template.Template
	zone     *time.Location
}

// Data is the data of a template. Control characters in texts are escaped.
type Data struct {
	Stream, Topic string
	Partition     int
	Offset        int64
	// Time is the log record's own timestamp, or Kafka's; zero for none.
	Time time.Time
	// Level is the severity's name; empty without a level.
	Level   string
	Message string
	Schema  string
	// Key and Value are the record's key and value as text.
	Key, Value string
	Headers    map[string]string
	// Fields are all fields of the record, groups nested.
	Fields map[string]any
}

// ParseTemplate compiles a template. In addition to Go's functions it has json, which writes a value as JSON, and
// field, which finds a field by its path: {{field . "order.id"}}.
func ParseTemplate(text string, zone *time.Location) (*Template, error) {
	t, err := template.New("template").Funcs(template.FuncMap{"json": toJSON,
		"field": field}).Option("missingkey=zero").Parse(text)
	if err != nil {
		return nil, err
	}
	if err := t.Execute(new(bytes.Buffer), Data{Fields: map[string]any{}, Headers: map[string]string{}}); err != nil {
		return nil, err
	}
	return &Template{t, zone}, nil
}

func toJSON(value any) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}

func field(d Data, path string) any {
	var at any = d.Fields
	for name := range strings.SplitSeq(path, ".") {
		group, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = group[name]
	}
	return at
}

// Append implements [Printer].
func (t *Template) Append(dst []byte, e *entry.Entry) []byte {
	r := e.Record
	d := Data{
		Stream: inert(r.Stream), Topic: inert(r.Topic), Partition: r.Partition, Offset: r.Offset,
		Key: inert(string(r.Key)), Value: inert(string(r.Value)), Schema: inert(e.Schema),
		Headers: make(map[string]string),
		Fields:  make(map[string]any),
	}
	if e.Timed {
		d.Time = time.Unix(0, e.Nanos).In(t.zone)
	}
	if level, ok := e.Level(); ok {
		d.Level = severity.Name(level)
	}
	for _, h := range r.Headers {
		d.Headers[inert(h.Name)] = inert(string(h.Value))
	}
	if e.Object != nil {
		decoder := json.NewDecoder(bytes.NewReader(jsonscan.AppendSafe(nil, e.Object, jsonscan.DeepFrom,
			logtext.Active)))
		decoder.UseNumber()
		var fields map[string]any
		if decoder.Decode(&fields) == nil {
			d.Fields = inertValue(fields).(map[string]any)
		}
		d.Message, _ = d.Fields["message"].(string)
	}
	var out bytes.Buffer
	if err := t.template.Execute(&out, d); err != nil {
		return logtext.AppendText(dst, fmt.Sprintf("%s/%d@%d: %v", r.Stream, r.Partition, r.Offset, err))
	}
	return append(dst, out.Bytes()...)
}

func inert(text string) string { return string(logtext.AppendText(nil, text)) }

func inertValue(value any) any {
	switch v := value.(type) {
	case string:
		return inert(v)
	case []any:
		for i := range v {
			v[i] = inertValue(v[i])
		}
	case map[string]any:
		safe := make(map[string]any, len(v))
		for name, member := range v {
			safe[inert(name)] = inertValue(member)
		}
		return safe
	}
	return value
}
