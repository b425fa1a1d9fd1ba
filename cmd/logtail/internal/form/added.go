package form

import (
	"math"
	"strconv"
	"strings"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/entry"
	"github.com/kafkaesk/kafkaesk/internal/jsonscan"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// Added returns the function that finds a field that JSON output adds to a record, or renames; nil for the path of
// any other field. The function returns nil for a record without it.
func Added(path string) func(*entry.Entry) []byte {
	if header, ok := strings.CutPrefix(path, memberHeaders+"."); ok {
		return func(e *entry.Entry) []byte { return headerNamed(e.Record.Headers, header) }
	}
	if own, ok := strings.CutPrefix(path, "attr_"); ok {
		if name, _, _ := strings.Cut(own, "."); Reserved(name) {
			return func(e *entry.Entry) []byte {
				if value := e.Find(path); value != nil {
					return value
				}
				return e.Find(own)
			}
		}
	}
	if !Reserved(path) {
		return nil
	}
	return func(e *entry.Entry) []byte { return added(path, e) }
}

// added returns the JSON of a field that output adds.
func added(name string, e *entry.Entry) []byte {
	r := e.Record
	switch {
	case name == memberTopic:
		return jsonscan.AppendString(nil, r.Topic, logtext.Active)
	case name == memberPartition:
		return strconv.AppendInt(nil, int64(r.Partition), 10)
	case name == memberOffset:
		return strconv.AppendInt(nil, r.Offset, 10)
	case name == memberTime:
		return (&jsonPrinter{second: math.MinInt64}).time(nil, r)
	case name == memberKey && r.Key != nil:
		return appendBytes(nil, r.Key)
	case name == memberHeaders:
		return appendHeaders(nil, r.Headers)
	case name == memberNote && e.Note != "":
		return []byte(`"` + e.Note + `"`)
	case (name == memberValue || name == memberBase64) && e.Object == nil:
		if value, ok := strings.CutPrefix(string(appendValue(nil, e)), `"`+name+`":`); ok {
			return []byte(value)
		}
	}
	return nil
}

// headerNamed returns the JSON of one header: a list if the record has several of that name.
func headerNamed(headers []wire.Header, name string) (value []byte) {
	var same []wire.Header
	for _, h := range headers {
		if h.Name == name {
			same = append(same, h)
		}
	}
	jsonscan.Walk(appendHeaders(nil, same), func(_, v []byte) bool {
		value = v
		return true
	})
	return value
}
