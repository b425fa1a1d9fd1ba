package logrecord

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestShorten(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("a\n\x01ü", 100_000)
	many := make([]any, 0, 20_000)
	for i := range 10_000 {
		many = append(many, fmt.Sprint("key", i), strings.Repeat("x", 50))
	}
	for _, test := range []struct {
		name string
		args []any
		keep string // what has to be there still
		gone string // what must not
	}{
		{"one text", []any{"text", large, "other", 1}, `"other":1`, ""},
		{"the message", []any{}, `"hostname":"web-0"`, ""},
		{"two texts, one small", []any{"text", large, "small", strings.Repeat("s", 300)}, `"small":"` +
			strings.Repeat("s", 300), ""},
		{"in a group", []any{slog.Group("g", "text", large, "a", 1)}, `"a":1`, ""},
		{"a list", []any{"list", make([]int, 50_000), "other", 1}, `"list":"!ERROR:left out`, ""},
		{"a list in a group", []any{slog.Group("g", "a", 1, "list", make([]int, 50_000)), "other", 1},
			`"g":{"a":1,"list":"!ERROR:left out`, ""},
		{"many small ones", many, `"cluster":"c1"`, ""},
		{"a base field of a model", []any{mapModel{"stack": make([]int, 50_000)}}, `"stack":"!ERROR:left out`, ""},
		{"one that is called truncated", []any{"truncated", "mine", "text", large}, `"attr_truncated":"mine"`,
			`"truncated":"mine"`},
		{"and one that is called attr_truncated", []any{"attr_truncated", "x", "truncated", "mine", "text", large},
			`"truncated":true`, `"truncated":"mine"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, id := range []string{"", "LogRecord:1"} {
				e := NewEncoder(Options{SchemaID: id, Base: fixedBase(), MaxBytes: 4000})
				message := "hello"
				if len(test.args) == 0 {
					message = large
				}
				r := slog.NewRecord(at, 0, message, 0)
				r.Add(test.args...)
				text, result := encodeRecord(t, e, context.Background(), r)
				if len(text) > 4000 || !result.Truncated || !utf8.Valid(text) {
					t.Errorf("%d bytes, truncated %v", len(text), result.Truncated)
				}
				if !bytes.Contains(text, []byte(test.keep)) || !bytes.Contains(text, []byte(`"truncated":true`)) {
					t.Errorf("want %s in %s", test.keep, text)
				}
				if test.gone != "" && bytes.Contains(text, []byte(test.gone)) {
					t.Errorf("do not want %s in %s", test.gone, text)
				}
				half, ok := e.Shorten(text, 2000)
				if err := unique(half); err != nil || !ok || len(half) > 2000 {
					t.Errorf("half of it: %v, %v, %d bytes: %s", err, ok, len(half), half)
				}
				if none, ok := e.Shorten(text, 20); ok || unique(none) != nil {
					t.Errorf("next to nothing: %v, %s", ok, none)
				}
			}
		})
	}
}

func TestShortenAnything(t *testing.T) {
	t.Parallel()
	e := NewEncoder(Options{Base: fixedBase()})
	rapid.Check(t, func(t *rapid.T) {
		r := slog.NewRecord(at, 0, rapid.String().Draw(t, "message"), 0)
		for range rapid.IntRange(0, 5).Draw(t, "n") {
			key := rapid.SampledFrom([]string{"a", "b", "truncated", "attr_truncated", "c"}).Draw(t, "key")
			r.Add(key, strings.Repeat(rapid.String().Draw(t, "text"), rapid.IntRange(0, 50).Draw(t, "times")))
			r.Add(slog.Group(key+"g", key, rapid.SliceOf(rapid.Int()).Draw(t, "list")))
		}
		text, _ := e.Append(nil, t.Context(), r)
		limit := rapid.IntRange(300, 3000).Draw(t, "limit")
		short, ok := e.Shorten(text, limit)
		if err := unique(short); err != nil || ok != (len(short) <= limit) || !utf8.Valid(short) {
			t.Fatalf("to %d: %v, %v, %d bytes: %s", limit, err, ok, len(short), short)
		}
		if limit > 700 && !ok { // the base fields are shorter than that
			t.Fatalf("to %d: %d bytes: %s", limit, len(short), short)
		}
	})
}
