package main

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// The members that JSON output adds to a record's own. A field of the record that has such a name is printed as attr_<name>, as
// log records do it with the names of base fields.
const (
	memberTopic     = "_topic"
	memberPartition = "_partition"
	memberOffset    = "_offset"
	memberTime      = "_time"
	memberNote      = "_note"   // why it is no envelope
	memberValue     = "_value"  // what is no object
	memberBase64    = "_base64" // what is no text
)

func reserved(name string) bool {
	switch name {
	case memberTopic, memberPartition, memberOffset, memberTime, memberNote, memberValue, memberBase64:
		return true
	}
	return false
}

// jsonPrinter prints a record as a line of JSON: its own fields as they were written, then where it is from.
type jsonPrinter struct{}

func (jsonPrinter) append(dst []byte, e *entry) []byte {
	if e.object {
		dst = appendSafeJSON(dst, e.data)
		dst = dst[:len(dst)-1]
	} else {
		dst = append(dst, '{')
		switch {
		case e.data != nil:
			dst = appendMember(dst, memberValue)
			dst = appendSafeJSON(dst, e.data)
		case e.record.Value == nil:
			dst = appendMember(dst, memberValue)
			dst = append(dst, "null"...)
		case utf8.Valid(e.record.Value):
			dst = appendMember(dst, memberValue)
			dst = appendString(dst, string(e.record.Value))
		default:
			dst = appendMember(dst, memberBase64)
			dst = append(dst, '"')
			dst = base64.StdEncoding.AppendEncode(dst, e.record.Value)
			dst = append(dst, '"')
		}
	}
	if e.note != "" {
		dst = appendMember(dst, memberNote)
		dst = appendString(dst, e.note)
	}
	dst = appendMember(dst, memberTopic)
	dst = appendString(dst, e.record.Topic)
	dst = appendMember(dst, memberPartition)
	dst = strconv.AppendInt(dst, int64(e.record.Partition), 10)
	dst = appendMember(dst, memberOffset)
	dst = strconv.AppendInt(dst, e.record.Offset, 10)
	dst = appendMember(dst, memberTime)
	dst = append(dst, '"')
	dst = e.record.Time.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	return append(dst, "\"}\n"...)
}

// appendMember appends a name that needs no escapes, and what stands before and after it.
func appendMember(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, `":`...)
}
