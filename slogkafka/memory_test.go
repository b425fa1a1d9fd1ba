package slogkafka

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A shard keeps the memory of records that are over up to its bound, gives it to others, and lets go of it when the
// handler is idle.
func TestKeptMemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := fake(&fakeBus{}, QueueSize(0, 1<<20))
		logger, kept := slog.New(h), func() (n int64) {
			for i := range h.queue.shards {
				s := &h.queue.shards[i]
				s.lock()
				n += s.intake.free.bytes
				s.unlock()
			}
			return n
		}
		for i := range 500 {
			logger.Info("m", "text", strings.Repeat("x", i))
		}
		if err := h.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n, most := kept(), h.queue.maxBytes/freeShare; n == 0 || n > most {
			t.Errorf("%d bytes are kept, at most %d may be", n, most)
		}
		time.Sleep(stalledAfter + time.Second)
		if n := kept(); n != 0 {
			t.Errorf("%d bytes are kept by an idle handler", n)
		}
		logger.Info("m")
		_ = h.Close(within(t, time.Second))
		if s := h.Stats(); s.Delivered != 501 {
			t.Errorf("the counts are %+v", s)
		}
	})
}
