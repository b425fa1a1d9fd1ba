package logrecord

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// at is when the records of the tests are logged.
var at = time.Date(2026, 11, 23, 16, 39, 52, 245858001, time.FixedZone("", 3600))

// fixedBase is a base that does not depend on the machine.
func fixedBase() Base {
	return Base{Hostname: new("web-0"), Service: new("web"), Namespace: new("ns"), Cluster: new("c1")}
}

// encode returns the record of one log call, checked: valid JSON, no key twice in any object.
func encode(t testing.TB, e *Encoder, args ...any) ([]byte, Result) {
	t.Helper()
	r := slog.NewRecord(at, slog.LevelInfo, "hello", 0)
	r.Add(args...)
	text, result := encodeRecord(t, e, context.Background(), r)
	if e.replaceAttr == nil { // which some tests count the calls of
		samePartsAs(t, text, e, context.Background(), r)
	}
	return text, result
}

// samePartsAs has EncodeParts write a record, and compares what becomes of the parts. It reports whether they are
// parts.
func samePartsAs(t testing.TB, want []byte, e *Encoder, ctx context.Context, r slog.Record) (folded bool) {
	t.Helper()
	_ = e.EncodeParts(ctx, &r, func(text []byte, result *Result) error {
		got := result.Form.Append(nil, text, r.Time, result.Span, new(Clock))
		if string(got) != string(want) {
			t.Errorf("the record in parts became\n%s\nas a whole it is\n%s", got, want)
		}
		if n := result.Form.Len(len(text), result.Span != nil); n != len(want) {
			t.Errorf("%d bytes, said to be %d: %s", len(want), n, want)
		}
		folded = !result.Form.Whole()
		return nil
	})
	return folded
}

func encodeRecord(t testing.TB, e *Encoder, ctx context.Context, r slog.Record) ([]byte, Result) {
	t.Helper()
	text, result := e.Append(nil, ctx, r)
	if err := unique(text); err != nil {
		t.Fatalf("the record is wrong: %v\n%s", err, text)
	}
	return text, result
}

// fields returns what a record has beside the base fields that it has anyhow.
func fields(t testing.TB, text []byte) map[string]any {
	t.Helper()
	var all map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	want := map[string]any{
		"timestamp": "2026-11-23T15:39:52.245858001Z", "severity": "INFO", "level": json.Number("20"), "message": "hello",
		"logger":    nil,
		"exception": nil, "trace": nil, "stack": nil, "hostname": "web-0", "service": "web", "namespace": "ns",
		"cluster": "c1",
	}
	for name, v := range want {
		got, there := all[name]
		if !there {
			t.Errorf("no base field %s in %s", name, text)
		}
		if cmp.Equal(got, v) {
			delete(all, name)
		}
	}
	return all
}

// parse reads JSON as fields does.
func parse(t testing.TB, text string) map[string]any {
	t.Helper()
	var all map[string]any
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return all
}

// unique reports whether text is one JSON value in which no object has a key twice.
func unique(text []byte) error {
	if !json.Valid(text) {
		return fmt.Errorf("not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	type frame struct {
		keys map[string]bool // nil for an array
		key  bool            // a key comes next
	}
	var open []frame
	for {
		token, err := d.Token()
		if err != nil {
			return nil // the end
		}
		if n := len(open); n > 0 && open[n-1].keys != nil {
			f := &open[n-1]
			if name, ok := token.(string); ok && f.key {
				if f.keys[name] {
					return fmt.Errorf("the key %q twice", name)
				}
				f.keys[name], f.key = true, false
				continue
			}
			f.key = true // this is its value
		}
		switch token {
		case json.Delim('{'):
			open = append(open, frame{keys: map[string]bool{}, key: true})
		case json.Delim('['):
			open = append(open, frame{})
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
	}
}

func attrs(args ...any) []slog.Attr {
	r := slog.Record{}
	r.Add(args...)
	var all []slog.Attr
	r.Attrs(func(a slog.Attr) bool { all = append(all, a); return true })
	return all
}
