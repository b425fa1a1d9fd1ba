package reading

import (
	"testing"
	"testing/synctest"
	"time"
)

// Kafka is waited for while nobody takes a chunk and no partition is paused: what is slow then is not Kafka.
func TestSilenceIsKafkas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = time.Minute
		over := 0
		s := newSilence(limit, func() { over++ })
		passes := func(what string, want int) {
			t.Helper()
			time.Sleep(limit + time.Second)
			synctest.Wait()
			if over != want {
				t.Fatalf("%s: over %d times, want %d", what, over, want)
			}
		}
		s.end()
		passes("a chunk is taken", 0)
		s.paused(+1)
		s.paused(+1)
		s.start()
		passes("two partitions are paused", 0)
		s.paused(-1)
		passes("one is paused", 0)
		s.paused(-1)
		passes("nothing comes", 1)
		for range 5 { // chunks, each within the limit
			s.start()
			time.Sleep(limit / 2)
			s.end()
		}
		s.start()
		s.stop()
		s.start()
		s.paused(+1)
		s.paused(-1)
		passes("it is stopped", 1)
		(*silence)(nil).start() // of a run that follows
	})
}
