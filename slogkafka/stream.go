package slogkafka

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/kafkaesk/kafkaesk/internal/logtext"
	"github.com/kafkaesk/kafkaesk/internal/ownlog"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// NewStreamHandler returns a handler that writes each record to w with one call of Write: as a line of JSON without
// an envelope, or with [Text] for people. A nil w is standard error. The handler may be used concurrently; w need not
// be safe for that. A wrong option has no effect and is reported once on standard error.
func NewStreamHandler(w io.Writer, opts ...StreamOption) slog.Handler {
	o := collectStream(opts)
	if w == nil {
		w = os.Stderr
	}
	if o.err != nil {
		ownlog.Logger(nil).Error("slogkafka: a stream handler ignores options that are wrong", "error", o.err)
	}
	o.record.Report = func(err error) { ownlog.Logger(nil).Warn("slogkafka: a log model is not checked", "error", err) }
	s := &stream{w: w, level: o.level, sampler: o.sampler}
	if o.text {
		s.text = textRenderer(w)
	}
	return &streamHandler{stream: s, encoder: logrecord.NewEncoder(o.record)}
}

type streamHandler struct {
	*stream
	encoder *logrecord.Encoder
}

// stream is the shared state of a stream handler and the handlers derived from it.
type stream struct {
	level   slog.Leveler
	text    *logtext.Renderer // nil for JSON
	sampler *sampler          // nil: all records are logged

	mu sync.Mutex // serializes calls of Write
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
	if h.sampler != nil && !h.sampler.keep(&r) {
		return nil
	}
	return h.encoder.Encode(ctx, &r, h.write)
}

func (h *streamHandler) write(record []byte, _ *logrecord.Result) error {
	if h.text != nil {
		record = h.text.Append(nil, &logtext.Record{Object: record})
	} else {
		record = append(record, '\n')
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.w.Write(record)
	return err
}
