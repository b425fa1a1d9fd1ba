package breaker

import (
	"errors"
	"log/slog"
	"testing"
	"time"
)

// While a breaker is open one record is tried for each probe, and another one the next time.
func TestBreakerTriesOneRecordForEachProbe(t *testing.T) {
	t.Parallel()
	const probe = 8 * time.Second
	down := errors.New("down")
	b := New(&Options{After: 2, Probe: probe}, slog.New(slog.DiscardHandler), error.Error)
	now := time.Unix(1000, 0)
	admit := func(want bool, wantWait time.Duration) {
		t.Helper()
		if got, wait := b.Admit(now); got != want || wait != wantWait {
			t.Fatalf("probe %t, wait %v; want %t, %v", got, wait, want, wantWait)
		}
	}
	fail := func(tried, counts bool, want time.Duration) {
		t.Helper()
		if got := b.Failed(now, tried, counts, down); got != want {
			t.Fatalf("waits %v, want %v", got, want)
		}
	}
	admit(false, 0)
	fail(false, true, 0)
	b.Succeeded(now)
	fail(false, true, 0) // the success has begun the count anew
	fail(false, false, 0)
	fail(false, true, probe+probe/8) // it opens
	admit(false, probe)
	now = now.Add(probe / 2)
	fail(false, true, probe/2+probe/8) // a call that had begun before
	now = now.Add(probe / 2)
	admit(true, 0)
	admit(false, probe) // while the probe runs
	fail(true, true, probe+probe/8)
	admit(false, probe)
	now = now.Add(probe)
	admit(true, 0)
	fail(true, false, 0) // a rejection says nothing: another record is tried at once
	admit(true, 0)
	if b.PausedSince() != time.Unix(1000, 0) {
		t.Errorf("paused since %v", b.PausedSince())
	}
	b.Succeeded(now)
	admit(false, 0)
	admit(false, 0)
	fail(false, true, 0)
	if !b.PausedSince().IsZero() || b.IsOpen() {
		t.Error("it is not closed")
	}
	var none *Breaker
	if _, wait := none.Admit(now); wait != 0 || none.Failed(now, false, true, down) != 0 || none.IsOpen() {
		t.Error("without a breaker something waits")
	}
}
