package logtext

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func render(r Renderer, rec Record) string {
	if r.Layout == "" {
		r.Layout = Full
	}
	r.Zone = time.UTC
	return string(r.Append(nil, &rec))
}

func TestForms(t *testing.T) {
	t.Parallel()
	const at = "2026-11-23 17:14:11.495 "
	tests := []struct{ name, object, want string }{
		{
			"all that a record has", `{"timestamp":"2026-11-23T17:14:12.000000001Z","severity":"ERROR","level":40,` +
				`"message":"no luck","logger":"app","exception":"E","trace":null,"stack":"one\n\ttwo","hostname":"h",` +
				`"service":"shop","namespace":"n","cluster":"c","trace_id":"ab","span_id":"cd","source":{"function":"f",` +
				`"file":"/a/b.go","line":7},"truncated":true,"schema_errors":["a: b"],"order":{"id":7,"tags":["a","b c"]}}`,
			`2026-11-23 17:14:12.000 ERROR     no luck  order.id=7 order.tags=["a","b c"] exception=E logger=app service=shop ` +
				`hostname=h namespace=n cluster=c trace_id=ab span_id=cd source=b.go:7 truncated=true schema_errors=["a: b"]` +
				"\n    stack | one\n          |     two\n",
		},
		{"nothing", `{}`, at + "-\n"},
		{"a time that nanoseconds since 1970 do not hold", `{"timestamp":"9999-12-31T23:59:59.5Z"}`,
			"9999-12-31 23:59:59.500 -\n"},
		{"fields without a message", `{"a":1}`, at + "-         a=1\n"},
		{"the name that slog's own handler has", `{"msg":"hi","level":"WARN","a":1}`, at + "WARN      hi  a=1\n"},
		{"zap's level", `{"level":"dpanic"}`, at + "dpanic\n"},
		{"a level that is none", `{"level":"high"}`, at + "-         level=high\n"},
		{"a severity of one's own", `{"severity":"my level"}`, at + `"my level"` + "\n"},
		{"wide letters in a severity", `{"severity":"警告","message":"m"}`, at + "警告      m\n"},
		{"fields of other types", `{"message":1,"timestamp":"then","stack":[],"source":"here","truncated":1}`,
			at + "-         message=1 timestamp=then stack=[] source=here truncated=1\n"},
		{"a forged field in a value", `{"user":"x\\\" admin=true z=\\\""}`,
			at + `-         user="x\\\" admin=true z=\\\""` + "\n"},
		{"a forged field in a key", `{"a=1 admin":true}`, at + `-         "a=1 admin"=true` + "\n"},
		{"a forged field in a message", `{"message":"paid  order.id=42 admin=true"}`,
			at + `-         "paid  order.id=42 admin=true"` + "\n"},
		{"a message that has two lines", `{"message":"a\nb"}`, at + `-         a\nb` + "\n"},
		{"a path of Windows", `{"message":"C:\\n"}`, at + `-         "C:\\n"` + "\n"},
		{"words and texts", `{"a":"word","b":"two words","c":"","d":null,"e":"ü🙂","f":"\u001b[2J\u202e"}`,
			at + `-         a=word b="two words" c="" d=null e=ü🙂 f="\x1b[2J\u202e"` + "\n"},
		{"durations", `{"took":26999921,"took_ms":26999921,"elapsed":1500,"db":{"duration":90061000000000},"latency":"27ms"}`,
			at + "-         took=27ms took_ms=26999921 elapsed=1500 db.duration=25h1m1s latency=27ms\n"},
		{"a key twice", `{"a":1,"a":2}`, at + "-         a=2\n"},
		{"an error said once", `{"err":"no luck","stack":"no luck"}`, at + `-         err="no luck"` + "\n"},
		{"a number as it was written", `{"n":12345678901234567890.50}`, at + "-         n=12345678901234567890.50\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := render(Renderer{}, Record{Object: []byte(test.object), Time: time.UnixMilli(1795454051495)})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestColumnsAndExtras(t *testing.T) {
	t.Parallel()
	r := Renderer{StreamWidth: 10, Hide: func(path string) bool { return path == "b" || path == "c.d" }}
	got := render(r, Record{
		Object: []byte(`{"message":"m","a":1,"b":2,"c":{"d":3,"e":4}}`), Stream: "logs.a", Note: "no envelope",
		Extra: []Extra{{"_key", "k 1"}},
	})
	if want := "-                       -        logs.a      [no envelope]  m  _key=\"k 1\" a=1 c.e=4\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	r.Long = true
	got = render(r, Record{Object: []byte(`{"message":"m","a":1,"c":{"e":"x y"}}`), Stream: "logs.a"})
	if want := "-                       -        logs.a      m\n    a: 1\n    c.e: \"x y\"\n"; got != want {
		t.Errorf("long: got  %q\nwant %q", got, want)
	}
	if got, want := render(Renderer{}, Record{Text: "a\x1b=b", Note: "not JSON"}),
		"-                       -         [not JSON]  a\\x1b=b\n"; got != want {
		t.Errorf("text: got  %q\nwant %q", got, want)
	}
	if got := render(Renderer{}, Record{Object: []byte("{}"), Schema: "X:1"}); !strings.HasSuffix(got, "  X:1\n") {
		t.Errorf("an empty object: got %q", got)
	}
}

func TestColor(t *testing.T) {
	t.Parallel()
	r := Renderer{Color: true, Layout: Short, Highlight: regexp.MustCompile("low")}
	got := render(r, Record{Object: []byte(`{"severity":"WARNING","message":"slow","n":"below"}`), Time: time.UnixMilli(0),
		Stream: "s"})
	want := "\x1b[2m00:00:00.000\x1b[0m \x1b[33mWARNING \x1b[0m " + string(StreamStyle("s")) + "s\x1b[0m  " +
		"\x1b[1ms\x1b[0m\x1b[7mlow\x1b[0m  \x1b[2mn=\x1b[0mbe\x1b[7mlow\x1b[0m\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestATerminalIsNotFilled(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300_000)
	r := Renderer{Width: 80}
	got := render(r, Record{Object: []byte(`{"message":"m","a":"` + long + `","b":[` + strings.Repeat("1,", 1000) +
		`1],"c":1}`)})
	if want := "-                       -         m  a=" + long[:160] + "…(300 kB) b=[" + strings.Repeat("1,", 79) +
		"1…(2.0 kB) c=1\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	var fields []string
	for i := range 1000 {
		fields = append(fields, fmt.Sprintf(`"f%d":"%0100d"`, i, i))
	}
	got = render(r, Record{Object: []byte("{" + strings.Join(fields, ",") + "}")})
	if len(got) > 1500 || !strings.HasSuffix(got, "  … and 990 more fields (99 kB)\n") {
		t.Errorf("%d bytes, ending with %q", len(got), got[max(0, len(got)-60):])
	}
	got = render(r, Record{Object: []byte(`{"message":"m","trace":"` + strings.Repeat(`l\n`, 1000) + `"}`)})
	if strings.Count(got, "\n") != 2+fewLines || !strings.HasSuffix(got, "          | … and 950 more lines\n") {
		t.Errorf("%d lines, ending with %q", strings.Count(got, "\n"), got[max(0, len(got)-60):])
	}
	whole := render(Renderer{}, Record{Object: []byte(`{"a":"` + long + `"}`)})
	if len(whole) < len(long) {
		t.Errorf("without a terminal %d bytes came out", len(whole))
	}
}

// What comes out is never larger than a small multiple of the record, and grows with it: the path of a group is not
// repeated for each of many members.
func TestTextIsNotAmplified(t *testing.T) {
	t.Parallel()
	shapes := map[string]func(n int) string{
		"a long name over many members": func(n int) string {
			return `{"` + strings.Repeat("k", 6*n) + `":{` + numbered(n, `"%d":1`) + "}}"
		},
		"many small groups below a long name": func(n int) string {
			return `{"` + strings.Repeat("k", 240) + `":{` + numbered(n, `"%d":{"a":{"b":{"c":1}}}`) + "}}"
		},
		"deep groups": func(n int) string {
			return strings.Repeat(`{"`+strings.Repeat("d", 50)+`":`, n) + "1" + strings.Repeat("}", n)
		},
		"controls":        func(n int) string { return `{"a":"` + strings.Repeat(`\u0001`, n) + `"}` },
		"a stack of tabs": func(n int) string { return `{"trace":"` + strings.Repeat(`\t\n`, n) + `"}` },
		"escapes":         func(n int) string { return `{"a":"` + strings.Repeat("\x7f", n) + `"}` },
	}
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			small, large := shape(1000), shape(2000)
			a, b := render(Renderer{}, Record{Object: []byte(small)}), render(Renderer{}, Record{Object: []byte(large)})
			if len(a) > 8*len(small)+1000 || len(b) > 2*len(a)+1000 {
				t.Errorf("%d and %d bytes became %d and %d", len(small), len(large), len(a), len(b))
			}
		})
	}
}

