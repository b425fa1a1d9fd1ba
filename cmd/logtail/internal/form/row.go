package form

import (
	"log/slog"
	"strconv"
	"time"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/entry"
	"github.com/kafkaesk/kafkaesk/internal/jsonscan"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// rowWidth bounds a row of the page: a value has at most two lines of this many bytes, a message eight.
const rowWidth = 100

// Row returns a Printer of records as rows of the page: JSON objects of bounded size in which every text is escaped.
func Row() Printer {
	return &row{logtext.Renderer{Width: rowWidth, Hide: func(path string) bool {
		switch path {
		case "hostname", "namespace", "cluster":
			return true
		}
		return false
	}}}
}

type row struct{ renderer logtext.Renderer }

func (p *row) Append(dst []byte, e *entry.Entry) []byte {
	rec := text(e)
	rec.Extra = extras(e.Record, false)
	parts := p.renderer.Parts(&rec)
	dst = append(dst, `{"place":`...)
	dst = jsonscan.AppendString(dst, Place(e), logtext.Active)
	dst = appendMember(dst, "stream", e.Record.Stream)
	if !parts.Time.IsZero() {
		dst = appendMember(dst, "time", parts.Time.UTC().Format(time.RFC3339Nano))
	}
	if parts.LevelName != "" {
		dst = appendMember(dst, "level", parts.LevelName)
		dst = appendMember(dst, "rank", rank(parts.Level))
	}
	dst = appendMember(dst, "message", parts.Message)
	return append(appendMember(dst, "fields", parts.Fields), '}')
}

func appendMember(dst []byte, name, text string) []byte {
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return jsonscan.AppendString(dst, text, logtext.Active)
}

// rank returns the name of the level that the page has a color for.
func rank(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warn"
	case l >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}

// Place returns the position of a record: STREAM/PARTITION@OFFSET.
func Place(e *entry.Entry) string {
	r := e.Record
	return r.Stream + "/" + strconv.Itoa(r.Partition) + "@" + strconv.FormatInt(r.Offset, 10)
}

// Whole returns a Printer of a record that the page shows alone: its row, its schema, its trace id, and the whole
// record as a JSON line.
func Whole() Printer { return &whole{row: Row(), json: JSON(true, Selection{})} }

type whole struct{ row, json Printer }

func (p *whole) Append(dst []byte, e *entry.Entry) []byte {
	dst = p.row.Append(append(dst, `{"row":`...), e)
	dst = appendMember(dst, "schema", e.Schema)
	if id := e.TraceID(); len(id) > 2 && id[0] == '"' {
		dst = appendMember(dst, "trace", jsonscan.Text(id[1:len(id)-1]))
	}
	dst = p.json.Append(append(dst, `,"record":`...), e)
	return append(dst, '}')
}
