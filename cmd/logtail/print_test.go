package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kafkaesk/kafkaesk/bus"
)

var update = flag.Bool("update", false, "write what comes out to the golden files")

// at is the time and place of the records in the tests of forms.
func at(value string) *bus.Record {
	return &bus.Record{
		Stream: "logs.shop", Topic: "p.logs.shop", Partition: 3, Offset: 42, Value: []byte(value),
		Time: time.Date(2026, 11, 23, 17, 14, 11, 495e6, time.UTC),
	}
}

const where = `"_topic":"p.logs.shop","_partition":3,"_offset":42,"_time":"2026-11-23T17:14:11.495Z"}` + "\n"

func TestForms(t *testing.T) {
	t.Parallel()
	const head = "2026-11-23 17:14:11.495 "
	tests := []struct{ name, value, json, pretty string }{
		{
			"log record",
			`{"schema":"LogRecord:1","data":{"timestamp":"2026-11-23T17:14:12.000000001Z","level":40,"severity":"ERROR","message":"no","exception":null,"order":{"id":7,"tags":["a","b c"]}}}`,
			`{"timestamp":"2026-11-23T17:14:12.000000001Z","level":40,"severity":"ERROR","message":"no","exception":null,"order":{"id":7,"tags":["a","b c"]},` + where,
			`2026-11-23 17:14:12.000 ERROR    logs.shop  no  order.id=7 order.tags=["a","b c"]` + "\n",
		},
		{
			"numbers stay as they are",
			`{"data": { "n" : 12345678901234567890.50 , "e":1E400},"schema":"X:1","extra":1}`,
			`{"n":12345678901234567890.50,"e":1E400,` + where,
			head + "-        logs.shop  X:1  n=12345678901234567890.50 e=1E400\n",
		},
		{
			"texts are quoted where they have to be",
			`{"schema":"X:1","data":{"message":"a b","one":"word","two":"a b","q":"say \"x\"","none":"","eq":"a=b","esc":"a\u001bb","null":null,"empty":{},"list":[]}}`,
			`{"message":"a b","one":"word","two":"a b","q":"say \"x\"","none":"","eq":"a=b","esc":"a\u001bb","null":null,"empty":{},"list":[],` + where,
			head + `-        logs.shop  a b  one=word two="a b" q="say \"x\"" none="" eq="a=b" esc="a\x1bb" null=null empty={} list=[]` + "\n",
		},
		{
			"names that are ours",
			`{"schema":"X:1","data":{"_topic":"forged","\u005foffset":1,"in":{"_topic":1}}}`,
			`{"attr__topic":"forged","attr_\u005foffset":1,"in":{"_topic":1},` + where,
			head + "-        logs.shop  X:1  _topic=forged _offset=1 in._topic=1\n",
		},
		{
			"active characters",
			"{\"schema\":\"X:1\",\"data\":{\"a\u202eb\":\"c\u009bd\x7f\U000e0041 \\u001b\\ud83d\\ude42\"}}",
			`{"a\u202eb":"c\u009bd\u007f\udb40\udc41 \u001b\ud83d\ude42",` + where,
			head + `-        logs.shop  X:1  a\u202eb="c\u009bd\x7f\U000e0041 \x1b🙂"` + "\n",
		},
		{
			"a stack",
			`{"schema":"LogRecord:1","data":{"message":"m\nforged","severity":"ERROR","stack":"one\n\ttwo \u001b[2J\r\n","exception":"E"}}`,
			`{"message":"m\nforged","severity":"ERROR","stack":"one\n\ttwo \u001b[2J\r\n","exception":"E",` + where,
			head + `ERROR    logs.shop  m\nforged  exception=E` + "\n    one\n        two \\x1b[2J\\r\n",
		},
		{
			"an error without a trace is said once",
			`{"schema":"LogRecord:1","data":{"message":"m","severity":"ERROR","err":"no luck","exception":"E","stack":"no luck"}}`,
			`{"message":"m","severity":"ERROR","err":"no luck","exception":"E","stack":"no luck",` + where,
			head + `ERROR    logs.shop  m  err="no luck" exception=E` + "\n",
		},
		{
			"data that is no object",
			`{"schema":"X:1","data":[1, 2]}`,
			`{"_value":[1,2],` + where,
			head + "-        logs.shop  [1,2]\n",
		},
		{
			"a bare log record",
			` {"message":"bare","level":30,"severity":"WARNING"} `,
			`{"message":"bare","level":30,"severity":"WARNING","_note":"no envelope",` + where,
			head + "WARNING  logs.shop  [no envelope]  bare\n",
		},
		{"an empty object", `{}`, `{"_note":"no envelope",` + where, head + "-        logs.shop  [no envelope]\n"},
		{"other JSON", ` "text" `, `{"_value":"text","_note":"no envelope",` + where, head + "-        logs.shop  [no envelope]  \"text\"\n"},
		{"JSON null", `null`, `{"_value":null,"_note":"no envelope",` + where, head + "-        logs.shop  [no envelope]  null\n"},
		{"a schema that is none", `{"schema":null,"data":{}}`, `{"schema":null,"data":{},"_note":"no envelope",` + where, head + "-        logs.shop  [no envelope]  schema=null data={}\n"},
		{"other letters", `{"SCHEMA":"X:1","Data":{}}`, `{"SCHEMA":"X:1","Data":{},"_note":"no envelope",` + where, head + "-        logs.shop  [no envelope]  SCHEMA=X:1 Data={}\n"},
		{"text", "plain\ttext\n", `{"_value":"plain\ttext\n","_note":"not JSON",` + where, head + `-        logs.shop  [not JSON]  plain\ttext\n` + "\n"},
		{"bytes", "\xff\x00", `{"_base64":"/wA=","_note":"not JSON",` + where, head + `-        logs.shop  [not JSON]  \xff\x00` + "\n"},
		{"an empty value", "", `{"_value":"","_note":"not JSON",` + where, head + "-        logs.shop  [not JSON]\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := open(at(test.value))
			if diff := cmp.Diff(test.json, string(jsonPrinter{}.append(nil, &e))); diff != "" {
				t.Errorf("json (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.pretty, string(prettyPrinter{zone: time.UTC}.append(nil, &e))); diff != "" {
				t.Errorf("pretty (-want +got):\n%s", diff)
			}
			if got := string(rawPrinter{}.append(nil, &e)); got != test.value+"\n" {
				t.Errorf("raw: %q", got)
			}
		})
	}
	t.Run("no value", func(t *testing.T) {
		t.Parallel()
		r := at("")
		r.Value = nil
		e := open(r)
		if got, want := string(jsonPrinter{}.append(nil, &e)), `{"_value":null,"_note":"no value",`+where; got != want {
			t.Errorf("json: got %s", got)
		}
		if got, want := string(prettyPrinter{zone: time.UTC}.append(nil, &e)), head+"-        logs.shop  [no value]\n"; got != want {
			t.Errorf("pretty: got %q", got)
		}
	})
}

