package bus

import (
	"context"
	"encoding/base64"
	"log/slog"
	"unicode/utf8"
)

// longestKey bounds the key in a log record.
const longestKey = 256

// LogAttrs returns what tells in a log record which record a handler works on: stream, partition, offset, key (text, or
// in base64 behind "base64:"; none where the record has none), group and attempt ([Attempt]). For a [Batch] it is its
// first record, and records says how many there are. It is nil when ctx is not that of a handler or a middleware.
//
// The log of a worker (package bus/worker) has these attributes in what handlers log with their context:
// slog.InfoContext(ctx, ...). A program with a logger of its own adds them where it makes its handler.
func LogAttrs(ctx context.Context) []slog.Attr {
	c := callOf(ctx)
	if c == nil {
		return nil
	}
	r := c.record
	attrs := make([]slog.Attr, 0, 7)
	attrs = append(attrs, slog.String("stream", r.Stream), slog.Int("partition", r.Partition),
		slog.Int64("offset", r.Offset))
	if r.Key != nil {
		attrs = append(attrs, slog.String("key", keyText(r.Key)))
	}
	attrs = append(attrs, slog.String("group", c.x.group), slog.Int("attempt", c.attempt))
	if c.batch != nil {
		attrs = append(attrs, slog.Int("records", len(c.batch.records)))
	}
	return attrs
}

// keyText returns a key as text.
func keyText(key []byte) string {
	text := string(key)
	if !utf8.Valid(key) {
		text = "base64:" + base64.StdEncoding.EncodeToString(key[:min(len(key), longestKey)])
	}
	return truncate(text, longestKey)
}
