package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/internal/jsonscan"
)

func never(rune) bool { return false }

func TestScan(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, doc string
		members   string // of the document, then of its data, as name=value
		flags     jsonscan.Flags
	}{
		{"a log record", `{"schema":"L:1","data":{"a":1,"b":"x"}}`, `schema="L:1" data={"a":1,"b":"x"} | a=1 b="x"`, 0},
		{"data that is no object", `{"data":[1]}`, `data=[1] |`, 0},
		{"the last data counts", `{"data":{"a":1},"data":{"b":2}}`, `data={"a":1} data={"b":2} | b=2`, jsonscan.Repeated},
		{"space", ` { "a" : 1 } `, `a=1 |`, jsonscan.Spaces},
		{"text beyond ASCII", `{"a":"ü"}`, `a="ü" |`, jsonscan.NonASCII},
		{"DEL", "{\"a\":\"12345678\x7f\"}", "a=\"12345678\x7f\" |", jsonscan.NonASCII},
		{"an escape", `{"a":"\u00fc"}`, `a="\u00fc" |`, jsonscan.Escapes},
		{"a short escape", `{"a":"\n"}`, `a="\n" |`, 0},
		{"a key twice", `{"a":1,"a":2}`, `a=1 a=2 |`, jsonscan.Repeated},
		{"a key twice below", `{"x":[{"a":1,"b":2,"a":3}]}`, `x=[{"a":1,"b":2,"a":3}] |`, jsonscan.Repeated},
		{"a key whose spelling hides", `{"\u0061":1}`, `\u0061=1 |`, jsonscan.Repeated | jsonscan.Escapes},
		{"no object", `[1]`, ` |`, 0},
	}
	var s jsonscan.Scanner
	for _, test := range tests {
		for range 2 { // the second time by the shape of the first
			if !s.Scan([]byte(test.doc)) {
				t.Errorf("%s: is taken for no JSON", test.name)
				continue
			}
			var got []string
			for _, m := range s.Members {
				got = append(got, string(s.Name(m))+"="+string(s.Value(m)))
			}
			text := strings.Join(got, " ") + " |"
			for _, m := range s.Data {
				text += " " + string(s.Name(m)) + "=" + string(s.Value(m))
			}
			if text != test.members || s.Flags != test.flags {
				t.Errorf("%s: got %q with flags %b, want %q with %b", test.name, text, s.Flags, test.members, test.flags)
			}
		}
	}
}

// A key that comes twice is seen among many keys, and whatever the object before had.
func TestRepeatedKeysAmongMany(t *testing.T) {
	t.Parallel()
	var s jsonscan.Scanner
	doc := "{"
	for i := range 100 {
		doc += `"k` + strings.Repeat("x", i) + `":1,`
	}
	if !s.Scan([]byte(doc+`"z":1}`)) || s.Flags != 0 {
		t.Errorf("flags %b without a key twice", s.Flags)
	}
	if !s.Scan([]byte(doc+`"k":1}`)) || s.Flags != jsonscan.Repeated {
		t.Errorf("flags %b with a key twice", s.Flags)
	}
	for _, doc := range []string{`{"a":1,"b":2}`, `{"a":1,"a":2}`, `{"a":1,"a":2}`} {
		if !s.Scan([]byte(doc)) || (s.Flags != 0) != (doc != `{"a":1,"b":2}`) {
			t.Errorf("%s: flags %b", doc, s.Flags)
		}
	}
}

