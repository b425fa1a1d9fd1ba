package worker

import (
	"context"
	"log/slog"

	"github.com/kafkaesk/kafkaesk/bus"
)

// recordHandler adds the attributes of the handled record to log records of its context. They are in the groups that
// the logger has opened.
type recordHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h recordHandler) Handle(ctx context.Context, r slog.Record) error {
	if attrs := bus.LogAttrs(ctx); attrs != nil {
		r = r.Clone()
		r.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h recordHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return recordHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h recordHandler) WithGroup(name string) slog.Handler {
	return recordHandler{h.Handler.WithGroup(name)}
}
