package logrecord

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kafkaesk/kafkaesk/internal/severity"
)

// golden are the records that kafkaesk for Python wrote; see testdata/python.
type golden struct {
	Case  string `json:"case"`
	Value []byte `json:"value_b64"`
}

func goldens(t testing.TB) []golden {
	t.Helper()
	f, err := os.Open("testdata/python/logs.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []golden
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var g golden
		if err := json.Unmarshal(lines.Bytes(), &g); err != nil {
			t.Fatal(err)
		}
		all = append(all, g)
	}
	if len(all) == 0 || lines.Err() != nil {
		t.Fatalf("%d records, %v", len(all), lines.Err())
	}
	return all
}

// Every record of Python's is read, and nothing of it is lost: what is not in a field of Record's own is in Fields.
func TestDecodePython(t *testing.T) {
	t.Parallel()
	for _, g := range goldens(t) {
		if len(g.Value) == 0 {
			continue // a case in which Python sent nothing
		}
		t.Run(g.Case, func(t *testing.T) {
			t.Parallel()
			r, err := Decode(g.Value)
			if err != nil {
				t.Fatalf("%v: %s", err, g.Value)
			}
			if r.Schema != "PydanticLogModel:1" {
				t.Errorf("the schema is %q", r.Schema)
			}
			var envelope struct{ Data map[string]any }
			if err := json.Unmarshal(g.Value, &envelope); err != nil {
				t.Fatal(err)
			}
			known := map[string]any{
				"logger": r.Logger, "message": r.Message, "exception": r.Exception, "trace": r.Trace, "stack": r.Stack,
				"severity": r.Severity,
				"hostname": r.Hostname, "service": r.Service, "namespace": r.Namespace, "cluster": r.Cluster,
			}
			inFields := map[string]json.RawMessage{}
			for _, f := range r.Fields {
				inFields[f.Name] = f.Value
			}
			for name, v := range envelope.Data {
				if raw, ok := inFields[name]; ok {
					var got any
					if err := json.Unmarshal(raw, &got); err != nil || !cmp.Equal(v, got) {
						t.Errorf("%s is %s, want %v", name, raw, v)
					}
					delete(inFields, name)
					continue
				}
				switch name {
				case "timestamp":
					text, _ := v.(string)
					want, err := time.Parse("2006-01-02T15:04:05", text)
					if err != nil || !r.Time.Equal(want) || r.Time.Location() != time.UTC {
						t.Errorf("time is %v, want %s", r.Time, text)
					}
				case "level":
					if severity.Number(r.Level) != int64(v.(float64)) && v.(float64) != 7 { // 7 lies between two of slog's
						t.Errorf("level is %d, want %v", r.Level, v)
					}
				default:
					if got := known[name]; v != nil && got != v || v == nil && got != "" {
						t.Errorf("%s is %v, want %v", name, got, v)
					}
				}
			}
			if len(inFields) > 0 {
				t.Errorf("fields that Python did not write: %v", inFields)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	utc := func(n int) time.Time { return time.Date(2026, 11, 23, 16, 39, 52, n, time.UTC) }
	field := func(name, value string) Field { return Field{Name: name, Value: json.RawMessage(value)} }
	for _, test := range []struct {
		name  string
		value string
		want  Record
	}{
		{"nothing", `{}`, Record{Severity: "INFO"}},
		{"bare", ` { "message" : "m" , "a" : [ 1 ] } `, Record{Message: "m", Severity: "INFO",
			Fields: []Field{field("a", "[ 1 ]")}}},
		{"envelope in another order", `{"x":1,"data":{"message":"m"},"schema":"S:1"}`, Record{Schema: "S:1", Message: "m",
			Severity: "INFO"}},
		{"another schema", `{"schema":"Content:1","data":{"title":"t"}}`, Record{Schema: "Content:1", Severity: "INFO",
			Fields: []Field{field("title", `"t"`)}}},
		{"envelope without a schema", ` {"data":{"message":"m"}}`, Record{Message: "m", Severity: "INFO"}},
		{"a field that is called data", `{"data":1}`, Record{Severity: "INFO", Fields: []Field{field("data", "1")}}},
		{"data beside another field", `{"data":{"message":"m"},"message":"n"}`,
			Record{Message: "n", Severity: "INFO", Fields: []Field{field("data", `{"message":"m"}`)}}},
		{"fields that look like an envelope", `{"schema":1,"data":{}}`,
			Record{Severity: "INFO", Fields: []Field{field("schema", "1"), field("data", "{}")}}},
		{"nine digits", `{"timestamp":"2026-11-23T16:39:52.245858001Z"}`, Record{Time: utc(245858001), Severity: "INFO"}},
		{"a zone", `{"timestamp":"2026-11-23T17:39:52+01:00"}`, Record{Time: utc(0), Severity: "INFO"}},
		{"no zone", `{"timestamp":"2026-11-23T16:39:52.245858"}`, Record{Time: utc(245858000), Severity: "INFO"}},
		{"no zone, no fraction", `{"timestamp":"2026-11-23T16:39:52"}`, Record{Time: utc(0), Severity: "INFO"}},
		{"a space", `{"timestamp":"2026-11-23 16:39:52.5"}`, Record{Time: utc(5e8), Severity: "INFO"}},
		{"no time", `{"timestamp":"now"}`, Record{Severity: "INFO", Fields: []Field{field("timestamp", `"now"`)}}},
		{"a number as the time", `{"timestamp":1}`, Record{Severity: "INFO", Fields: []Field{field("timestamp", `1`)}}},
		{"level and severity", `{"level":40,"severity":"ERROR"}`, Record{Level: slog.LevelError, Severity: "ERROR"}},
		{"level only", `{"level":50}`, Record{Level: 12, Severity: "CRITICAL"}},
		{"severity only", `{"severity":"WARNING"}`, Record{Level: slog.LevelWarn, Severity: "WARNING"}},
		{"a severity that a service added", `{"severity":"NOTICE","level":25}`, Record{Level: 2, Severity: "NOTICE"}},
		{"and nothing else", `{"severity":"NOTICE"}`, Record{Severity: "NOTICE"}},
		{"a level that is a word", `{"level":"error"}`, Record{Level: slog.LevelError, Severity: "ERROR"}},
		{"a level that is a word, and a severity", `{"severity":"BAD","level":"WARN"}`,
			Record{Level: slog.LevelWarn, Severity: "BAD"}},
		{"a level of text", `{"severity":"ERROR","level":"high"}`, Record{Level: slog.LevelError, Severity: "ERROR",
			Fields: []Field{field("level", `"high"`)}}},
		{"a huge level", `{"level":1e300}`, Record{Level: 419423, Severity: "CRITICAL"}},
		{"a level beyond float64", `{"level":1e999}`, Record{Severity: "INFO", Fields: []Field{field("level", `1e999`)}}},
		{
			"all null", `{"timestamp":null,"logger":null,"severity":null,"level":null,"message":null,"exception":null,` +
				`"trace":null,"stack":null,"hostname":null,"service":null,"namespace":null,"cluster":null,"x":null}`,
			Record{Severity: "INFO", Fields: []Field{field("x", "null")}},
		},
		{
			"types of their own", `{"message":{"a":1},"service":7,"source":"s3","truncated":"no","schema_errors":[1]}`,
			Record{Severity: "INFO", Fields: []Field{field("message", `{"a":1}`), field("service", "7"), field("source", `"s3"`),
				field("truncated", `"no"`), field("schema_errors", "[1]")}},
		},
		{"another source", `{"source":{"host":"h"}}`,
			Record{Severity: "INFO", Fields: []Field{field("source", `{"host":"h"}`)}}},
		{
			"our own", `{"source":{"function":"f","file":"x.go","line":3},"trace_id":"t","span_id":"s","truncated":true,` +
				`"schema_errors":["a: b: c"],"invalid":{"a":1}}`,
			Record{
				Severity: "INFO", Source: &slog.Source{Function: "f", File: "x.go", Line: 3}, TraceID: "t", SpanID: "s",
				Truncated:    true,
				SchemaErrors: []string{"a: b: c"}, Fields: []Field{field("invalid", `{"a":1}`)},
			},
		},
		{"escapes", `{"mess\u0061ge":"\u00e4\ud800"}`, Record{Message: "ä\uFFFD", Severity: "INFO"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := Decode([]byte(test.value))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the record differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"", " ", "text", "1", "null", "[]", `"x"`, `{"a":`, `{"schema":"S:1","data":[]}`, `{"schema":"S:1","data":null}`,
		strings.Repeat("[", 1_000_000), `{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
	} {
		if r, err := Decode([]byte(value)); !errors.Is(err, ErrNotRecord) {
			t.Errorf("%.20q: %v, %v", value, r, err)
		}
	}
}

// What is encoded comes back.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	e := NewEncoder(Options{SchemaID: "LogRecord:1", Base: fixedBase(), AddSource: true})
	text, _ := encode(t, e, "a", 1, "err", errors.New("boom"), userLog{User: "ada"}, invalid{})
	r, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	want := Record{
		Schema: "LogRecord:1", Time: at.UTC(), Severity: "INFO", Message: "hello", Exception: "*errors.errorString",
		Stack:    "boom",
		Hostname: "web-0", Service: "web", Namespace: "ns", Cluster: "c1",
		SchemaErrors: []string{"n: minimum: must be at least 1000, is 0"},
		Fields: []Field{
			{"a", json.RawMessage("1")}, {"err", json.RawMessage(`"boom"`)}, {"user", json.RawMessage(`"ada"`)},
			{"invalid", json.RawMessage(`{"n":0}`)},
		},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("the record differs (-want +got):\n%s", diff)
	}
}

// The schema that is declared is one, and holds for every record.
func TestSchema(t *testing.T) {
	t.Parallel()
	var doc struct{ Required []string }
	if err := json.Unmarshal(Schema(), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Required) != 12 {
		t.Errorf("%d fields are required", len(doc.Required))
	}
	for _, name := range doc.Required {
		if !isBase(name) {
			t.Errorf("%s is required and no base field", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, g := range goldens(f) {
		f.Add(g.Value)
	}
	e := NewEncoder(Options{SchemaID: "LogRecord:1", AddSource: true})
	text, _ := encode(f, e, "a", twiceJSON{}, invalid{}, "truncated", true)
	f.Add(text)
	f.Add([]byte(` {"schema" : "x", "data" : {"level" : -1e-9 , "\u0061" : "\ud800" }} `))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := Decode(value)
		if (err == nil) != json.Valid(value) && !errors.Is(err, ErrNotRecord) {
			t.Fatalf("%v", err)
		}
		for _, field := range r.Fields {
			if !json.Valid(field.Value) {
				t.Fatalf("the field %q is %q", field.Name, field.Value)
			}
		}
		if err != nil {
			return
		}
		// A value that others made goes through the encoder as one of ours.
		log := slog.NewRecord(r.Time, r.Level, r.Message, 0)
		log.AddAttrs(slog.Any("value", json.RawMessage(value)), slog.Any("m", rawModel{json.RawMessage(value)}))
		again, _ := e.Append(nil, context.Background(), log)
		if err := unique(again); err != nil || !bytes.Contains(again, []byte(`"value":{`)) && len(again) < 1000 {
			t.Fatalf("%v: %s", err, again)
		}
		short, _ := e.Shorten(again, len(again)/2)
		if err := unique(short); err != nil {
			t.Fatalf("%v: %s", err, short)
		}
	})
}

type rawModel struct{ json.RawMessage }

func (rawModel) IsLogModel() bool { return true }
