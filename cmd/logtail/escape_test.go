package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/kafkaesk/kafkaesk/bus"
)

func TestTextIsEscaped(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want, asName string }{
		{name: "plain", text: "wörld 日本 🙂", want: "wörld 日本 🙂"},
		{name: "lines and tabs", text: "a\nb\rc\td", want: `a\nb\rc\td`},
		{name: "escape sequence", text: "\x1b[31mred\x1b]0;title\a", want: `\x1b[31mred\x1b]0;title\x07`},
		{name: "null and DEL", text: "\x00\x7f", want: `\x00\x7f`},
		{name: "C1, which terminals obey as ESC [", text: "\u009b31m", want: `\u009b31m`},
		{name: "C1 as a bare byte", text: "\x9b31m", want: `\x9b31m`},
		{name: "text turned around", text: "\u202egnp.\u2066a\u2069\u200f\u061c", want: `\u202egnp.\u2066a\u2069\u200f\u061c`},
		{name: "line separators", text: "a\u2028b\u2029", want: `a\u2028b\u2029`},
		{name: "nothing to see", text: "a\u200bb\ufeff\u00ad", want: `a\u200bb\ufeff\u00ad`},
		{name: "tag characters", text: "a\U000e0041", want: `a\U000e0041`},
		{name: "joiners have their place", text: "👩\u200d🚀", want: "👩\u200d🚀", asName: `👩\u200d🚀`},
		{name: "broken UTF-8", text: "a\xc3(\xff\xed\xa0\x80", want: `a\xc3(\xff\xed\xa0\x80`},
		{name: "the replacement character itself", text: "a\ufffdb", want: "a\ufffdb"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := string(appendText(nil, test.text)); got != test.want {
				t.Errorf("text: got %q, want %q", got, test.want)
			}
			want := test.want
			if test.asName != "" {
				want = test.asName
			}
			if got := string(appendName(nil, test.text)); got != want {
				t.Errorf("name: got %q, want %q", got, want)
			}
		})
	}
}

func TestStandardErrorIsEscaped(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	text := "first \x1b[2J\nsecond \u202e\n\nlast\x7f"
	if n, err := (escapingWriter{&out}).Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if want := "first \\x1b[2J\nsecond \\u202e\n\nlast\\x7f"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// FuzzNothingActiveComesOut holds every form of output to the promise that no record can control what reads it.
func FuzzNothingActiveComesOut(f *testing.F) {
	f.Add([]byte(`{"schema":"LogRecord:1","data":{"message":"hi","level":20,"severity":"INFO","n":12345678901234567890}}`), "logs.a")
	f.Add([]byte("{\"schema\":\"X:1\",\"data\":{\"me\u202essage\":\"\u009b31m\x7f\",\"_topic\":[1 , {\"a\":null}],\"stack\":\"a\\n\\u001bb\\n\"}}"), "logs\x1b")
	f.Add([]byte("\x1b[2Jnot json\n2026-11-23 forged"), "")
	f.Add([]byte(`{"schema":"X:1","data":[1,"\u2028"]}`), "x")
	f.Add([]byte("{\"schema\":\"\",\"data\":{\"\xff\":\"\xff\",\"a\":{\"b\":{},\"\\u005ftopic\":1},\"source\":{\"file\":\"\\u001b\"}}}"), "x")
	f.Add([]byte(`{"\u005ftopic":1,"_topic":2}`), "x")
	f.Add([]byte(nil), "x")
	f.Fuzz(func(t *testing.T, value []byte, topic string) {
		r := &bus.Record{Stream: topic, Topic: topic, Value: value, Time: time.UnixMilli(0)}
		e := open(r)

		line := jsonPrinter{}.append(nil, &e)
		if !json.Valid(line) || bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
			t.Errorf("not one line of JSON: %q", line)
		}
		inert(t, bytes.TrimSuffix(line, []byte("\n")), active)
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(line, &fields); err != nil || string(fields["_offset"]) != "0" {
			t.Errorf("where it is from cannot be read: %v in %q", err, line)
		}

		for _, color := range []bool{false, true} {
			text := prettyPrinter{color: color, zone: time.UTC}.append(nil, &e)
			for _, own := range []style{bold, dim, red, green, yellow, redBold, reset, streamStyle(topic)} {
				text = bytes.ReplaceAll(text, []byte(own), nil)
			}
			lines := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
			for i, line := range lines {
				inert(t, line, activeInText)
				if i > 0 && !bytes.HasPrefix(line, []byte("    ")) {
					t.Errorf("a line that could pass for a record: %q", line)
				}
			}
		}

		inert(t, bytes.TrimSuffix(rawPrinter{escape: true}.append(nil, &e), []byte("\n")), activeInText)
	})
}

func inert(t *testing.T, line []byte, active func(rune) bool) {
	t.Helper()
	if !utf8.Valid(line) {
		t.Errorf("not UTF-8: %q", line)
	}
	if i := bytes.IndexFunc(line, active); i >= 0 {
		t.Errorf("%q comes out at %d of %q", line[i], i, line)
	}
}
