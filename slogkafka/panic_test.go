package slogkafka

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// What cannot be delivered before a panic ends the process goes to the fallback, which is told why.
func TestFlushOnPanicGivesWhatIsLeftToTheFallback(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeBus{ready: func() error { return errors.New("no broker") }}
		to := newRecorder()
		h := fake(f, Fallback(to))
		slog.New(h).Error("last words")
		func() {
			defer func() {
				if v := recover(); v != "the end" {
					t.Errorf("the panic goes on with %v", v)
				}
			}()
			defer h.FlushOnPanic(5 * time.Second)
			panic("the end")
		}()
		if to.count("last words") != 1 || to.count(dropMessage) != 1 {
			t.Errorf("the fallback got %v", *to.got)
		}
		s := h.Stats()
		if balanced(t, s); s.Queued != 0 || s.DroppedBy[DroppedUndelivered] != 1 || s.Lost != 0 {
			t.Errorf("the counts are %+v", s)
		}
	})
}
