package form

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/kafkaesk/kafkaesk/cmd/logtail/internal/entry"
	"github.com/kafkaesk/kafkaesk/internal/kafka/wire"
	"github.com/kafkaesk/kafkaesk/internal/logtext"
)

// at is the time and place of the records in these tests.
func at(value string) *wire.Record {
	return &wire.Record{
		Stream: "logs.shop", Topic: "p.logs.shop", Partition: 3, Offset: 42, Value: []byte(value),
		Time: time.Date(2026, 11, 23, 17, 14, 11, 495e6, time.UTC),
	}
}

const where = `"_topic":"p.logs.shop","_partition":3,"_offset":42,"_time":"2026-11-23T17:14:11.495Z"}`

func print(p Printer, r *wire.Record) string {
	var o entry.Opener
	return string(p.Append(nil, o.Open(r)))
}

func people(headers bool) Printer {
	return Pretty(logtext.Renderer{Layout: logtext.Full, Zone: time.UTC}, headers, func(string) int { return 0 })
}

func TestForms(t *testing.T) {
	t.Parallel()
	const head = "2026-11-23 17:14:11.495 "
	tests := []struct{ name, value, json, pretty string }{
		{
			"log record",
			`{"schema":"LogRecord:1","data":{"timestamp":"2026-11-23T17:14:12.000000001Z","level":40,"severity":"ERROR",` +
				`"message":"no","exception":null}}`,
			`{"timestamp":"2026-11-23T17:14:12.000000001Z","level":40,"severity":"ERROR","message":"no","exception":null,` +
				where,
			`2026-11-23 17:14:12.000 ERROR    logs.shop  no`,
		},
		{
			"numbers stay as they are", `{"data": { "n" : 12345678901234567890.50 , "e":1E400},"schema":"X:1","extra":1}`,
			`{"n":12345678901234567890.50,"e":1E400,` + where, head + "-        logs.shop  n=12345678901234567890.50 e=1E400",
		},
		{
			"names that are ours", `{"schema":"X:1","data":{"_topic":"forged","\u005foffset":1,"in":{"_topic":1}}}`,
			`{"attr__topic":"forged","attr_\u005foffset":1,"in":{"_topic":1},` + where,
			head + "-        logs.shop  _topic=forged _offset=1 in._topic=1",
		},
		{
			"a name that is ours, and the one that it gets", `{"schema":"X:1","data":{"_topic":1,"attr__topic":2}}`,
			`{"attr_attr__topic":1,"attr__topic":2,` + where, head + "-        logs.shop  _topic=1 attr__topic=2",
		},
		{
			"a key that comes twice", `{"schema":"X:1","data":{"a":1,"b":{"c":1,"\u0063":2},"a":3}}`,
			`{"a":3,"b":{"c":2},` + where, head + "-        logs.shop  a=3 b.c=2",
		},
		{
			"active characters", "{\"schema\":\"X:1\",\"data\":{\"a\u202eb\":\"c\u009bd\x7f\U000e0041 \\u001b\\ud83d\\ude42\"}}",
			`{"a\u202eb":"c\u009bd\u007f\udb40\udc41 \u001b\ud83d\ude42",` + where,
			head + `-        logs.shop  "a\u202eb"="c\u009bd\x7f\U000e0041 \x1b🙂"`,
		},
		{
			"half of a surrogate pair", `{"schema":"X:1","data":{"a":"cut \ud83d"}}`,
			`{"a":"cut \ufffd",` + where, head + `-        logs.shop  a="cut ` + "\ufffd" + `"`,
		},
		{
			"text beyond ASCII", `{"schema":"X:1","data":{"a":"größe \u00fc \u2028"}}`, `{"a":"größe \u00fc \u2028",` + where,
			head + `-        logs.shop  a="größe ü \u2028"`,
		},
		{"data that is no object", `{"schema":"X:1","data":[1, 2]}`, `{"_value":[1,2],` + where,
			head + "-        logs.shop  [1,2]"},
		{
			"a bare log record", ` {"message":"bare","level":30,"severity":"WARNING"} `,
			`{"message":"bare","level":30,"severity":"WARNING","_note":"no envelope",` + where,
			head + "WARNING  logs.shop  [no envelope]  bare",
		},
		{"an envelope of another schema", `{"schema":"Content:1","data":{"title":"a"}}`, `{"title":"a",` + where,
			head + "-        logs.shop  title=a"},
		{"no fields", `{"schema":"Content:1","data":{}}`, `{` + where, head + "-        logs.shop  Content:1"},
		{"an empty object", `{}`, `{"_note":"no envelope",` + where, head + "-        logs.shop  [no envelope]"},
		{"other JSON", ` "text" `, `{"_value":"text","_note":"no envelope",` + where,
			head + `-        logs.shop  [no envelope]  "text"`},
		{"JSON null", `null`, `{"_value":null,"_note":"no envelope",` + where,
			head + "-        logs.shop  [no envelope]  null"},
		{"a schema that is none", `{"schema":null,"data":{}}`, `{"schema":null,"data":{},"_note":"no envelope",` + where,
			head + "-        logs.shop  [no envelope]  schema=null data={}"},
		{"other letters", `{"SCHEMA":"X:1","Data":{}}`, `{"SCHEMA":"X:1","Data":{},"_note":"no envelope",` + where,
			head + "-        logs.shop  [no envelope]  SCHEMA=X:1 Data={}"},
		{"a key whose spelling hides", `{"schema":"X:1","d\u0061ta":{"a":1}}`, `{"a":1,` + where,
			head + "-        logs.shop  a=1"},
		{"text", "plain\ttext\n", `{"_value":"plain\ttext\n","_note":"not JSON",` + where,
			head + `-        logs.shop  [not JSON]  plain\ttext\n`},
		{"bytes", "\xff\x00", `{"_base64":"/wA=","_note":"not JSON",` + where,
			head + `-        logs.shop  [not JSON]  \xff\x00`},
		{"an empty value", "", `{"_value":"","_note":"not JSON",` + where, head + "-        logs.shop  [not JSON]"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.json, print(JSON(false, Selection{}), at(test.value))); diff != "" {
				t.Errorf("json (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.pretty, print(people(false), at(test.value))); diff != "" {
				t.Errorf("pretty (-want +got):\n%s", diff)
			}
			if got := print(Raw(false), at(test.value)); got != test.value {
				t.Errorf("raw: %q", got)
			}
		})
	}
}

