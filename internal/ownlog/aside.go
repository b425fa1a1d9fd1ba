package ownlog

import (
	"context"
	"errors"
	"log/slog"

	"github.com/kafkaesk/kafkaesk/internal/aside"
)

// Aside returns a logger that passes its records to l on the runner's goroutine, so that a handler or a standard
// error that blocks delays no work. Records beyond the runner's limit are dropped.
func Aside(l *slog.Logger, r *aside.Runner) *slog.Logger {
	return slog.New(asideHandler{l.Handler(), r})
}

type asideHandler struct {
	slog.Handler
	runner *aside.Runner
}

var errNoRoom = errors.New("ownlog: the log handler is too slow, and the record is lost")

func (h asideHandler) Handle(ctx context.Context, r slog.Record) error {
	r = r.Clone()
	if !h.runner.Do(func() { _ = h.Handler.Handle(ctx, r) }) {
		return errNoRoom
	}
	return nil
}

func (h asideHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return asideHandler{h.Handler.WithAttrs(attrs), h.runner}
}

func (h asideHandler) WithGroup(name string) slog.Handler {
	return asideHandler{h.Handler.WithGroup(name), h.runner}
}
