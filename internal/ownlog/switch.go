package ownlog

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
)

// Switch is a replaceable destination of a logger. Replacing it affects loggers that were derived before.
type Switch struct{ to atomic.Pointer[slog.Logger] }

// Set sets the destination to [Logger] of l. It must be called before the first record.
func (s *Switch) Set(l *slog.Logger) { s.to.Store(Logger(l)) }

// Logger returns a logger whose records go to the destination that is set when they are logged.
func (s *Switch) Logger() *slog.Logger { return slog.New(switched{to: s}) }

type switched struct {
	to    *Switch
	steps []func(slog.Handler) slog.Handler // WithAttrs and WithGroup, in their order
}

func (h switched) Enabled(ctx context.Context, l slog.Level) bool {
	return h.to.to.Load().Handler().Enabled(ctx, l)
}

func (h switched) Handle(ctx context.Context, r slog.Record) error {
	handler := h.to.to.Load().Handler()
	for _, step := range h.steps {
		handler = step(handler)
	}
	return handler.Handle(ctx, r)
}

func (h switched) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func(to slog.Handler) slog.Handler { return to.WithAttrs(attrs) })
}

func (h switched) WithGroup(name string) slog.Handler {
	return h.with(func(to slog.Handler) slog.Handler { return to.WithGroup(name) })
}

func (h switched) with(step func(slog.Handler) slog.Handler) slog.Handler {
	return switched{h.to, append(slices.Clip(h.steps), step)}
}