func numbered(n int, form string) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(form, i))
	}
	return strings.Join(all, ",")
}

func TestTimestamp(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"2026-11-23T17:14:12.000000001Z", "2026-11-23T17:14:12Z", "2026-11-23T17:14:12.123456", "2026-11-23T17:14:12",
		"1970-01-01T00:00:00Z",
		"1969-12-31T23:59:59.999Z", "2000-02-29T00:00:00Z", "2100-03-01T00:00:00Z", "2026-11-23T17:14:12.1234567891Z",
		"2026-11-23T17:14:12.5+02:00", "2026-11-23 17:14:12Z", "2026-11-23 17:14:12.25",
	} {
		want, err := time.Parse(time.RFC3339, strings.Replace(text, " ", "T", 1))
		if err != nil {
			if want, err = time.Parse("2006-01-02T15:04:05", strings.Replace(text, " ", "T", 1)); err != nil {
				t.Fatal(err)
			}
		}
		if got, ok := Timestamp([]byte(`"` + text + `"`)); !ok || !got.Equal(want) {
			t.Errorf("%s: got %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{`"2026-02-29T00:00:00Z"`, `"2026-11-23T24:00:00Z"`, `"2026-11-23T17:14:12."`,
		`"2026-11-23"`, `1`, `null`, `""`, `"2026-11-23T17:14:12ZZ"`} {
		if got, ok := Timestamp([]byte(text)); ok {
			t.Errorf("%s: got %v", text, got)
		}
	}
	if n, ok := Nanos([]byte(`"9999-01-01T00:00:00Z"`)); !ok || n != 1<<63-1 {
		t.Errorf("a time beyond: got %d, %v", n, ok)
	}
}

func TestLevel(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		level, severity string
		want            slog.Level
		ok              bool
	}{
		{"40", "", slog.LevelError, true}, {"40.0", "", slog.LevelError, true}, {"4e1", `"INFO"`, slog.LevelError, true},
		{"", `"warning"`, slog.LevelWarn, true}, {"", `"NOTICE2"`, slog.LevelInfo, true}, {"", "", 0, false},
		{`"ERROR"`, "", slog.LevelError, true}, {`"WARN"`, "", slog.LevelWarn, true}, {`"warning"`, "", slog.LevelWarn, true},
		{`"fatal"`, "", slog.LevelError + 4, true}, {`"trace"`, "", slog.LevelDebug - 4, true},
		{`"INFO+2"`, "", slog.LevelInfo + 2, true},
		{`"high"`, "", 0, false}, {`"high"`, `"ERROR"`, slog.LevelError, true}, {"null", "null", 0, false},
		{"[]", "", 0, false},
	} {
		got, ok := Level([]byte(test.level), []byte(test.severity))
		if got != test.want || ok != test.ok {
			t.Errorf("%s %s: got %v, %v; want %v, %v", test.level, test.severity, got, ok, test.want, test.ok)
		}
	}
}

