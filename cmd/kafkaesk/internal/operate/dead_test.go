package operate

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/bus"
	"github.com/kafkaesk/kafkaesk/cmd/kafkaesk/internal/cli"
)

// Whoever may write to the stream chooses a record's time, headers and value. None makes the list of all an error.
func TestHostileDeadLettersAreListed(t *testing.T) {
	t.Parallel()
	late, err := time.Parse(time.RFC3339Nano, "9999-12-31T23:59:59-23:59") // which is the year 10000 in UTC
	if err != nil {
		t.Fatal(err)
	}
	text := "\"\xff\u202e\""
	for _, d := range []*bus.DeadLetterRecord{
		{Record: &bus.Record{Time: time.UnixMilli(math.MaxInt64)}},
		{Record: &bus.Record{Time: time.UnixMilli(math.MinInt64)}},
		{Record: &bus.Record{Time: time.Now()}, FailedTime: late},
		{Record: &bus.Record{Time: time.Now(), Key: []byte(text), Value: []byte(text),
			Headers: []bus.Header{{Name: text, Value: []byte(text)}}}, Error: text, ErrorType: text},
	} {
		row := deadRow{Errors: make(map[string]int)}
		row.count(d)
		var out bytes.Buffer
		s := cli.Streams{Out: &out}
		if err := cli.PrintJSON(s, []deadRow{row}); err != nil {
			t.Error(err)
		}
		if err := cli.PrintJSON(s, []deadLetter{newDeadLetter(d)}); err != nil {
			t.Error(err)
		}
		decoder := json.NewDecoder(&out)
		for decoder.More() {
			var rows json.RawMessage
			if err := decoder.Decode(&rows); err != nil || !utf8.Valid(rows) || bytes.ContainsRune(rows, '\u202e') {
				t.Fatalf("%s: %v", rows, err)
			}
		}
	}
}

func TestErrorsOfADeadRow(t *testing.T) {
	t.Parallel()
	got := errorsOf(deadRow{Errors: map[string]int{"a": 1, "b": 4, "c": 3, "d": 2}})
	if want := "4 b; 3 c; 2 d; and 1 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
