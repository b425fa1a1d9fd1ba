package bus

import (
	"context"
	"encoding/base64"
	"log/slog"
	"unicode/utf8"
)

// longestKey bounds the key in a log record.
const longestKey = 256

// LogAttrs returns attributes for a log record, which name the record that a handler works on: stream, partition,
// offset, key (as text, or in base64 behind "base64:"; left out when there is none), group, and attempt ([Attempt]).
// For a [Batch] they name its first record, and one more attribute, "records", is the number of its records. LogAttrs
// returns nil when ctx is not that of a handler or a middleware.
//
// A worker (package bus/worker) adds these attributes to what handlers log with their context, by
// slog.InfoContext(ctx, ...) for example. A program with a logger of its own adds them in its slog.Handler.
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