func TestScanAllocatesNothing(t *testing.T) {
	var s jsonscan.Scanner
	doc := []byte(`{"schema":"L:1","data":{"timestamp":"2026-11-23T17:14:12Z","level":40,"message":"no","order":{"id":7,` +
		`"tags":["a"]}}}`)
	if n := testing.AllocsPerRun(100, func() { s.Scan(doc) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	nested := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	var s jsonscan.Scanner
	for n, want := range map[int]jsonscan.Flags{1: 0, jsonscan.DeepFrom: 0, jsonscan.DeepFrom + 1: jsonscan.Deep} {
		if !s.Scan(nested(n)) || s.Flags != want {
			t.Errorf("%d levels: flags %b, want %b", n, s.Flags, want)
		}
	}
	if s.Scan(nested(jsonscan.MaxDepth + 1)) {
		t.Error("there is no limit")
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for literal, want := range map[string]string{
		"plain": "plain", `a\"b\\c\/\b\f\n\r\t`: "a\"b\\c/\b\f\n\r\t", `\u00fc`: "ü", `\ud83d\ude42`: "🙂",
		`x\ud83d`: "x\ufffd", `\ud83d\u0041`: "\ufffdA", "\xff": "\ufffd", "\\n\xff": "\n\ufffd", `\ufffd`: "\ufffd",
	} {
		if got := jsonscan.Text([]byte(literal)); got != want {
			t.Errorf("%q: got %q, want %q", literal, got, want)
		}
	}
}

func TestAppendSafe(t *testing.T) {
	t.Parallel()
	active := func(r rune) bool { return r == '\u202e' || r >= 0x7f && r < 0xa0 || r == 0xe0041 }
	for doc, want := range map[string]string{
		`{"a": [1, 2.50 , "" ], "b" : { } }`: `{"a":[1,2.50,""],"b":{}}`,
		`"cut \ud83d"`:                       `"cut \ufffd"`,
		`"\ud83d\ude42 \ufffd"`:              `"\ud83d\ude42 \ufffd"`,
		"\"\u202e\x7f\xff\U000e0041\"":       `"\u202e\u007f\ufffd\udb40\udc41"`,
		`{"a":1,"b":2,"\u0061":3}`:           `{"a":3,"b":2}`,
		`[[["deep",{"x":"y"}]]]`:             `[["[\"deep\",{\"x\":\"y\"}]"]]`,
	} {
		if got := string(jsonscan.AppendSafe(nil, []byte(doc), 2, active)); got != want {
			t.Errorf("%s: got %s, want %s", doc, got, want)
		}
	}
}

// What the scanner takes is what encoding/json takes, what it finds is there, and what comes out safe is JSON for a
// strict reader, with the same meaning.
func FuzzScan(f *testing.F) {
	for _, doc := range []string{
		`{"schema":"L:1","data":{"a":1,"b":"x\n\u00fc"}}`, `{"data":{},"data":[]}`, ` [1, -2.5e+3, true, null] `, `"\ud83d"`,
		`{"a":1,"a":{"b":[{}]}}`, `01`, `{"a"}`, `{"a":1,}`, "\"\x1f\"", "\"\xff\x7f\"", `{"\u0061":1}`, ``, `-`, `tru`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var s jsonscan.Scanner
		got := s.Scan(doc)
		if want := json.Valid(doc); got != want {
			t.Fatalf("got %v, encoding/json says %v", got, want)
		}
		if !got {
			return
		}
		doc = bytes.TrimSpace(doc)
		safe := jsonscan.AppendSafe(nil, doc, jsonscan.DeepFrom, never)
		if !utf8.Valid(safe) || !json.Valid(safe) {
			t.Fatalf("%q became %q", doc, safe)
		}
		var was, is any
		if json.Unmarshal(doc, &was) == nil && s.Flags&(jsonscan.Deep|jsonscan.Repeated) == 0 {
			_ = json.Unmarshal(safe, &is)
			a, _ := json.Marshal(was)
			b, _ := json.Marshal(is)
			if !bytes.Equal(a, b) {
				t.Fatalf("%s became %s", a, b)
			}
		}
		if s.Flags&^(jsonscan.NonASCII|jsonscan.Escapes) == 0 && jsonscan.IsInert(doc, never) != bytes.Equal(doc, safe) {
			t.Fatalf("%q became %q, IsInert says otherwise", doc, safe)
		}
		if s.Flags == 0 && !bytes.Equal(doc, safe) {
			t.Fatalf("%q has no flags and became %q", doc, safe)
		}
		again := jsonscan.Scanner{}
		if !again.Scan(safe) || again.Flags&(jsonscan.Deep|jsonscan.Spaces) != 0 {
			t.Fatalf("%q has flags %b", safe, again.Flags)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	doc := []byte(`{"schema":"LogRecord:1","data":{"timestamp":"2026-11-23T17:14:12.000000001Z","severity":"INFO",` +
		`"level":20,"message":"request handled","logger":null,"exception":null,"trace":null,"stack":null,` +
		`"hostname":"web-7d9f-x2k","service":"web","namespace":"prod","cluster":"eu","user":"ada","path":"/api/orders",` +
		`"status":200,"took":26999921}}`)
	b.SetBytes(int64(len(doc)))
	var s jsonscan.Scanner
	for b.Loop() {
		s.Scan(doc)
	}
}