func TestColor(t *testing.T) {
	t.Parallel()
	e := open(at(`{"schema":"LogRecord:1","data":{"message":"m","level":40,"severity":"ERROR","n":1}}`))
	got := string(prettyPrinter{color: true, zone: time.UTC}.append(nil, &e))
	want := "\x1b[2m2026-11-23 17:14:11.495\x1b[0m \x1b[31mERROR   \x1b[0m " + string(streamStyle("logs.shop")) + "logs.shop\x1b[0m  " +
		"\x1b[1mm\x1b[0m  \x1b[2mn=\x1b[0m1\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestLevelOf pins what has a level at all: the filter is about log records.
func TestLevelOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, value string
		want        int
		ok          bool
	}{
		{"by number", `{"schema":"L:1","data":{"level":40}}`, 8, true},
		{"by name", `{"schema":"L:1","data":{"severity":"warning"}}`, 4, true},
		{"number before name", `{"schema":"L:1","data":{"severity":"NOTICE","level":25}}`, 2, true},
		{"a number that is none", `{"schema":"L:1","data":{"severity":"ERROR","level":"high"}}`, 8, true},
		{"bare", `{"level":10}`, -4, true},
		{"neither", `{"schema":"Content:1","data":{"title":"x"}}`, 0, false},
		{"nulls", `{"schema":"L:1","data":{"level":null,"severity":null}}`, 0, false},
		{"no object", `{"schema":"L:1","data":[40]}`, 0, false},
		{"no JSON", `level=40`, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := open(at(test.value))
			if got, ok := e.level(); ok != test.ok || ok && int(got) != test.want {
				t.Errorf("got %d, %v; want %d, %v", got, ok, test.want, test.ok)
			}
		})
	}
}

// TestPythonsRecords shows what services in Python have written. The golden file is read by people; -update writes it anew.
func TestPythonsRecords(t *testing.T) {
	t.Parallel()
	f, err := os.Open(filepath.Join("..", "..", "logrecord", "testdata", "python", "logs.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []byte
	n := 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for ; lines.Scan(); n++ {
		var golden struct {
			Topic string
			Value []byte `json:"value_b64"`
		}
		if err := json.Unmarshal(lines.Bytes(), &golden); err != nil {
			t.Fatal(err)
		}
		e := open(&bus.Record{Stream: golden.Topic, Topic: golden.Topic, Value: golden.Value})
		if e.note != "" {
			t.Errorf("%s: marked as %s", golden.Value, e.note)
		}
		got = prettyPrinter{zone: time.UTC}.append(got, &e)

		line := jsonPrinter{}.append(nil, &e)
		var envelope struct{ Data map[string]any }
		var printed map[string]any
		if err := json.Unmarshal(golden.Value, &envelope); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(line, &printed); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		for _, added := range []string{"_topic", "_partition", "_offset", "_time"} {
			if _, ok := printed[added]; !ok {
				t.Errorf("no %s in %s", added, line)
			}
			delete(printed, added)
		}
		if diff := cmp.Diff(envelope.Data, printed); diff != "" {
			t.Errorf("JSON is not the record's own (-want +got):\n%s", diff)
		}
	}
	if err := lines.Err(); err != nil || n < 80 {
		t.Fatalf("%d records, %v", n, err)
	}
	golden := filepath.Join("testdata", "python.pretty")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
