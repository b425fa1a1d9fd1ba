package testkit

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// inside holds a value in an unexported field, for which fmt calls no method.
type inside struct{ value any }

// Printed returns v in every format of fmt, encoding/json, encoding/xml, encoding/gob and slog. The output of an
// encoder that fails is its error.
func Printed(v any) map[string]string {
	out := make(map[string]string)
	for _, verb := range []string{"v", "+v", "#v", "s", "q", "x", "X", "d", "T", "p", "t", "#x", "# x", "U", "08b", "o"} {
		out["%"+verb] = fmt.Sprintf("%"+verb, v)
		out["%"+verb+" inside"] = fmt.Sprintf("%"+verb, inside{v})
		out["%"+verb+" of a pointer to inside"] = fmt.Sprintf("%"+verb, &inside{v})
	}
	asJSON, err := json.Marshal(v)
	out["json"] = fmt.Sprint(string(asJSON), err)
	asXML, err := xml.Marshal(v)
	out["xml"] = fmt.Sprint(string(asXML), err)
	var asGob bytes.Buffer
	err = gob.NewEncoder(&asGob).Encode(v)
	out["gob"] = fmt.Sprint(asGob.String(), err)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"slog JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(handler(&b)).Info("m", "value", v, "inside", inside{v}, "group", slog.GroupValue(slog.Any("member", v)))
		out[name] = b.String()
	}
	return out
}

// NeverPrints fails the test when any output of Printed contains the secret in any encoding.
func NeverPrints(t testing.TB, name string, v any, secret string) {
	t.Helper()
	forms := FormsOf(secret)
	for how, text := range Printed(v) {
		for _, form := range forms {
			if strings.Contains(text, form) {
				t.Errorf("%s: %s prints the secret: %s", name, how, text)
				break
			}
		}
	}
}

// FormsOf returns how a secret is printed, also as the beginning of longer bytes.
func FormsOf(secret string) []string {
	b := []byte(secret)
	return []string{secret, fmt.Sprintf("%x", b), fmt.Sprintf("%X", b), fmt.Sprintf("% x", b),
		strings.Trim(fmt.Sprint(b), "[]"), strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", b), "[]byte{"), "}"),
		base64.StdEncoding.EncodeToString(b[:len(b)/3*3])}
}
