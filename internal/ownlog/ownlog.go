// Package ownlog keeps the library's own log records out of the library's own log handler.
//
// The bus logs through the application's logger, and that logger may ship its records through the bus. A record about
// a failing broker would then be sent to the failing broker, fail, and be logged again. The bus therefore marks the
// context of its log calls, and slogkafka does not ship a marked record.
package ownlog

import (
	"context"
	"fmt"
	"log/slog"
	"os"
)

type markKey struct{}

// Mark returns a context that marks log records as the library's own.
func Mark(ctx context.Context) context.Context { return context.WithValue(ctx, markKey{}, true) }

// Marked reports whether ctx carries the mark.
func Marked(ctx context.Context) bool { return ctx != nil && ctx.Value(markKey{}) != nil }

// IsDefault reports whether h is the initial handler of slog's default logger. It writes through package log, and
// package log writes to the default logger after a slog.SetDefault: records of h then arrive there without their
// context, and so without the mark.
func IsDefault(h slog.Handler) bool { return fmt.Sprintf("%T", h) == "*slog.defaultHandler" }

// Logger returns l with every record marked. A nil l means text on standard error from level WARN on; it never means
// slog's default logger, because that may ship its records through the bus. A logger with the initial default handler
// ([IsDefault]) also means standard error, from that handler's level on.
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
