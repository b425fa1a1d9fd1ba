// Package form writes records in logtail's output formats. Except for a raw value that is written to a file or a
// pipe, all output is escaped: no byte of a record controls a terminal.
package form

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/entry"
	"github.com/kafkaesk/kafkaesk/internal/jsonscan"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// Printer formats records, one after another, for one goroutine.
type Printer interface {
	// Append appends the formatted record without its last line end.
	Append(dst []byte, e *entry.Entry) []byte
}

// Selection selects the shown fields. The zero value shows all.
type Selection struct {
	// Fields are the paths of the only shown fields; none means all except Hide.
	Fields []string
	Hide   []string
}

// All reports whether everything is shown.
func (s *Selection) All() bool { return len(s.Fields) == 0 && len(s.Hide) == 0 }

// Hides reports whether the field of this path is left out with everything in it.
func (s *Selection) Hides(path string) bool {
	if slices.ContainsFunc(s.Hide, func(h string) bool { return within(path, h) }) {
		return true
	}
	return len(s.Fields) > 0 && !slices.ContainsFunc(s.Fields, func(f string) bool {
		return within(path, f) ||
			within(f, path)
	})
}

// splits reports whether only a part of the field is left out.
func (s *Selection) splits(path string) bool {
	if slices.ContainsFunc(s.Hide, func(h string) bool { return h != path && within(h, path) }) {
		return true
	}
	return len(s.Fields) > 0 && !slices.ContainsFunc(s.Fields, func(f string) bool { return within(path, f) })
}

// within reports whether a path is a group's path, or is in the group.
func within(path, group string) bool {
	rest, ok := strings.CutPrefix(path, group)
	return ok && (rest == "" || rest[0] == '.')
}

// Pretty returns a Printer for people. width returns the width that streams are padded to: it may grow.
func Pretty(r logtext.Renderer, headers bool, width func(stream string) int) Printer {
	return &pretty{renderer: r, headers: headers, width: width}
}

type pretty struct {
	renderer logtext.Renderer
	headers  bool
	width    func(stream string) int
}

func (p *pretty) Append(dst []byte, e *entry.Entry) []byte {
	p.renderer.StreamWidth = p.width(e.Record.Stream)
	rec := text(e)
	rec.Extra = extras(e.Record, p.headers)
	dst = p.renderer.Append(dst, &rec)
	return dst[:len(dst)-1]
}

// text returns the record for the renderer.
func text(e *entry.Entry) logtext.Record {
	rec := logtext.Record{Object: e.Object, Time: entry.Time(e.Record), Stream: e.Record.Stream, Note: e.Note,
		Schema: e.Schema}
	switch {
	case e.Object != nil:
	case e.Data != nil:
		rec.Text = string(jsonscan.AppendSafe(nil, e.Data, jsonscan.DeepFrom, logtext.Active))
	default:
		rec.Text = string(e.Record.Value)
	}
	return rec
}

// extras returns the key and, if wanted, the headers.
func extras(r *wire.Record, headers bool) []logtext.Extra {
	var all []logtext.Extra
	if r.Key != nil {
		all = append(all, logtext.Extra{Name: "_key", Value: string(r.Key)})
	}
	if headers {
		for _, h := range r.Headers {
			all = append(all, logtext.Extra{Name: "_headers." + h.Name, Value: string(h.Value)})
		}
	}
	return all
}

// Raw returns a Printer of values, unchanged or escaped.
func Raw(escape bool) Printer { return raw{escape} }

type raw struct{ escape bool }

func (p raw) Append(dst []byte, e *entry.Entry) []byte {
	if p.escape {
		return logtext.AppendText(dst, string(e.Record.Value))
	}
	return append(dst, e.Record.Value...)
}

// appendBytes appends bytes as JSON: a string, or {"base64":"..."} for invalid UTF-8.
func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return append(dst, "null"...)
	}
	if utf8.Valid(b) {
		return jsonscan.AppendString(dst, string(b), logtext.Active)
	}
	return append(appendBase64(append(dst, `{"base64":`...), b), '}')
}
