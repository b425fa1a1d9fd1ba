package rawjson

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// A text of each length, with a byte at each place that needs an escape, is no UTF-8, or is neither, is written as
// encoding/json writes it, behind what is there already, with memory that is too small, just enough, and more.
func TestTextsAreThoseOfEncodingJSON(t *testing.T) {
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	for n := range 40 {
		for at := range max(n, 1) {
			for _, special := range []string{"a", `"`, `\`, "\n", "\x00", "\x1f", " ", "\x7f", "é", "\xff", "<"} {
				text := strings.Repeat("x", at) + special + strings.Repeat("y", max(n-at-1, 0))
				text = text[:min(n, len(text))]
				want.Reset()
				if err := e.Encode(text); err != nil {
					t.Fatal(err)
				}
				for _, room := range []int{1, n + 3, 200} {
					got := AppendText(append(make([]byte, 0, room), '>'), text, Escaped)
					if string(got) != ">"+strings.TrimSuffix(want.String(), "\n") {
						t.Fatalf("%q is written %s, by encoding/json %s", text, got, &want)
					}
				}
			}
		}
	}
}
