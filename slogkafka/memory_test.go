package slogkafka

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The queue keeps the memory of records that are over up to its bound, gives it to others, and lets go of it when the
// handler is idle.
func TestKeptMemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := fake(&fakeBus{}, QueueSize(0, 1<<20))
		logger := slog.New(h)
		for i := range 500 {
			logger.Info("m", "text", strings.Repeat("x", i))
		}
		if err := h.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n, most := h.queue.countKept(), h.queue.window; n == 0 || n > most {
			t.Errorf("%d bytes are kept, at most %d may be", n, most)
		}
		time.Sleep(stalledAfter + time.Second)
		if n := h.queue.countKept(); n != 0 {
			t.Errorf("%d bytes are kept by an idle handler", n)
		}
		logger.Info("m")
		_ = h.Close(within(t, time.Second))
		if s := h.Stats(); s.Delivered != 501 {
			t.Errorf("the counts are %+v", s)
		}
	})
}

// What is kept and what the queue uses are together within the bound, also when records come that are of other sizes.
func TestKeptMemoryGivesWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeBus{}
		h := fake(f, QueueSize(0, 4<<20))
		q, logger := h.queue, slog.New(h)
		for range 2000 {
			logger.Info("m")
		}
		if err := h.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := q.countKept(); n <= q.maxFree {
			t.Fatalf("%d bytes are kept", n)
		}
		f.set(func() { f.hang = true })
		for _, size := range []int{300, 700, 2000} { // each of another class, until a quarter more is full
			text, most := strings.Repeat("x", size), q.used.bytes()+q.maxBytes/3
			for q.used.bytes() < min(most, q.maxBytes-int64(2*size+itemOverhead)) {
				logger.Info("m", "text", text)
				if n := q.countKept() + q.used.bytes(); n > q.maxBytes+q.maxFree {
					t.Fatalf("%d bytes are used and kept, the bound is %d and %d", n, q.maxBytes, q.maxFree)
				}
			}
		}
		_ = h.Close(within(t, time.Second))
	})
}

// A record gets the memory that another shard keeps before more is allocated than the bound allows.
func TestMemoryOfAnotherShard(t *testing.T) {
	t.Parallel()
	h := fake(&fakeBus{})
	q, e := h.queue, &entry{text: []byte("{}")}
	class, size := classOf(e.needs())
	kept := newMemory(size)
	q.shards[1].exchange(kept, classes, 0) // which has none of that class, and takes it
	q.kept.Store(q.countKept())
	if r := q.memory(class, size); r == kept {
		t.Error("another shard's memory was taken, although there was room")
	}
	q.used.Store(uint64(q.maxBytes + q.maxFree))
	if r := q.memory(class, size); r != kept {
		t.Error("more was allocated than the bound allows")
	}
	q.used.Store(0)
	_ = h.Close(t.Context())
}
