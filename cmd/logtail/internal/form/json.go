package form

import (
	"encoding/base64"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/entry"
	"github.com/kafkaesk/kafkaesk/internal/jsonscan"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// The members that JSON output adds to a record's own. A field of the record with such a name is printed as
// attr_<name>, as in log records with attributes that have the name of a base field.
const (
	memberTopic     = "_topic"
	memberPartition = "_partition"
	memberOffset    = "_offset"
	memberTime      = "_time"
	memberKey       = "_key"
	memberHeaders   = "_headers"
	memberNote      = "_note"   // why it is not an envelope
	memberValue     = "_value"  // a value that is not an object
	memberBase64    = "_base64" // a value that is not text
)

// Reserved reports whether JSON output has a member of this name.
func Reserved(name string) bool {
	switch name {
	case memberTopic, memberPartition, memberOffset, memberTime, memberKey, memberHeaders, memberNote, memberValue,
		memberBase64:
		return true
	}
	return false
}

// JSON returns a Printer of records as objects: the record's own fields as written, then its topic, partition and
// offset.
func JSON(headers bool, s Selection) Printer {
	return &jsonPrinter{headers: headers, selection: s, second: math.MinInt64}
}

type jsonPrinter struct {
	headers   bool
	selection Selection

	topic     string // topic of where
	partition int
	where     []byte // the members for the topic and the partition, and the offset's name
	second    int64  // second of clock
	clock     []byte // the date and the time of that second
}

func (p *jsonPrinter) Append(dst []byte, e *entry.Entry) []byte {
	if e.Object != nil {
		dst = p.object(dst, e)
		dst = dst[:len(dst)-1] // the brace
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
	} else {
		dst = append(dst, '{')
		dst = append(appendValue(dst, e), ',')
	}
	if e.Note != "" {
		dst = append(append(append(dst, `"_note":"`...), e.Note...), `",`...)
	}
	r := e.Record
	if p.where == nil || p.topic != r.Topic || p.partition != r.Partition {
		p.topic, p.partition = r.Topic, r.Partition
		p.where = jsonscan.AppendString(append(p.where[:0], `"_topic":`...), r.Topic, logtext.Active)
		p.where = strconv.AppendInt(append(p.where, `,"_partition":`...), int64(r.Partition), 10)
		p.where = append(p.where, `,"_offset":`...)
	}
	dst = append(dst, p.where...)
	dst = strconv.AppendInt(dst, r.Offset, 10)
	dst = append(dst, `,"_time":`...)
	dst = p.time(dst, r)
	if r.Key != nil {
		dst = appendBytes(append(dst, `,"_key":`...), r.Key)
	}
	if p.headers {
		dst = appendHeaders(append(dst, `,"_headers":`...), r.Headers)
	}
	return append(dst, '}')
}

// object appends the record's own fields as an object.
func (p *jsonPrinter) object(dst []byte, e *entry.Entry) []byte {
	if !p.selection.All() {
		return p.selected(dst, e.Object)
	}
	const strings = jsonscan.NonASCII | jsonscan.Escapes
	if !e.HasUnderscore() && (e.Flags == 0 || e.Flags&^strings == 0 && jsonscan.IsInert(e.Object, logtext.Active)) {
		return append(dst, e.Object...)
	}
	return appendObject(dst, e.Object, func(_ string, dst, value []byte) []byte {
		return jsonscan.AppendSafe(dst, value, jsonscan.DeepFrom-1, logtext.Active)
	}, nil)
}

// selected appends the shown fields.
func (p *jsonPrinter) selected(dst, object []byte) []byte {
	return appendObject(dst, object, func(path string, dst, value []byte) []byte {
		return p.part(dst, path, value)
	}, func(path string) bool { return p.selection.Hides(path) })
}

// part appends the shown part of a field.
func (p *jsonPrinter) part(dst []byte, path string, value []byte) []byte {
	if value[0] != '{' || !p.selection.splits(path) {
		return jsonscan.AppendSafe(dst, value, jsonscan.DeepFrom-1, logtext.Active)
	}
	dst = append(dst, '{')
	jsonscan.Unique(value, func(name, member []byte) {
		inner := path + "." + jsonscan.Text(name)
		if p.selection.Hides(inner) {
			return
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(jsonscan.AppendSafeText(append(dst, '"'), name, logtext.Active), `":`...)
		dst = p.part(dst, inner, member)
	})
	return append(dst, '}')
}

// appendObject appends an object. Members whose names are reserved are renamed.
func appendObject(dst, object []byte, value func(name string, dst, value []byte) []byte,
	hides func(string) bool) []byte {
	taken := make(map[string]bool)
	jsonscan.Walk(object, func(name, _ []byte) bool {
		if text := jsonscan.Text(name); !Reserved(text) {
			taken[text] = true
		}
		return true
	})
	dst = append(dst, '{')
	jsonscan.Unique(object, func(name, member []byte) {
		text := jsonscan.Text(name)
		if hides != nil && hides(text) {
			return
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		if Reserved(text) {
			for renamed := "attr_" + text; ; renamed = "attr_" + renamed {
				dst = append(dst, "attr_"...)
				if !taken[renamed] {
					taken[renamed] = true
					break
				}
			}
		}
		dst = append(jsonscan.AppendSafeText(dst, name, logtext.Active), `":`...)
		dst = value(text, dst, member)
	})
	return append(dst, '}')
}

// appendValue appends the member for a value that is not an object.
func appendValue(dst []byte, e *entry.Entry) []byte {
	switch value := e.Record.Value; {
	case e.Data != nil:
		return jsonscan.AppendSafe(append(dst, `"_value":`...), e.Data, jsonscan.DeepFrom-1, logtext.Active)
	case value == nil:
		return append(dst, `"_value":null`...)
	case utf8.Valid(value):
		return jsonscan.AppendString(append(dst, `"_value":`...), string(value), logtext.Active)
	default:
		return appendBase64(append(dst, `"_base64":`...), value)
	}
}

func appendBase64(dst, b []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), b), '"')
}

// appendHeaders appends headers as an object. Several headers of one name become a list. It works in linear time,
// because a record may have very many headers.
func appendHeaders(dst []byte, headers []wire.Header) []byte {
	indices := make(map[string][]int, len(headers))
	for i, h := range headers {
		indices[h.Name] = append(indices[h.Name], i)
	}
	dst = append(dst, '{')
	for i, h := range headers {
		same := indices[h.Name]
		if same[0] != i {
			continue
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(jsonscan.AppendString(dst, h.Name, logtext.Active), ':')
		if len(same) == 1 {
			dst = appendBytes(dst, h.Value)
			continue
		}
		for j, index := range same {
			dst = appendBytes(append(dst, "[,"[min(j, 1)]), headers[index].Value)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// time appends Kafka's time of the record in UTC, or null. A time outside of RFC 3339's years becomes the first or
// last one.
func (p *jsonPrinter) time(dst []byte, r *wire.Record) []byte {
	if !entry.HasTime(r) {
		return append(dst, "null"...)
	}
	const first, last = -62167219200, 253402300799 // the years 0000 and 9999
	second := min(max(r.Time.Unix(), first), last)
	if second != p.second {
		p.second = second
		p.clock = time.Unix(second, 0).UTC().AppendFormat(p.clock[:0], `"2006-01-02T15:04:05.`)
	}
	dst = append(dst, p.clock...)
	ms := r.Time.Nanosecond() / 1_000_000
	return append(dst, byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z', '"')
}
