package logrecord

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stackError is an error with a stack, as those of github.com/pkg/errors are.
type stackError struct{ text string }

func (e *stackError) Error() string { return e.text }

func (e *stackError) Format(s fmt.State, verb rune) {
	_, _ = io.WriteString(s, e.text)
	if verb == 'v' && s.Flag('+') {
		_, _ = io.WriteString(s, "\nmain.main\n\t/main.go:1")
	}
}

type endlessError struct{}

func (endlessError) Error() string   { return "endless" }
func (e endlessError) Unwrap() error { return fmt.Errorf("again: %w", e) }

type bushyError struct{}

func (bushyError) Error() string     { return "bushy" }
func (e bushyError) Unwrap() []error { return []error{e, e, e} }

type fewErrors []error

func (fewErrors) Error() string     { return "few" }
func (e fewErrors) Unwrap() []error { return e }

func TestExceptionAndStack(t *testing.T) {
	t.Parallel()
	inner := &stackError{"no disk"}
	const trace = "no disk\nmain.main\n\t/main.go:1"
	for _, test := range []struct {
		name             string
		err              error
		exception, stack string
	}{
		{"a plain one", errors.New("boom"), "*errors.errorString", "boom"},
		{"with a stack", inner, "*logrecord.stackError", trace},
		{"behind %w", fmt.Errorf("save: %w", inner), "*logrecord.stackError", "save: no disk\n" + trace},
		{"behind two", fmt.Errorf("a: %w", fmt.Errorf("b: %w", inner)), "*logrecord.stackError", "a: b: no disk\n" + trace},
		{"in a Join", errors.Join(io.EOF, inner), "*errors.errorString", "EOF\nno disk\n" + trace},
		{"in %w twice", fmt.Errorf("%w, %w", inner, io.EOF), "*logrecord.stackError", "no disk, EOF\n" + trace},
		{"two stacks", errors.Join(inner, &stackError{"no net"}), "*logrecord.stackError", "no disk\nno net\n" + trace +
			"\nno net\nmain.main\n\t/main.go:1"},
		{"a wrapper that says something", fewErrors{inner}, "logrecord.fewErrors", "few\n" + trace},
		{"a typed nil in the chain", fmt.Errorf("save: %w", (*stackError)(nil)), "*fmt.wrapError", "save: <nil>"},
		{"no end", endlessError{}, "logrecord.endlessError", "endless"},
		{"no end in the width", bushyError{}, "logrecord.bushyError", "bushy"},
		{"Error panics", badError{}, "logrecord.badError", "!PANIC:Error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text, _ := encode(t, NewEncoder(Options{Base: fixedBase()}), "a", 1, "reason", test.err, "second", io.ErrClosedPipe)
			got := fields(t, text)
			if diff := cmp.Diff([]any{test.exception, test.stack}, []any{got["exception"], got["stack"]}); diff != "" {
				t.Errorf("exception and stack differ (-want +got):\n%s", diff)
			}
		})
	}
}

// A typed nil is null, and no error: not even its type is told.
func TestTypedNilError(t *testing.T) {
	t.Parallel()
	text, _ := encode(t, NewEncoder(Options{Base: fixedBase()}), "err", error((*stackError)(nil)), "a", 1)
	if diff := cmp.Diff(parse(t, `{"err":null,"a":1}`), fields(t, text)); diff != "" {
		t.Errorf("the fields differ (-want +got):\n%s", diff)
	}
}

// The fields of the context stand at the root, give way to what was said nearer to the call, and fall to nobody's
// group.
func TestFromContext(t *testing.T) {
	t.Parallel()
	type keyOf struct{}
	e := NewEncoder(Options{Base: fixedBase(), FromContext: func(ctx context.Context) []slog.Attr {
		switch v := ctx.Value(keyOf{}).(type) {
		case nil:
			return nil
		case string:
			return []slog.Attr{
				slog.String("request", v), slog.String("a", "context"), slog.String("level", "context"), slog.Any("n", "context"),
				slog.Group("g", "a", "context", "c", 1), slog.Group("w", "a", "context", "x", 1), slog.Group("new", "a", 1),
				Attr(userLog{User: "ada"}),
			}
		}
		panic("bang")
	}})
	e = e.WithAttrs(attrs("user", "with")).WithGroup("w").WithAttrs(attrs("a", 1))
	for _, test := range []struct {
		value any
		want  string
	}{
		{nil, `{"user":"with","w":{"a":1,"b":2}}`},
		{"r1", `{"user":"with","w":{"a":1,"b":2,"x":1},"request":"r1","a":"context","attr_level":"context","n":"context",` +
			`"g":{"a":"context","c":1},"new":{"a":1}}`},
		{7, `{"user":"with","w":{"a":1,"b":2},"schema_errors":["FromContext: panic: bang"]}`},
	} {
		r := slog.NewRecord(at, 0, "hello", 0)
		r.Add("b", 2)
		ctx := t.Context()
		if test.value != nil {
			ctx = context.WithValue(ctx, keyOf{}, test.value)
		}
		text, _ := encodeRecord(t, e, ctx, r)
		if diff := cmp.Diff(parse(t, test.want), fields(t, text)); diff != "" {
			t.Errorf("%v: the fields differ (-want +got):\n%s", test.value, diff)
		}
	}
	r := slog.NewRecord(at, 0, "hello", 0)
	r.Add("a", 1, slog.Group("g", "a", 2), "n", nil)
	root := NewEncoder(Options{Base: fixedBase(), FromContext: func(context.Context) []slog.Attr {
		return []slog.Attr{slog.Int("a", 9), slog.Group("g", "a", 9, "b", 9), slog.Int("n", 9), slog.Group("a", "b", 9)}
	}})
	text, _ := encodeRecord(t, root, t.Context(), r)
	if diff := cmp.Diff(parse(t, `{"a":1,"g":{"a":2,"b":9},"n":9}`), fields(t, text)); diff != "" {
		t.Errorf("the fields differ (-want +got):\n%s", diff)
	}
}

func TestLevelsAndDurations(t *testing.T) {
	t.Parallel()
	e := NewEncoder(Options{Base: fixedBase(), Levels: map[slog.Level]string{-8: "TRACE", 2: "NOTICE"},
		TextDurations: true})
	for level, want := range map[slog.Level]string{-9: "TRACE", -8: "TRACE", -5: "TRACE", -4: "DEBUG", 0: "INFO",
		2: "NOTICE", 3: "NOTICE", 4: "WARNING", 20: "CRITICAL"} {
		text, _ := encodeRecord(t, e, t.Context(), slog.NewRecord(at, level, "hello", 0))
		if !strings.Contains(string(text), `"severity":"`+want+`"`) {
			t.Errorf("level %d: want %s in %s", level, want, text)
		}
	}
	text, _ := encode(t, e, "d", 1500e6, slog.Duration("t", 1500e6), slog.Group("g", slog.Duration("t", 0)),
		mapModel{"m": slog.DurationValue(1e9)})
	if diff := cmp.Diff(parse(t, `{"d":1500000000,"t":"1.5s","g":{"t":"0s"},"m":"1s"}`), fields(t, text)); diff != "" {
		t.Errorf("the fields differ (-want +got):\n%s", diff)
	}
}
