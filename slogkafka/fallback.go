package slogkafka

import (
	"context"
	"log/slog"
	"time"

	"github.com/kafkaesk/kafkaesk/internal/ownlog"
	"github.com/kafkaesk/kafkaesk/logrecord"
)

// fallenKey marks the context of what a fallback gets, so that it ends here when the fallback leads back.
type fallenKey struct{}

func fallen(ctx context.Context) bool { return ctx.Value(fallenKey{}) != nil }

// lost gives records that are dropped to the fallback.
func (c *core) lost(items []item) {
	if c.fallback == nil {
		return
	}
	for i := range items {
		c.fallBack(&items[i])
	}
}

// lostUntil does it until a time: the rest is only counted.
func (c *core) lostUntil(end time.Time, items []item) {
	for i := range items {
		if c.fallback == nil || time.Now().After(end) {
			return
		}
		c.fallBack(&items[i])
	}
}

// fallBack makes a slog.Record out of what was encoded, because nothing of the original is kept, and gives it to the
// fallback. The marks in the context keep it from coming back here. A fallback that panics harms nobody.
func (c *core) fallBack(it *item) {
	defer func() { _ = recover() }()
	ctx := context.WithValue(ownlog.Mark(context.Background()), fallenKey{}, true)
	record, err := logrecord.Decode(it.value)
	if err != nil || !c.fallback.Enabled(ctx, record.Level) {
		return
	}
	r := slog.NewRecord(record.Time, record.Level, record.Message, 0)
	for _, base := range []slog.Attr{
		slog.String("logger", record.Logger), slog.String("trace_id", record.TraceID), slog.String("span_id", record.SpanID),
	} {
		if base.Value.String() != "" {
			r.AddAttrs(base)
		}
	}
	for _, f := range record.Fields {
		r.AddAttrs(slog.Any(f.Name, f.Plain()))
	}
	_ = c.fallback.Handle(ctx, r) // there is nowhere left to say that it failed
}