// No record can control a terminal, make a second line that could pass for a record, or panic.
func FuzzAppend(f *testing.F) {
	f.Add([]byte(`{"message":"hi","level":20,"severity":"INFO","n":12345678901234567890,"took":5000000}`), "logs.a", 80)
	f.Add([]byte("{\"me\u202essage\":\"\u009b31m\x7f\",\"stack\":\"a\\n\\u001bb\\n\",\"a\":{\"b\":{\"\xff\":[]}}}"),
		"x\x1b", 0)
	f.Add([]byte(`{"source":{"file":"\u001b","line":1},"timestamp":"0000-00-00T00:00:00","severity":"\u001b"}`), "", 20)
	f.Fuzz(func(t *testing.T, object []byte, stream string, width int) {
		rec := Record{Text: string(object), Stream: stream, Note: "not JSON"}
		if json.Valid(object) && bytes.TrimSpace(object)[0] == '{' {
			rec = Record{Object: bytes.TrimSpace(object), Stream: stream, Extra: []Extra{{stream, stream}}}
		}
		r := Renderer{Layout: Full, Zone: time.UTC, Width: width & 127, Long: width&128 != 0, Color: width&256 != 0,
			Highlight: regexp.MustCompile(`[a-z]+`)}
		text := string(r.Append(nil, &rec))
		for _, own := range []Style{bold, dim, red, green, yellow, redBold, reverse, reset, StreamStyle(stream)} {
			text = strings.ReplaceAll(text, string(own), "")
		}
		for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			if !utf8.ValidString(line) || strings.ContainsFunc(line, ActiveInText) {
				t.Errorf("%q comes out", line)
			}
			if i > 0 && !strings.HasPrefix(line, "    ") {
				t.Errorf("a line that could pass for a record: %q", line)
			}
		}
	})
}
