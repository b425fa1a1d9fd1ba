package ownlog_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/kafkaesk/kafkaesk/internal/ownlog"
)

// seen tells for each record whether its context was marked.
type seen struct{ marks *[]bool }

func (s seen) Enabled(context.Context, slog.Level) bool { return true }
func (s seen) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s seen) WithGroup(string) slog.Handler            { return s }
func (s seen) Handle(ctx context.Context, _ slog.Record) error {
	*s.marks = append(*s.marks, ownlog.Marked(ctx))
	return nil
}

// The logger that slog starts with would lead back, so it is not used; one that is set later is one like any other.
func TestSlogsDefault(t *testing.T) {
	if h := slog.Default().Handler(); !ownlog.IsDefault(h) ||
		!ownlog.IsDefault(h.WithGroup("g").WithAttrs([]slog.Attr{slog.Int("a", 1)})) {
		t.Errorf("%T is not known", h)
	}
	if ownlog.IsDefault(slog.DiscardHandler) {
		t.Error("the discarding handler is taken for it")
	}
	own := ownlog.Logger(slog.Default())
	if own.Handler() == ownlog.Logger(nil).Handler() || ownlog.IsDefault(own.Handler()) ||
		!own.Enabled(t.Context(), slog.LevelInfo) {
		t.Errorf("it became %v", own.Handler())
	}
}

func TestEveryRecordIsMarked(t *testing.T) {
	var marks []bool
	plain := slog.New(seen{&marks})
	own := ownlog.Logger(ownlog.Logger(plain))

	own.Info("direct")
	own.With("a", 1).Info("with")
	own.WithGroup("g").Info("group")
	plain.Info("an application's own")

	want := []bool{true, true, true, false}
	if len(marks) != len(want) {
		t.Fatalf("%d records, want %d", len(marks), len(want))
	}
	for i := range want {
		if marks[i] != want[i] {
			t.Errorf("record %d: marked %v, want %v", i, marks[i], want[i])
		}
	}
}
