package slogkafka

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/kafkaesk/kafkaesk/internal/logtext"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// NewStreamHandler returns a handler that writes the records to w, each with one call of Write: as a line of JSON without
// an envelope, or, with [Text], for people. A nil w is standard error. It may be used concurrently; w need not.
func NewStreamHandler(w io.Writer, opts ...Option) slog.Handler {
	o := collect(opts)
	if w == nil {
		w = os.Stderr
	}
	o.record.SchemaID = ""
	s := &stream{w: w, level: o.level}
	if o.text {
		s.text = textRenderer(w)
	}
	return &streamHandler{
		stream:  s,
		encoder: logrecord.NewEncoder(o.record),
	}
}

type streamHandler struct {
	*stream
	encoder *logrecord.Encoder
}

// stream is what a stream handler and those derived from it have in common.
type stream struct {
	level slog.Leveler
	text  *logtext.Renderer // nil for JSON

	mu sync.Mutex // one Write at a time
	w  io.Writer
}

func (h *streamHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h *streamHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &streamHandler{h.stream, h.encoder.WithAttrs(attrs)}
}

func (h *streamHandler) WithGroup(name string) slog.Handler {
	return &streamHandler{h.stream, h.encoder.WithGroup(name)}
}

func (h *streamHandler) Handle(ctx context.Context, r slog.Record) error {
	line, _ := h.encoder.Append(nil, ctx, r)
	if h.text != nil {
		line = h.text.Append(nil, &logtext.Record{Object: line})
	} else {
		line = append(line, '\n')
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(line)
	return err
}
