package logtext

import (
	"bytes"
	"testing"
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
		{name: "text turned around", text: "\u202egnp.\u2066a\u2069\u200f\u061c",
			want: `\u202egnp.\u2066a\u2069\u200f\u061c`},
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
			if got := string(AppendText(nil, test.text)); got != test.want {
				t.Errorf("text: got %q, want %q", got, test.want)
			}
			want := test.want
			if test.asName != "" {
				want = test.asName
			}
			if got := string(AppendName(nil, test.text)); got != want {
				t.Errorf("name: got %q, want %q", got, want)
			}
		})
	}
}
func TestStandardErrorIsEscaped(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	text := "first \x1b[2J\nsecond \u202e\n\nlast\x7f"
	if n, err := (Writer{&out}).Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if want := "first \\x1b[2J\nsecond \\u202e\n\nlast\\x7f"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