func TestKeysHeadersAndNoTime(t *testing.T) {
	t.Parallel()
	r := at("")
	r.Value, r.Key, r.Time = nil, []byte("k\n1"), time.UnixMilli(-1)
	r.Headers = []wire.Header{{Name: "a", Value: []byte("1")}, {Name: "b", Value: []byte{0xff}}, {Name: "a", Value: nil}}
	want := `{"_value":null,"_note":"no value","_topic":"p.logs.shop","_partition":3,"_offset":42,"_time":null,` +
		`"_key":"k\n1","_headers":{"a":["1",null],"b":{"base64":"/w=="}}}`
	if got := print(JSON(true, Selection{}), r); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for ms, want := range map[int64]string{math.MaxInt64: "9999-12-31T23:59:59", math.MinInt64: "0000-01-01T00:00:00"} {
		r.Time = time.UnixMilli(ms)
		if got := print(JSON(false, Selection{}), r); !strings.Contains(got, `"_time":"`+want) {
			t.Errorf("the time %d is in %s, want %s", ms, got, want)
		}
	}
	r.Time = time.UnixMilli(-1)
	r.Key = []byte{0xff}
	if got := print(JSON(false, Selection{}), r); !strings.HasSuffix(got, `"_key":{"base64":"/w=="}}`) {
		t.Errorf("a binary key: %s", got)
	}
	want = `-                       -        logs.shop  [no value]  _key="\xff" _headers.a=1 _headers.b="\xff" ` +
		`_headers.a=""`
	if got := print(people(true), r); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, ms := range []int64{-1 << 62, 1 << 62, -62135596800001, 253402300800000} {
		r.Time = time.UnixMilli(ms)
		if got := print(JSON(false, Selection{}), r); !json.Valid([]byte(got)) || !strings.Contains(got, `Z","_key"`) {
			t.Errorf("%d: %s", ms, got)
		}
		print(people(false), r)
	}
}

