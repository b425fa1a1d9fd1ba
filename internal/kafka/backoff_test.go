package kafka

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestBackoffDoublesUpToMax(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		backoff Backoff
		attempt int
		bound   time.Duration
	}{
		{"default first", Backoff{}, 0, 100 * time.Millisecond},
		{"default second", Backoff{}, 1, 200 * time.Millisecond},
		{"default seventh", Backoff{}, 6, 6400 * time.Millisecond},
		{"default limit", Backoff{}, 7, 10 * time.Second},
		{"never overflows", Backoff{}, 1 << 20, 10 * time.Second},
		{"own", Backoff{First: time.Second, Max: 3 * time.Second}, 1, 2 * time.Second},
		{"own limit", Backoff{First: time.Second, Max: 3 * time.Second}, 2, 3 * time.Second},
		{"first above max", Backoff{First: time.Minute, Max: time.Second}, 0, time.Second},
		{"negative attempt", Backoff{}, -1, 100 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			least, most := time.Duration(1<<62), time.Duration(0)
			for range 1000 {
				d := test.backoff.Delay(test.attempt)
				least, most = min(least, d), max(most, d)
			}
			if least < test.bound/10 || most > test.bound {
				t.Errorf("delays from %s to %s, want within %s to %s", least, most, test.bound/10, test.bound)
			}
			if most-least < test.bound/2 {
				t.Errorf("delays from %s to %s: no jitter", least, most)
			}
		})
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := Sleep(t.Context(), time.Minute); err != nil || time.Since(start) != time.Minute {
			t.Errorf("Sleep: %v after %s", err, time.Since(start))
		}
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(why) })
		start = time.Now()
		if err := Sleep(ctx, time.Minute); !errors.Is(err, why) || time.Since(start) != time.Second {
			t.Errorf("Sleep: %v after %s", err, time.Since(start))
		}
		if err := Sleep(ctx, 0); !errors.Is(err, why) {
			t.Errorf("Sleep with an ended context: %v", err)
		}
	})
}
