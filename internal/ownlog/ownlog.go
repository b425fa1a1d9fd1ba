// Package ownlog keeps the library's own log records out of the library's own log handler.
//
// The bus logs through the logger an application gives it, and that logger may ship its records through the bus. A
// record about a failing broker would then be sent to the failing broker, fail, and be logged again. So everything the
// bus logs carries a mark in its context, and slogkafka refuses to ship a record that has it.
package ownlog

import (
	"context"
	"fmt"
	"log/slog"
	"os"
)

type markKey struct{}

// Mark returns a context whose log records are the library's own.
func Mark(ctx context.Context) context.Context { return context.WithValue(ctx, markKey{}, true) }

// Marked reports whether ctx carries the mark.
func Marked(ctx context.Context) bool { return ctx != nil && ctx.Value(markKey{}) != nil }

// IsDefault reports whether h is the handler that slog's default logger has at first. It writes through package log,
// and package log writes to the default logger once slog.SetDefault has set another: whatever is logged by h then ends
// there, without its context, and so without its mark.
func IsDefault(h slog.Handler) bool { return fmt.Sprintf("%T", h) == "*slog.defaultHandler" }

// Logger returns l with every record marked. A nil l means warnings and errors as text on standard error: never slog's
// default logger, which may be the very handler that the marks are for. That logger as it is at first ([IsDefault])
// stands for standard error too, from its level on.
func Logger(l *slog.Logger) *slog.Logger {
	switch {
	case l == nil:
		l = toStderr(slog.LevelWarn)
	case IsDefault(l.Handler()):
		l = toStderr(slog.LevelInfo)
	}
	if _, marked := l.Handler().(handler); marked {
		return l
	}
	return slog.New(handler{l.Handler()})
}

func toStderr(least slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: least}))
}

type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	return h.Handler.Handle(Mark(ctx), r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name)}
}
