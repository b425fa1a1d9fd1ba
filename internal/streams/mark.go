package streams

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Mark is the value of a record of a replay log (see ReplayLog): what was done with one dead letter. The record's key
// is MarkKey of the dead letter.
type Mark struct {
	// State is a bus.DeadLetterState.
	State string `json:"state"`
	// RecordTime is the dead letter's time in milliseconds: after its stream was deleted and made again, another record
	// has the same partition and offset.
	RecordTime int64 `json:"record_time"`
	// Time is when it was done.
	Time time.Time `json:"time"`
}

// MarkKey returns the key of the mark of a dead letter, by the dead letter's partition and offset.
func MarkKey(partition int, offset int64) string {
	return strconv.Itoa(partition) + "/" + strconv.FormatInt(offset, 10)
}

// ParseMarkKey returns the partition and the offset in a key. ok is false if it is not the key of a mark.
func ParseMarkKey(key string) (partition int32, offset int64, ok bool) {
	first, second, _ := strings.Cut(key, "/")
	p, err := strconv.ParseInt(first, 10, 32)
	offset, err2 := strconv.ParseInt(second, 10, 64)
	return int32(p), offset, err == nil && err2 == nil
}

// Marks are the marks of a replay log by their keys.
type Marks map[string]Mark

// Apply adds the mark of a record of the replay log. A record without a value deletes the mark of its key; one that has
// no mark changes nothing.
func (m Marks) Apply(key, value []byte) {
	var mark Mark
	switch {
	case value == nil:
		delete(m, string(key))
	case json.Unmarshal(value, &mark) == nil:
		m[string(key)] = mark
	}
}