// What is nested deeper than other parsers read becomes a string, and nothing is lost.
func TestDeepValues(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`[`, 5000) + strings.Repeat(`]`, 5000)
	got := print(JSON(false, Selection{}), at(`{"schema":"X:1","data":{"a":`+deep+`}}`))
	depth, most := 0, 0
	for inString, i := false, 0; i < len(got); i++ {
		switch c := got[i]; {
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			depth++
			most = max(most, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	if !json.Valid([]byte(got)) || most > 200 || strings.Count(got, "[") != 5000 {
		t.Errorf("valid %v, %d levels, %d brackets", json.Valid([]byte(got)), most, strings.Count(got, "["))
	}
}

func TestSelection(t *testing.T) {
	t.Parallel()
	const value = `{"schema":"X:1","data":{"a":1,"g":{"b":2,"c":{"d":3}},"_topic":4}}`
	for _, test := range []struct {
		selection Selection
		want      string
	}{
		{Selection{Fields: []string{"a"}}, `{"a":1,`},
		{Selection{Fields: []string{"g"}}, `{"g":{"b":2,"c":{"d":3}},`},
		{Selection{Fields: []string{"g.c", "none"}}, `{"g":{"c":{"d":3}},`},
		{Selection{Hide: []string{"g.c.d", "a", "_topic"}}, `{"g":{"b":2,"c":{}},`},
		{Selection{Fields: []string{"g"}, Hide: []string{"g.b"}}, `{"g":{"c":{"d":3}},`},
		{Selection{Fields: []string{"none"}}, `{`},
	} {
		if got := print(JSON(false, test.selection), at(value)); got != test.want+where {
			t.Errorf("%v: got %s", test.selection, got)
		}
	}
}

func TestPythonsRecords(t *testing.T) {
	t.Parallel()
	f, err := os.Open(filepath.Join("..", "..", "..", "..", "logrecord", "testdata", "python", "logs.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 0
	for ; lines.Scan(); n++ {
		var golden struct {
			Value []byte `json:"value_b64"`
		}
		if err := json.Unmarshal(lines.Bytes(), &golden); err != nil {
			t.Fatal(err)
		}
		var envelope struct{ Data map[string]any }
		var printed map[string]any
		line := print(JSON(false, Selection{}), at(string(golden.Value)))
		if err := json.Unmarshal(golden.Value, &envelope); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(line), &printed); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		for _, added := range []string{"_topic", "_partition", "_offset", "_time"} {
			delete(printed, added)
		}
		if diff := cmp.Diff(envelope.Data, printed); diff != "" {
			t.Errorf("JSON is not the record's own (-want +got):\n%s", diff)
		}
	}
	if err := lines.Err(); err != nil || n < 80 {
		t.Fatalf("%d records, %v", n, err)
	}
}

// FuzzNothingActiveComesOut holds every form of output to the promise that no record can control what reads it.
func FuzzNothingActiveComesOut(f *testing.F) {
	f.Add([]byte(`{"schema":"LogRecord:1","data":{"message":"hi","level":20,"severity":"INFO","n":12345678901234567890}}`),
		"logs.a")
	f.Add([]byte("{\"schema\":\"X:1\",\"data\":{\"me\u202essage\":\"\u009b31m\x7f\",\"_topic\":[1 , "+
		"{\"a\":null}],\"stack\":\"a\\n\\u001bb\\n\"}}"), "logs\x1b")
	f.Add([]byte("\x1b[2Jnot json\n2026-11-23 forged"), "")
	f.Add([]byte(`{"schema":"X:1","data":[1,"\u2028"]}`), "x")
	f.Add([]byte("{\"schema\":\"\",\"data\":{\"\xff\":\"\xff\",\"a\":{\"b\":{},\"\\u005ftopic\":1},"+
		"\"source\":{\"file\":\"\\u001b\"}}}"), "x")
	f.Add([]byte(`{"\u005ftopic":1,"_topic":2}`), "x")
	f.Add([]byte(nil), "x")
	f.Fuzz(func(t *testing.T, value []byte, topic string) {
		r := &wire.Record{Stream: topic, Topic: topic, Value: value, Key: value, Time: time.UnixMilli(0),
			Headers: []wire.Header{{Name: topic, Value: value}}}
		template, err := ParseTemplate(`{{.Message}} {{.Key}} {{json .Fields}} {{.Value}} {{.Headers}}`, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		for _, selection := range []Selection{{}, {Hide: []string{"a"}}} {
			line := print(JSON(true, selection), r)
			var fields map[string]json.RawMessage
			if err := json.Unmarshal([]byte(line), &fields); err != nil || string(fields["_offset"]) != "0" {
				t.Errorf("where it is from cannot be read: %v in %q", err, line)
			}
			checkInert(t, line, logtext.Active)
		}
		for i, line := range strings.Split(print(people(true), r), "\n") {
			checkInert(t, line, logtext.ActiveInText)
			if i > 0 && !strings.HasPrefix(line, "    ") {
				t.Errorf("a line that could pass for a record: %q", line)
			}
		}
		checkInert(t, print(Raw(true), r), logtext.ActiveInText)
		checkInert(t, print(template, r), logtext.ActiveInText)
	})
}

func checkInert(t *testing.T, line string, active func(rune) bool) {
	t.Helper()
	if !utf8.ValidString(line) {
		t.Errorf("not UTF-8: %q", line)
	}
	if i := strings.IndexFunc(line, active); i >= 0 {
		t.Errorf("%q comes out at %d of %q", line[i], i, line)
	}
}

func BenchmarkJSON(b *testing.B) {
	r := at(`{"schema":"LogRecord:1","data":{"timestamp":"2026-11-23T17:14:12.000000001Z","severity":"INFO","level":20,` +
		`"message":"request handled","logger":null,"exception":null,"trace":null,"stack":null,"hostname":"web-7d9f-x2k",` +
		`"service":"web","user":"ada","status":200,"took":26999921}}`)
	var o entry.Opener
	p := JSON(false, Selection{})
	dst := make([]byte, 0, 1000)
	b.SetBytes(int64(len(r.Value)))
	b.ReportAllocs()
	for b.Loop() {
		dst = p.Append(dst[:0], o.Open(r))
	}
}
