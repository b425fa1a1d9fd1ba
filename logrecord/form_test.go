package logrecord

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// signIn is a model that has a constraint.
type signIn struct {
	Model
	User  string `json:"user" jsonschema:"minLength=1"`
	Tries int    `json:"tries"`
}

// A record in parts becomes what it is as a whole, and most records are written in parts.
func TestPartsBecomeTheRecord(t *testing.T) {
	t.Parallel()
	e := NewEncoder(Options{Base: fixedBase(), SchemaID: "LogRecord:1", AddSource: true})
	with := e.WithAttrs([]slog.Attr{slog.String("a", "one"), slog.Int("b", 2), slog.Any("c", []int{3})})
	span := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: 1,
	})
	plain := []slog.Attr{
		slog.String("user", "ada \"l\""), slog.Int("n", -2), slog.Bool("cached", true), slog.Duration("took", time.Second),
		slog.Float64("f", 1.5),
	}
	var many []slog.Attr
	for i := range few + 1 {
		many = append(many, slog.Int("key"+strconv.Itoa(i), i))
	}
	var pcs [1]uintptr
	runtime.Callers(1, pcs[:])
	for _, c := range []struct {
		name    string
		encoder *Encoder
		at      time.Time
		level   slog.Level
		message string
		attrs   []slog.Attr
		folded  bool
	}{
		{"nothing", e, at, 0, "hello", nil, true},
		{"plain attributes", e, at, slog.LevelError, "hello", plain, true},
		{"an empty message", e, at, 0, "", plain, true},
		{"With", with, at, 0, "hello", nil, true},
		{"With and attributes", with, at, 0, "hello", plain, true},
		{"a model", with, at, 0, "hello", append(plain[1:2:2], slog.Any("m", signIn{User: "ada"})), true},
		{"two models", with, at, 0, "hello", []slog.Attr{slog.Any("m", signIn{User: "a"}), slog.Any("n", signIn{User: "b"})},
			false},
		{"a model that breaks its schema", with, at, 0, "hello", []slog.Attr{slog.Any("m", signIn{})}, false},
		{"a key of With", with, at, 0, "hello", []slog.Attr{slog.Int("x", 1), slog.Int("a", 2), slog.Int("y", 3)}, false},
		{"a key twice", e, at, 0, "hello", []slog.Attr{slog.Int("x", 1), slog.Int("x", 2)}, false},
		{"many keys", e, at, 0, "hello", many, false},
		{"an own field", e, at, 0, "hello", []slog.Attr{slog.Int("x", 1), slog.String("service", "s")}, false},
		{"an error behind others", with, at, 0, "hello", append(plain[:5:5], slog.Any("err", errors.New("no"))), false},
		{"a group", with, at, 0, "hello", append(plain[:1:1], slog.Group("g", slog.Int("x", 1))), false},
		{"WithGroup", with.WithGroup("g"), at, 0, "hello", plain, false},
		{"a level without a name", e, at, 1, "hello", plain, false},
		{"no time", e, time.Time{}, 0, "hello", plain, false},
		{"a time that cannot be said", e, time.Unix(lastSecond, 0), 0, "hello", plain, false},
		{"the last time", e, time.Unix(lastSecond-1, 999999999), 0, "hello", plain, true},
		{"the first time", e, time.Unix(0, 0), 0, "hello", plain, true},
		{"a long message", e, at, 0, strings.Repeat("x", shortText+1), nil, false},
		{"a long text", e, at, 0, "hello", []slog.Attr{slog.Int("x", 1), slog.String("y", strings.Repeat("y", shortText+1))},
			false},
	} {
		for _, ctx := range []context.Context{t.Context(), trace.ContextWithSpanContext(t.Context(), span)} {
			r := slog.NewRecord(c.at, c.level, c.message, pcs[0])
			r.AddAttrs(c.attrs...)
			want, _ := encodeRecord(t, c.encoder, ctx, r)
			if got := samePartsAs(t, want, c.encoder, ctx, r); got != c.folded {
				t.Errorf("%s: written in parts is %v", c.name, got)
			}
		}
	}
}

// A record without a time has none, also behind one of the second in which the zero time lies.
func TestNoTime(t *testing.T) {
	t.Parallel()
	var c Clock
	c.append(nil, time.Time{}.Add(1))
	if got := string(c.append(nil, time.Time{})); got != "null," {
		t.Errorf("no time is written as %s", got)
	}
}
